"""The interface of a target of variational inference: p(z) prod_i p(x_i|z), with data x that are given once for all.

A target is a generative model of its data, so that the truth of any run (`truth_for`: quadrature on a grid, Hamiltonian
Monte Carlo) is the truth about it too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gpvae_core.densities.base import Gaussian, Posterior
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import Likelihood, LikelihoodTable
from gpvae_core.part import PartConfig
from gpvae_core.progress import checkpoint
from gpvae_core.registry import Registry
from gpvae_core.vae import GenerativeModel

DERIVATIVE_SAMPLES = 64
"""Number of samples for expected derivatives without a closed form."""


class SumOfTerms(Likelihood):
    """Likelihood whose decoder returns log p(x_i|z) of each data point: log p(x|z) is their sum."""

    def log_prob(self, x: Tensor, g: Tensor, observed: Tensor | None = None) -> Tensor:
        return g.sum((-3, -2, -1))

    def grid_table(self, g: Tensor) -> LikelihoodTable:
        return _Table(self.log_prob(g, g))

    def mean(self, g: Tensor) -> Tensor:
        return g

    def kl(self, g: Tensor, other: Tensor) -> Tensor:
        raise NotImplementedError("the data of a target are given: it has no density of others")

    def sample(self, g: Tensor, generator: torch.Generator | None = None) -> Tensor:
        raise NotImplementedError("the data of a target are given: it draws no others")

    def noise_scale(self) -> None:
        return None


class _Table(LikelihoodTable):
    """log p(x|z) of the target's data at G latents."""

    def __init__(self, values: Float[Tensor, " G"]) -> None:
        self._values = values.cpu().double()

    def log_prob(self, x: Tensor) -> Tensor:
        return self._values.expand(len(x), -1)


class VITarget(GenerativeModel, ABC):
    """Target with D latents, a prior N(0, prior_std^2 I) and N data points, in float64.

    >>> import gpvae_core as gpvae
    >>> import torch
    >>> target = gpvae.infer("linear-gaussian:8", steps=0).target
    >>> target.log_density(torch.zeros(3, 2, dtype=torch.float64)).shape, gpvae.truth_for(target).exact
    (torch.Size([3]), True)
    """

    conjugate: ClassVar[bool] = False
    """Whether each latent's complete conditional is Gaussian, which coordinate ascent needs."""

    def __init__(self, d: int, n: int, prior_std: float) -> None:
        super().__init__(nn.Identity(), SumOfTerms(), d, (1, 1, n))
        self.n = n
        self.prior_std = nn.Parameter(torch.tensor(prior_std, dtype=torch.float64), requires_grad=False)

    @abstractmethod
    def terms(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch N"]:
        """Return log p(x_i|z) of each data point in nats."""

    def decode(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch 1 1 N"]:
        checkpoint()
        return self.terms(z).unsqueeze(-2).unsqueeze(-2)

    def prior(self, x: Float[Tensor, "B ..."]) -> Posterior:
        std = self.prior_std.to(x).expand(len(x), 1)
        return DiagonalGaussian(x.new_zeros(len(x), self.latent_dim), std)

    @property
    def x(self) -> Float[Tensor, "1 1 1 N"]:
        """Stand-in for the data where the truth of a model asks for an image."""
        return self.prior_std.new_zeros(1, *self.event_shape)

    def data_vector(self) -> Float[Tensor, " F"]:
        """Return the data as the input of an encoder.

        Raises:
            UserError: the target has no data (the default).
        """
        raise _without_data()

    def redrawn(self, generator: torch.Generator) -> VITarget:
        """Return the same target with data drawn anew from the model, prior included.

        Raises:
            UserError: the target has no data (the default).
        """
        raise _without_data()

    def log_density(self, z: Float[Tensor, "K D"], index: Int[Tensor, " M"] | None = None) -> Float[Tensor, " K"]:
        """Return log p(z) + N/M sum_i log p(x_i|z) over the data points `index`, by default all, in nats."""
        return self.log_prior(z) + self.scaled_terms(z, index)

    def scaled_terms(self, z: Float[Tensor, "K D"], index: Int[Tensor, " M"] | None = None) -> Float[Tensor, " K"]:
        """Return N/M sum_i log p(x_i|z), unbiased for log p(x|z) over batches (Ganguly et al. 2023, eq. 10)."""
        terms = self.terms(z)
        return terms.sum(-1) if index is None else self.n / len(index) * terms[..., index].sum(-1)

    def log_factors(self, z: Float[Tensor, "K D"], index: Int[Tensor, " M"] | None = None) -> Float[Tensor, "K D"]:
        """Return, for each latent, the sum of those terms of the log density that depend on it, in nats."""
        own = DiagonalGaussian(torch.zeros_like(z), self.prior_std.expand_as(z))
        log_prior = -0.5 * (z / own.s).square() - own.s.log()
        return log_prior + self.scaled_terms(z, index).unsqueeze(-1)

    def expected_derivatives(
        self, q: Gaussian, index: Int[Tensor, " M"] | None, generator: torch.Generator
    ) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
        """Return E_q of the gradient and of the Hessian of the log density, by Monte Carlo unless overridden.

        Of a conjugate target they are of E[log p(x, z)] over its local latents at their best, in closed form.
        """
        z = q.rsample_and_log_prob(DERIVATIVE_SAMPLES, generator)[0][:, 0].detach().requires_grad_()
        with torch.enable_grad():
            gradient = torch.autograd.grad(self.log_density(z, index).sum(), z, create_graph=True)[0]
            # Samples are independent: the gradient of a sum over them is that of each.
            rows = [torch.autograd.grad(column.sum(), z, retain_graph=True)[0].mean(0) for column in gradient.unbind(1)]
        return gradient.detach().mean(0), torch.stack(rows)

    def bound(self, q: Gaussian) -> Float[Tensor, ""]:
        """Return the ELBO of a conjugate target in closed form, in nats.

        Raises:
            UserError: the target is not conjugate (the default).
        """
        raise UserError("the ELBO has a closed form for conjugate targets only, this one is none")

    def kl_to_prior(self, q: Posterior) -> Float[Tensor, ""]:
        """Return KL(q || p(z)) in nats."""
        return q.kl(self.prior(self.x))[0]


def _without_data() -> UserError:
    return UserError("amortized inference wants a target with data, such as linear-gaussian, got a density without any")


class TargetConfig(PartConfig):
    """Settings of one target."""

    @abstractmethod
    def build(self) -> VITarget:
        """Return the target, with the data that its seed draws."""


TARGETS: Registry[type[TargetConfig]] = Registry("target", "gpvae_core.vi.targets")
