"""The semi-amortized VAE (Kim et al. 2018): SVI steps from the encoder's posterior, differentiated in training.

So the encoder learns a good start, and the decoder is trained on the refined posterior. The surrogate is differentiated
exactly, with second derivatives of log p(x|z); a step costs one forward and one backward pass of the decoder, twice
that in training. The steps maximise the plain ELBO, without the weight of a KL warm-up.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gpvae_core.densities.movable import MovableDiagonal, MovableInLatentUnits
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.refiners.ascent import MomentumSteps
from gpvae_core.refiners.base import REFINERS, RefinerConfig
from gpvae_core.refiners.svi import GradientRefiner, Start
from gpvae_core.types import EventShape

STARTS: dict[str, Start] = {"latent": MovableInLatentUnits.matching, "std": MovableDiagonal.matching}


@REFINERS.register("semi_amortized")
class SemiAmortizedConfig(RefinerConfig):
    """Semi-amortized VAE (Kim et al. 2018): gradient steps from the encoder's posterior, trained end to end.

    The default step is that of Kim & Pavlovic 2021: 1e-3 in latent units (mean) and nats (log standard deviation), for
    the ELBO of one image. In the public code of Kim et al. the loss is a mean over the batch, so that the step of an
    image is the nominal one divided by the batch size; here it is the nominal one. That code also has momentum=0.5 and
    clip=5, neither of which the paper mentions; both are off by default. Runs written before this clipped at 5, and
    their config says so.
    """

    kind: ClassVar[str] = "semi_amortized"
    method: ClassVar[str] = "sa"
    count: ClassVar[str] = "steps"
    second_derivatives: ClassVar[bool] = True
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    steps: int = Field(default=4, ge=1, le=MOST_SAMPLES, description="refinement steps for each image")
    step_size: float = Field(default=1e-3, gt=0, le=MOST, description="length of a refinement step")
    step_unit: Literal["latent", "std"] = Field(
        default="latent", description="unit of the mean's steps: latent units or standard deviations"
    )
    momentum: float = Field(default=0.0, ge=0, lt=1, description="fraction of the last step that the next one keeps")
    clip: float | None = Field(
        default=None,
        gt=0,
        le=MOST,
        description="largest norm of an image's gradient in a refinement step (default: no limit)",
    )
    svi_samples: int = Field(
        default=1, ge=1, le=MOST_SAMPLES, description="samples of z for the gradient of a refinement step"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GradientRefiner:
        settings = MomentumSteps(self.steps, self.step_size, self.momentum, self.clip, self.svi_samples)
        return GradientRefiner(STARTS[self.step_unit], settings)
