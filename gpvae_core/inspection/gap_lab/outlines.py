"""The outline of a method's posterior, with its name and centre."""

from __future__ import annotations

from gpvae_core.densities.base import Posterior
from gpvae_core.inspection.gap_lab.views import Outline
from gpvae_core.inspection.outline import outline
from gpvae_core.inspection.views import Plane


def outline_of(name: str, q: Posterior, plane: Plane, side: int = 81) -> Outline:
    """Return the outline of q, the posterior of one image, from a grid with `side` points along each side."""
    return Outline(name, outline(q, plane, side), plane.coordinates(q.mean[0].cpu().double().numpy()))
