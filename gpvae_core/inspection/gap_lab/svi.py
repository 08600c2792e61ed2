"""Stochastic variational inference from an encoder's answer, step by step, as frames of a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.movable import MovableGaussian
from gpvae_core.densities.noise import sobol_noise
from gpvae_core.inspection.gap_lab.outlines import outline_of
from gpvae_core.inspection.gap_lab.scores import GapReference
from gpvae_core.inspection.gap_lab.views import Outline
from gpvae_core.inspection.views import Array, Plane
from gpvae_core.methods import parse_refiner
from gpvae_core.progress import Progress, silent
from gpvae_core.refiners.ascent import ascend, gaussian_elbo
from gpvae_core.refiners.svi import GradientRefiner
from gpvae_core.runs import Run
from gpvae_core.truth.best_gaussian import SCORE_SAMPLES
from gpvae_core.vae import VAE

SIDE = 41
"""Points a side of the grid on which a frame's outline is found."""


@dataclass(frozen=True)
class SviSettings:
    """The settings of the refinement; `text` is what `--refiner` takes for the same steps."""

    steps: int = 100
    step_size: float = 0.1
    momentum: float = 0.5
    covariance: str = "diagonal"

    @property
    def text(self) -> str:
        return f"svi:{self.steps},step_size={self.step_size:g},momentum={self.momentum:g},covariance={self.covariance}"


@dataclass(frozen=True)
class SviPath:
    """The encoder's own answer about one image, and the Gaussian after each step."""

    model: VAE
    """Without the run's own refiner."""
    answer: Posterior
    steps: Sequence[MovableGaussian]

    @property
    def answers(self) -> list[Posterior]:
        return [self.answer, *(step.posterior() for step in self.steps)]


@torch.no_grad()
def svi_path(run: Run, x: Float[Tensor, "1 C H W"], settings: SviSettings) -> SviPath:
    """Refine what the run's encoder says about one image.

    Raises:
        UserError: a step size, momentum or covariance that svi does not take.
    """
    own = run.model
    plain = VAE(own.decoder, own.likelihood, own.encoder, own.latent_dim, own.event_shape).eval()
    refiner = parse_refiner(settings.text).build(run.config.net, own.event_shape, own.latent_dim)
    assert isinstance(refiner, GradientRefiner)
    answer = plain.infer(x)
    return SviPath(plain, answer, ascend(plain, x, refiner.start(answer), refiner.settings, None)[1:])


@torch.no_grad()
def path_elbos(path: SviPath, reference: GapReference, progress: Progress = silent) -> Array:
    """Return the ELBO of each answer, (S + 1,) nats, with the noise under which the reference scores every method."""
    eps = sobol_noise(SCORE_SAMPLES, path.model.latent_dim, reference.seed).to(reference.x)[:, None]
    found = [float(reference.elbos(path.model)[0])]
    for step in path.steps:
        found.append(float(gaussian_elbo(path.model, reference.x, step, eps)[0]))
        progress(len(found), len(path.steps) + 1, "scoring steps")
    return np.array(found)


def path_outlines(path: SviPath, plane: Plane, progress: Progress = silent) -> tuple[Outline, ...]:
    """Return the outline of each answer on the plane."""
    found = []
    for k, q in enumerate(path.answers):
        found.append(outline_of(f"step {k}", q, plane, SIDE))
        progress(k + 1, len(path.steps) + 1, "outlines")
    return tuple(found)
