"""The Bayesian mixture of Gaussians, on which coordinate ascent is taught (Blei et al. 2017, sec. 2.1)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Gaussian
from gpvae_core.part import MOST_SAMPLES
from gpvae_core.vi.targets.base import TARGETS, TargetConfig, VITarget


class BayesianMixture(VITarget):
    """x_i ~ N(mu_c, 1) with c_i uniform over C components; the latents are the means mu, with prior N(0, s^2).

    The assignments c_i are local latents with q(c_i) = Categorical(phi_i). At its best phi_ik is proportional to
    exp(E_q[log N(x_i; mu_k, 1)]), and the bound is a function of q(mu) alone (Blei et al. 2017, eq. 21 to 26). The
    labels of components can be exchanged, so that the posterior has C! modes.
    """

    conjugate: ClassVar[bool] = True

    def __init__(self, data: Float[Tensor, " N"], components: int, prior_std: float) -> None:
        super().__init__(components, len(data), prior_std)
        self.data = nn.Buffer(data)

    def terms(self, z: Tensor) -> Tensor:
        # log p(x_i|mu), summed over c_i: the exact posterior of the means
        log_n = self._log_normal(self.data.to(z).unsqueeze(-1), z.unsqueeze(-2))
        return log_n.logsumexp(-1) - math.log(self.latent_dim)

    @staticmethod
    def _log_normal(x: Tensor, mu: Tensor) -> Tensor:
        return -0.5 * (x - mu).square() - 0.5 * math.log(2 * math.pi)

    def expected_log_normal(self, q: Gaussian) -> Float[Tensor, "N C"]:
        """Return E_q[log N(x_i; mu_k, 1)] in nats."""
        return self._log_normal(self.data.unsqueeze(-1), q.mean[0]) - 0.5 * q.variance[0]

    def assignments(self, q: Gaussian) -> Float[Tensor, "N C"]:
        """Return phi, the best q(c_i = k) given q(mu)."""
        return self.expected_log_normal(q).softmax(-1)

    def expected_derivatives(
        self, q: Gaussian, index: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        index = torch.arange(self.n) if index is None else index
        phi, x, scale = self.assignments(q)[index], self.data[index].unsqueeze(-1), self.n / len(index)
        precision = 1.0 / self.prior_std**2
        gradient = scale * (phi * (x - q.mean[0])).sum(0) - precision * q.mean[0]
        return gradient, -torch.diag(precision + scale * phi.sum(0))

    def bound(self, q: Gaussian) -> Tensor:
        # sum_k phi_ik (E_ik - log C - log phi_ik) at the best phi is log sum_k exp E_ik - log C.
        per_point = self.expected_log_normal(q).logsumexp(-1) - math.log(self.latent_dim)
        return per_point.sum() - self.kl_to_prior(q)

    def data_vector(self) -> Tensor:
        return self.data

    def redrawn(self, generator: torch.Generator) -> BayesianMixture:
        mu = float(self.prior_std) * torch.randn(self.latent_dim, generator=generator, dtype=torch.float64)
        c = torch.randint(self.latent_dim, (self.n,), generator=generator)
        data = mu[c] + torch.randn(self.n, generator=generator, dtype=torch.float64)
        return BayesianMixture(data.sort().values, self.latent_dim, float(self.prior_std))


@TARGETS.register("bayesian-mixture")
class BayesianMixtureConfig(TargetConfig):
    """Bayesian mixture of Gaussians of variance 1 and unknown means; a mode of its posterior for each order of them."""

    kind: ClassVar[str] = "bayesian-mixture"
    method: ClassVar[str] = ""
    count: ClassVar[str] = "n"
    n: int = Field(default=30, ge=1, le=MOST_SAMPLES, description="number of observations")
    components: int = Field(default=2, ge=1, le=8, description="number of components, whose means are the latents")
    prior_std: float = Field(default=3.0, ge=1e-3, le=1e3, description="standard deviation of the prior of a mean")
    seed: int = Field(default=1, ge=0, lt=2**63, description="seed of the data")

    def build(self) -> BayesianMixture:
        generator = torch.Generator().manual_seed(self.seed)
        start = BayesianMixture(torch.zeros(self.n, dtype=torch.float64), self.components, self.prior_std)
        return start.redrawn(generator)
