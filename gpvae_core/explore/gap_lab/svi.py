"""Stochastic variational inference from an encoder's answer, step by step, as frames of a film."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.explore.gap_lab.outline import outline
from gpvae_core.explore.gap_lab.views import Array, Outline
from gpvae_core.explore.views import Plane
from gpvae_core.methods import parse_refiner
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.vae import VAE

SIDE = 41
"""Points a side of the grid on which a frame's outline is found."""
SAMPLES = 256
"""Samples of each ELBO along the way; the same noise at every step, so that the curve shows steps and not noise."""


@dataclass(frozen=True)
class SviSettings:
    """How the film is made; `text` is what `--refiner` takes for the same steps."""

    steps: int = 100
    step_size: float = 0.1
    momentum: float = 0.5
    covariance: str = "diagonal"

    @property
    def text(self) -> str:
        return f"svi:{self.steps},step_size={self.step_size:g},momentum={self.momentum:g},covariance={self.covariance}"


def svi_path(run: Run, x: Float[Tensor, "1 C H W"], settings: SviSettings) -> list[Posterior]:
    """The encoder's own answer about one image, and the answer after each step.

    Raises:
        UserError: a step size, momentum or covariance that svi does not take.
    """
    model = run.model
    refiner = parse_refiner(settings.text).build(run.config.net, model.event_shape, model.latent_dim)
    with torch.no_grad():
        return list(refiner.path(model, x, model.encoder(x)))


@torch.no_grad()
def path_elbos(
    vae: VAE, x: Float[Tensor, "1 C H W"], path: list[Posterior], seed: int, progress: Progress = silent
) -> Array:
    """ELBO of each answer, (S + 1,) nats, by SAMPLES samples and exact log q."""
    generator = torch.Generator(x.device)
    found = []
    for q in path:
        z, log_q = q.rsample_and_log_prob(SAMPLES, generator.manual_seed(seed))
        found.append((vae.log_joint(x, z) - log_q).mean())
        progress(len(found), len(path), "scoring steps")
    return torch.stack(found).cpu().double().numpy()


def path_outlines(path: list[Posterior], plane: Plane, progress: Progress = silent) -> tuple[Outline, ...]:
    """The outline of each answer on the plane."""
    found = []
    for k, q in enumerate(path):
        found.append(outline(f"step {k}", q, plane, SIDE))
        progress(k + 1, len(path), "outlines")
    return tuple(found)
