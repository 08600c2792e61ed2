"""The contract of a density of latents (an encoder's answer, a prior, a proposal), and what Gaussians have in common.

No density knows the prior of a model. The KL is to a density that is given, and the model gives its own. From one
Gaussian to another it is in closed form, whatever their means and covariances.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

KL_SAMPLES = 16
"""Fresh samples for a KL without a closed form where the caller gives none."""


@dataclass(frozen=True)
class Uncertainty:
    """How unsure a Bayesian encoder is about an instance, per latent dimension (Kim & Pavlovic 2021, sec. 5.3).

    f: V[f_j(x)|D], variance of the mean function, (B, D), in squared latent units.
    h: V[h_j(x)|D], variance of the standard-deviation function, (B, D), in squared latent units.

    >>> import torch
    >>> from gpvae_core.densities.base import Uncertainty
    >>> Uncertainty(f=torch.tensor([[0.1, 0.2]]), h=torch.tensor([[0.0, 0.1]])).total
    tensor([0.4000])
    """

    f: Float[Tensor, "B D"]
    h: Float[Tensor, "B D"]

    @property
    def trace_f(self) -> Float[Tensor, " B"]:
        return self.f.sum(-1)

    @property
    def trace_h(self) -> Float[Tensor, " B"]:
        return self.h.sum(-1)

    @property
    def total(self) -> Float[Tensor, " B"]:
        """Tr V[f] + Tr V[h], the quantity of Fig. 1."""
        return self.trace_f + self.trace_h


Samples = tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]
"""z and log q(z|x)."""


class Posterior(ABC):
    """q(z|x) for a batch of B instances; a prior p(z) of B rows is one too.

    >>> import torch
    >>> from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
    >>> z, log_q = DiagonalGaussian(torch.zeros(4, 2), torch.ones(4, 2)).rsample_and_log_prob(10)
    >>> z.shape, log_q.shape
    (torch.Size([10, 4, 2]), torch.Size([10, 4]))
    """

    @abstractmethod
    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw `k` reparametrised samples of each instance; return them with their log q(z|x) in nats."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log q(z|x) in nats."""

    @property
    @abstractmethod
    def mean(self) -> Float[Tensor, "B D"]:
        """E_q[z]."""

    @property
    @abstractmethod
    def variance(self) -> Float[Tensor, "B D"]:
        """Marginal variances of q(z|x)."""

    @abstractmethod
    def detached(self) -> Posterior:
        """Return the same density cut off from its parameters: log_prob(z) has a gradient in z alone."""

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return the KL term of the training bound for each instance, KL(q || prior) in nats.

        Here it is estimated from `samples` of this density (z and log q), or from fresh ones where there are none.
        Override where there is a closed form, or where the bound has another term.
        """
        return sampled_kl(samples or self.rsample_and_log_prob(KL_SAMPLES, generator), prior)

    def as_gaussian(self) -> Gaussian | None:
        """Return the Gaussian that has this density; None, as here, where there is none. Override where there is."""
        return None

    def base(self) -> Posterior:
        """Return what the density was made from; itself here. Override where it is a map or a step from another."""
        return self

    def uncertainty(self) -> Uncertainty | None:
        """Return the encoder's own uncertainty; None here. Override in the density of a Bayesian encoder."""
        return None


def sampled_kl(samples: Samples, prior: Posterior) -> Float[Tensor, " B"]:
    """Return KL(q || prior) in nats, the mean of log q(z|x) - log p(z) over the samples of q."""
    z, log_q = samples
    return (log_q - prior.log_prob(z)).mean(0)


def log_standard_normal(z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
    """Return log N(z; 0, I) in nats."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


class Gaussian(Posterior):
    """N(m, L L'), L lower triangular with a positive diagonal.

    With W = L_p^-1 L_q and e = L_p^-1 (m_q - m_p),

        KL(q || p) = 1/2 (|W|^2 + |e|^2 - D) - log det L_q + log det L_p.
    """

    same_in_every_frame: bool = False
    """Whether it is made as N(0, s^2 I), which no rotation changes."""

    @abstractmethod
    def lower_factor(self) -> Float[Tensor, "B D D"]:
        """Return L."""

    @abstractmethod
    def log_det(self) -> Float[Tensor, " B"]:
        """Return log det L, half the log determinant of the covariance, in nats."""

    @abstractmethod
    def whiten(self, columns: Float[Tensor, "B D C"]) -> Float[Tensor, "B D C"]:
        """Return L^-1 times each column."""

    @property
    @abstractmethod
    def scale(self) -> Float[Tensor, "B E"] | None:
        """Standard deviations of a diagonal covariance, (B, D), or (B, 1) of a multiple of I; None of any other."""

    @abstractmethod
    def kl_to(self, p: Gaussian) -> Float[Tensor, " B"]:
        """Return KL(q || p) in nats."""

    @final
    def as_gaussian(self) -> Gaussian:
        return self

    @final
    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return KL(q || prior) in nats: in closed form, without randomness, where the prior is a Gaussian too."""
        p = prior.as_gaussian()
        return super().kl(prior, generator, samples) if p is None else self.kl_to(p)

    @final
    def kl_from(
        self, m: Float[Tensor, "B D"], factor: Float[Tensor, "B D D"], log_det: Float[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """Return KL(N(m, A A') || this) in nats for any square root A of a covariance and `log_det` = log |det A|."""
        # |W|^2 = tr(Sigma_p^-1 A A') is the same for every square root A.
        w, e = self.whiten(factor), self.whiten((m - self.mean).unsqueeze(-1)).squeeze(-1)
        square = w.square().sum(-1).sum(-1) + e.square().sum(-1)
        return 0.5 * (square - m.shape[-1]) - (log_det - self.log_det())

    @final
    def kl_from_diagonal(
        self, m: Float[Tensor, "B D"], v: Float[Tensor, "B D"], log_v: Float[Tensor, "B D"]
    ) -> Float[Tensor, " B"]:
        """Return KL(N(m, Diag(v)) || this) in nats; linear in v and `log_v`, which may be expectations."""
        scale = self.scale
        if scale is None:
            return self.kl_from(m, torch.diag_embed(v.sqrt()), 0.5 * log_v.sum(-1))
        # NOTE: in this order nothing is rounded where this is N(0, I): x / 1, x - 0 and log 1 = 0 are exact.
        e = (m - self.mean) / scale
        return 0.5 * (v / scale.square() + e.square() - 1.0 - (log_v - 2.0 * scale.log())).sum(-1)
