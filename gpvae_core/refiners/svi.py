"""Stochastic variational inference for each image, from the encoder's posterior (Hoffman et al. 2013).

The start is the Gaussian with the mean and the variances of the encoder's posterior, so that any encoder can be
refined; with covariance=full it has the covariance of a Gaussian posterior. Any other shape, such as a flow's or a
mixture's, is lost in the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.movable import MovableDiagonal, MovableFull, MovableGaussian
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.refiners.ascent import MomentumSteps, ascend, refined_path
from gpvae_core.refiners.base import REFINERS, Model, Refiner, RefinerConfig
from gpvae_core.types import EventShape

Start: TypeAlias = Callable[[Posterior], MovableGaussian]
STARTS: dict[str, tuple[Start, int]] = {"diagonal": (MovableDiagonal.matching, 0), "full": (MovableFull.matching, 2)}
"""Covariance -> function that returns the start, and smallest number of samples for each latent dimension.

With fewer than 2 D samples the mixed second moments of the noise are random, and so are the steps of correlations.
"""


class GradientRefiner(Refiner):
    """Refiner by gradient steps on the ELBO from start(q)."""

    def __init__(self, start: Start, settings: MomentumSteps) -> None:
        super().__init__()
        self.start, self.settings = start, settings

    def path(
        self, model: Model, x: Tensor, q: Posterior, generator: torch.Generator | None = None
    ) -> Sequence[Posterior]:
        return refined_path(q, ascend(model, x, self.start(q), self.settings, generator))


@REFINERS.register("svi")
class SVIConfig(RefinerConfig):
    """Stochastic variational inference from the encoder's posterior, at test time: a few gradient steps for each image.

    Steps follow the ELBO of one image (a sum over pixels), not divided by a batch size, in standard deviations of the
    current posterior (mean) and nats (log standard deviation); see `densities/movable.py`.
    """

    kind: ClassVar[str] = "svi"
    method: ClassVar[str] = ""
    count: ClassVar[str] = "steps"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    steps: int = Field(default=8, ge=1, le=MOST_SAMPLES, description="refinement steps for each image")
    step_size: float = Field(default=0.2, gt=0, le=MOST, description="length of a refinement step")
    momentum: float = Field(default=0.5, ge=0, lt=1, description="fraction of the last step that the next one keeps")
    clip: float = Field(
        default=5.0, gt=0, le=MOST, description="largest norm of an image's gradient in a refinement step"
    )
    svi_samples: int = Field(
        default=8,
        ge=1,
        le=MOST_SAMPLES,
        description="samples of z for the gradient of a refinement step; at least 2 d for 'full'",
    )
    covariance: Literal["diagonal", "full"] = Field(
        default="diagonal", description="covariance of the refined Gaussian"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GradientRefiner:
        start, samples_by_dimension = STARTS[self.covariance]
        samples = max(self.svi_samples, samples_by_dimension * latent_dim)
        return GradientRefiner(start, MomentumSteps(self.steps, self.step_size, self.momentum, self.clip, samples))
