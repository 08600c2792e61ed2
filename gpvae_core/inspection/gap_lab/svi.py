"""Stochastic variational inference from an encoder's posterior, step by step, as frames of an animation."""

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
"""Grid points per side from which a frame's outline is computed."""


@dataclass(frozen=True)
class SviSettings:
    """Settings of the refinement; `text` is the value of `--refiner` with the same settings."""

    steps: int = 100
    step_size: float = 0.1
    momentum: float = 0.5
    covariance: str = "diagonal"

    @property
    def text(self) -> str:
        return f"svi:{self.steps},step_size={self.step_size:g},momentum={self.momentum:g},covariance={self.covariance}"


@dataclass(frozen=True)
class SviPath:
    """The encoder's own posterior of one image, and the Gaussian after each step."""

    model: VAE
    """The run's model without its refiner."""
    answer: Posterior
    steps: Sequence[MovableGaussian]

    @property
    def answers(self) -> list[Posterior]:
        """The encoder's posterior, followed by that after each step."""
        return [self.answer, *(step.posterior() for step in self.steps)]


@torch.no_grad()
def svi_path(run: Run, x: Float[Tensor, "1 C H W"], settings: SviSettings) -> SviPath:
    """Refine the posterior of one image by the run's encoder.

    Raises:
        UserError: svi does not accept the step size, momentum or covariance.
    """
    own = run.model
    plain = VAE(own.decoder, own.likelihood, own.encoder, own.latent_dim, own.event_shape).eval()
    refiner = parse_refiner(settings.text).build(run.config.net, own.event_shape, own.latent_dim)
    assert isinstance(refiner, GradientRefiner)
    answer = plain.infer(x)
    return SviPath(plain, answer, ascend(plain, x, refiner.start(answer), refiner.settings, None)[1:])


@torch.no_grad()
def path_elbos(path: SviPath, reference: GapReference, progress: Progress = silent) -> Array:
    """Return the ELBO of each posterior of the path, (S + 1,) nats, with the noise that the reference uses."""
    eps = sobol_noise(SCORE_SAMPLES, path.model.latent_dim, reference.seed).to(reference.x)[:, None]
    elbos = [float(reference.elbos(path.model)[0])]
    for step in path.steps:
        elbos.append(float(gaussian_elbo(path.model, reference.x, step, eps)[0]))
        progress(len(elbos), len(path.steps) + 1, "scoring steps")
    return np.array(elbos)


def path_outlines(path: SviPath, plane: Plane, progress: Progress = silent) -> tuple[Outline, ...]:
    """Return the outline of each posterior of the path on the plane."""
    outlines = []
    for k, q in enumerate(path.answers):
        outlines.append(outline_of(f"step {k}", q, plane, SIDE))
        progress(k + 1, len(path.steps) + 1, "outlines")
    return tuple(outlines)
