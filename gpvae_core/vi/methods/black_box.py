"""Black-box variational inference: gradients from samples alone (Ranganath et al. 2014)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from gpvae_core.densities.base import Posterior
from gpvae_core.part import MOST, MOST_SAMPLES
from gpvae_core.part_text import part_or_text, part_text
from gpvae_core.vi.divergences.base import DIVERGENCES, DivergenceConfig
from gpvae_core.vi.divergences.kl import ReverseKlConfig
from gpvae_core.vi.families.base import VIFamily
from gpvae_core.vi.gradients.base import GRADIENTS, Drawn, GradientConfig, drawn_batch
from gpvae_core.vi.gradients.reparametrised import ReparametrisedConfig
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference, sampled_elbo

AnyDivergence = Annotated[SerializeAsAny[DivergenceConfig], BeforeValidator(part_or_text(DIVERGENCES))]
AnyGradient = Annotated[SerializeAsAny[GradientConfig], BeforeValidator(part_or_text(GRADIENTS))]


class BlackBoxInference(VariationalInference):
    """Steps of Adam along a divergence's gradient, estimated from samples of q and a batch of the data."""

    def __init__(self, settings: BlackBoxConfig, start: Start) -> None:
        self._settings, self._target = settings, start.target
        self._family = start.family.build(start.m, start.sd, start.seed)
        self._generator = torch.Generator().manual_seed(start.seed)
        self._optimizer = torch.optim.Adam(self._family.parameters(), lr=settings.rate, maximize=True)

    def density(self) -> Posterior:
        return self._family.density().detached()

    def family(self) -> VIFamily:
        return self._family

    def step(self) -> None:
        settings = self._settings
        index = drawn_batch(self._target.n, settings.batch, self._generator)
        draw = Drawn(self._target, self._family, settings.samples, self._generator, index)
        if isinstance(settings.divergence, ReverseKlConfig):
            ascent = settings.gradient.estimate(draw)
        else:
            ascent = -settings.divergence.estimate(draw).gradient
        at = 0
        for parameter in self._family.parameters():
            parameter.grad = ascent[at : at + parameter.numel()].reshape(parameter.shape)
            at += parameter.numel()
        self._optimizer.step()

    def bound(self) -> float:
        return sampled_elbo(self._target, self.density())


@VI_METHODS.register("black-box")
class BlackBoxConfig(MethodConfig):
    """Black box: steps along the gradient of a divergence from samples of q, of any target and family."""

    kind: ClassVar[str] = "black-box"
    count: ClassVar[str] = "samples"
    divergence: AnyDivergence = Field(default=ReverseKlConfig(), description="divergence that is minimised")
    gradient: AnyGradient = Field(
        default=ReparametrisedConfig(), description="estimator of the ELBO's gradient (divergence reverse-kl)"
    )
    samples: int = Field(default=16, ge=1, le=MOST_SAMPLES, description="samples of q in each step")
    batch: int = Field(default=0, ge=0, le=MOST_SAMPLES, description="data points in a batch; 0 for all")
    rate: float = Field(default=0.05, gt=0, le=MOST, description="step size of Adam")

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> BlackBoxConfig:
        if not isinstance(self.divergence, ReverseKlConfig) and self.gradient != ReparametrisedConfig():
            raise ValueError(
                f"gradient={part_text(self.gradient)} has no effect with divergence={part_text(self.divergence)}: it "
                "is an estimator of the ELBO's gradient"
            )
        return self

    def begin(self, start: Start) -> BlackBoxInference:
        return BlackBoxInference(self, start)
