"""Bayesian logistic regression, whose posterior is not Gaussian and has no closed form."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from gpvae_core.part import MOST_SAMPLES
from gpvae_core.vi.targets.base import TARGETS, TargetConfig, VITarget


class LogisticRegression(VITarget):
    """Labels t_i of +1 or -1 with p(t_i|z) = 1 / (1 + exp(-t_i a_i' z))."""

    def __init__(self, a: Float[Tensor, "N D"], labels: Float[Tensor, " N"], prior_std: float) -> None:
        super().__init__(a.shape[1], len(a), prior_std)
        self.a, self.labels = nn.Buffer(a), nn.Buffer(labels)

    def terms(self, z: Tensor) -> Tensor:
        return logsigmoid(self.labels.to(z) * (z @ self.a.to(z).T))

    def data_vector(self) -> Tensor:
        return self.labels

    def redrawn(self, generator: torch.Generator) -> LogisticRegression:
        z = float(self.prior_std) * torch.randn(self.latent_dim, generator=generator, dtype=torch.float64)
        p = torch.sigmoid(self.a @ z)
        labels = torch.where(torch.rand(self.n, generator=generator, dtype=torch.float64) < p, 1.0, -1.0)
        return LogisticRegression(self.a, labels.double(), float(self.prior_std))


@TARGETS.register("logistic-regression")
class LogisticRegressionConfig(TargetConfig):
    """Bayesian logistic regression with few labels, whose posterior is skewed; the truth is a grid, or HMC at d > 2."""

    kind: ClassVar[str] = "logistic-regression"
    method: ClassVar[str] = ""
    count: ClassVar[str] = "n"
    n: int = Field(default=10, ge=1, le=MOST_SAMPLES, description="number of labels")
    d: int = Field(default=2, ge=1, le=16, description="number of weights, the latents")
    prior_std: float = Field(default=3.0, ge=1e-3, le=1e3, description="standard deviation of the prior")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the data")

    def build(self) -> LogisticRegression:
        generator = torch.Generator().manual_seed(self.seed)
        a = torch.randn(self.n, self.d, generator=generator, dtype=torch.float64)
        return LogisticRegression(a, torch.ones(self.n, dtype=torch.float64), self.prior_std).redrawn(generator)
