"""The interface of a density of latents (an encoder's posterior, a prior, a proposal), and the algebra of Gaussians.

A density does not know the prior of a model: the KL is taken to a density that is passed in, and a model passes its
own. From one Gaussian to another it is in closed form, whatever their means and covariances.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

KL_SAMPLES = 16
"""Number of fresh samples for a KL without a closed form where the caller passes none."""


@dataclass(frozen=True)
class Uncertainty:
    """Uncertainty of a Bayesian encoder about each image, by latent dimension (Kim & Pavlovic 2021, sec. 5.3).

    f: V[f_j(x)|D], variance of the mean function, (B, D), in squared latent units.
    h: V[h_j(x)|D], variance of the standard-deviation function, (B, D), in squared latent units.

    >>> import torch
    >>> import gpvae_core as gpvae
    >>> gpvae.Uncertainty(f=torch.tensor([[0.1, 0.2]]), h=torch.tensor([[0.0, 0.1]])).total
    tensor([0.4000])
    """

    f: Float[Tensor, "B D"]
    h: Float[Tensor, "B D"]

    @property
    def trace_f(self) -> Float[Tensor, " B"]:
        """Tr V[f], the sum over latent dimensions."""
        return self.f.sum(-1)

    @property
    def trace_h(self) -> Float[Tensor, " B"]:
        """Tr V[h], the sum over latent dimensions."""
        return self.h.sum(-1)

    @property
    def total(self) -> Float[Tensor, " B"]:
        """Tr V[f] + Tr V[h], the uncertainty shown in Fig. 1."""
        return self.trace_f + self.trace_h


Samples = tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]
"""z and log q(z|x)."""


class Posterior(ABC):
    """Density q(z|x) for each of B images; a prior p(z) is one too, with B equal rows.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> z, log_q = run.posterior(run.data.test.pixels([0, 1, 2, 3])).rsample_and_log_prob(10)
    >>> z.shape, log_q.shape
    (torch.Size([10, 4, 2]), torch.Size([10, 4]))
    """

    base_name: ClassVar[str] = "q(z|x)"
    """What `base()` is called; a density whose `base()` is another one names that."""

    @abstractmethod
    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw `k` reparametrised samples for each image; return them with their log q(z|x) in nats."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log q(z|x) in nats."""

    @property
    @abstractmethod
    def mean(self) -> Float[Tensor, "B D"]:
        """E_q[z], (B, D)."""

    @property
    @abstractmethod
    def variance(self) -> Float[Tensor, "B D"]:
        """Marginal variances of q(z|x), (B, D)."""

    @abstractmethod
    def detached(self) -> Posterior:
        """Return the same density detached from its parameters, so that log_prob(z) has a gradient in z alone."""

    def with_weights_fixed(self) -> Posterior:
        """Return the same density without a gradient in a mixture's weights; by default itself.

        Its `log_prob` has gradients in those parameters alone in which samples have one.
        """
        return self

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return the KL term of the training bound for each image, KL(q || prior) in nats.

        By default it is estimated from `samples` of this density (z and log q), or from KL_SAMPLES fresh ones. Override
        it where there is a closed form, or where the bound has another term.
        """
        return sampled_kl(samples or self.rsample_and_log_prob(KL_SAMPLES, generator), prior)

    def as_gaussian(self) -> Gaussian | None:
        """Return this density as a Gaussian if it is one, else None (the default)."""
        return None

    def base(self) -> Posterior:
        """Return the density from which this one was derived by a map or by refinement; by default itself."""
        return self

    def uncertainty(self) -> Uncertainty | None:
        """Return the uncertainty of a Bayesian encoder about each image; None (the default) for other encoders."""
        return None


def sampled_kl(samples: Samples, prior: Posterior) -> Float[Tensor, " B"]:
    """Return KL(q || prior) in nats, the mean of log q(z|x) - log p(z) over the samples of q."""
    z, log_q = samples
    return (log_q - prior.log_prob(z)).mean(0)


def log_standard_normal(z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
    """Return log N(z; 0, I) in nats."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


class Gaussian(Posterior):
    """Gaussian N(m, L L') with L lower triangular and a positive diagonal.

    With W = L_p^-1 L_q and e = L_p^-1 (m_q - m_p)::

        KL(q || p) = 1/2 (|W|^2 + |e|^2 - D) - log det L_q + log det L_p.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.posterior(run.data.test.pixels([0])).as_gaussian().lower_factor().shape
    torch.Size([1, 2, 2])
    """

    same_in_every_frame: bool = False
    """Whether it is N(0, s^2 I) by construction, so that no rotation changes it."""

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
        """Standard deviations of a diagonal covariance, (B, D), or (B, 1) for a multiple of I; None for any other."""

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
        """Return KL(q || prior) in nats, in closed form where the prior is a Gaussian too."""
        p = prior.as_gaussian()
        return super().kl(prior, generator, samples) if p is None else self.kl_to(p)

    @final
    def kl_from(
        self, m: Float[Tensor, "B D"], factor: Float[Tensor, "B D D"], log_det: Float[Tensor, " B"]
    ) -> Float[Tensor, " B"]:
        """Return KL(N(m, A A') || p) to this Gaussian p in nats, for any square root A; `log_det` is `log |det A|`."""
        # |W|^2 = tr(Sigma_p^-1 A A') is the same for every square root A of the covariance.
        w, e = self.whiten(factor), self.whiten((m - self.mean).unsqueeze(-1)).squeeze(-1)
        square = w.square().sum(-1).sum(-1) + e.square().sum(-1)
        return 0.5 * (square - m.shape[-1]) - (log_det - self.log_det())

    @final
    def kl_from_diagonal(
        self, m: Float[Tensor, "B D"], v: Float[Tensor, "B D"], log_v: Float[Tensor, "B D"]
    ) -> Float[Tensor, " B"]:
        """Return KL(N(m, Diag(v)) || p) to this Gaussian p in nats; v and `log_v` enter linearly and may be means."""
        scale = self.scale
        # KL = 1/2 sum_d (v_d / s_d^2 + (m_d - mean_d)^2 / s_d^2 - 1 - log v_d + log s_d^2)
        if scale is None:
            return self.kl_from(m, torch.diag_embed(v.sqrt()), 0.5 * log_v.sum(-1))
        # NOTE: in this order nothing is rounded if this is N(0, I): x / 1, x - 0 and log 1 = 0 are exact.
        e = (m - self.mean) / scale
        return 0.5 * (v / scale.square() + e.square() - 1.0 - (log_v - 2.0 * scale.log())).sum(-1)
