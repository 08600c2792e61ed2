"""A mixture of diagonal Gaussians as a posterior, with samples that are reparametrised in means and scales.

q(z|x) = sum_c w_c N(z; m_c, Diag(s_c)^2). The component of a sample is drawn, which has no gradient. Instead the sample
moves with means and scales (implicit reparametrisation, Figurnov et al. 2018) along a velocity v with dq/dphi =
-div(q v), for which E_q[f] has the gradient E_q[f'(z) v] for any smooth f: v = sum_c r_c(z) d(m_c + s_c eps_c) with
r_c the probability of component c given z. It never exceeds the largest velocity of a component.

The weights have no such velocity that stays finite: between well separated components, mass would have to jump. So
samples and their log q carry no gradient in the weights at all. The gradient d log q / d log w alone has mean zero for
the ELBO but not for bounds of several samples, and would move the weights away from the posterior. They follow the ELBO
by an estimator of their own, which an encoder's training stage adds to the surrogate whatever the objective
(`weights_reward`). `log_prob`, `mean`, `variance`, and `kl` with fresh samples, have gradients in all parameters: where
a surrogate evaluates log q at samples, or a refiner starts from moments, it is by `with_weights_fixed`, as the weights
would follow that besides the ELBO.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.densities.base import KL_SAMPLES, Posterior, Samples, sampled_kl


class GaussianMixture(Posterior):
    """Gaussian mixture sum_c w_c N(m_c, Diag(s_c)^2), its weights given as log w_c.

    >>> m = torch.tensor([[[-1.0], [2.0]]])
    >>> GaussianMixture(torch.zeros(1, 2).log_softmax(-1), m, torch.ones(1, 2, 1)).mean
    tensor([[0.5000]])
    """

    def __init__(self, log_w: Float[Tensor, "B C"], m: Float[Tensor, "B C D"], s: Float[Tensor, "B C D"]) -> None:
        self.log_w, self.m, self.s = log_w, m, s

    def log_joint(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B C"]:
        """Return log w_c + log N(z; m_c, s_c^2) in nats."""
        eps = (z.unsqueeze(-2) - self.m) / self.s
        log_n = (-0.5 * eps.square() - self.s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)
        return self.log_w + log_n

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self.log_joint(z).logsumexp(-1)

    @torch.no_grad()
    def sample(self, k: int, generator: torch.Generator | None = None) -> Float[Tensor, "K B D"]:
        """Draw k samples for each image, without gradients."""
        b, _, d = self.m.shape
        component = self._draw_components(k, generator).unsqueeze(-1).expand(k, b, d).unsqueeze(2)
        m, s = (value.expand(k, *value.shape).gather(2, component).squeeze(2) for value in (self.m, self.s))
        return m + s * torch.randn((k, b, d), generator=generator, device=m.device, dtype=m.dtype)

    def _draw_components(self, k: int, generator: torch.Generator | None) -> Int[Tensor, "K B"]:
        """Draw the index of a component for each sample, by inverting the cumulative weights."""
        uniform = torch.rand((k, len(self.m), 1), generator=generator, device=self.m.device, dtype=self.m.dtype)
        index = (uniform > self.log_w.exp().cumsum(-1)).sum(-1)
        return index.clamp_max(self.log_w.shape[-1] - 1)  # the weights' sum may be rounded below a uniform number

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw samples, reparametrised in means and scales; neither they nor log q have a gradient in the weights."""
        z = self.sample(k, generator)
        if torch.is_grad_enabled():
            z = self._reparametrised(z)
        return z, self.with_weights_fixed().log_prob(z)

    def with_weights_fixed(self) -> GaussianMixture:
        """Return the same mixture with a gradient in means and scales alone."""
        return GaussianMixture(self.log_w.detach(), self.m, self.s)

    def _reparametrised(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        """Return the values of z with the gradient of implicit reparametrisation in means and scales."""
        # dz = sum_c r_c(z) (dm_c + eps_c ds_c), r_c and eps_c constant. It solves dq = -div(q v), as w_c N_c = r_c q
        # and dN_c = -div(N_c (dm_c + eps_c ds_c)) for each component.
        with torch.no_grad():
            r = self.log_joint(z).softmax(-1).unsqueeze(-1)
            eps = (z.unsqueeze(-2) - self.m) / self.s
        return z + (r * (gradient_only(self.m) + eps * gradient_only(self.s))).sum(-2)

    def sample_components(self, generator: torch.Generator | None = None) -> Float[Tensor, "C B D"]:
        """Draw one reparametrised sample of each component."""
        m, s = self.m.transpose(0, 1), self.s.transpose(0, 1)
        return m + s * torch.randn(m.shape, generator=generator, device=m.device, dtype=m.dtype)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (self._w * self.m).sum(1)

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        # Law of total variance: the mean of the variances plus the variance of the means.
        deviation = self.m - self.mean.unsqueeze(1)
        return (self._w * (self.s.square() + deviation.square())).sum(1)

    @property
    def _w(self) -> Float[Tensor, "B C 1"]:
        return self.log_w.exp().unsqueeze(-1)

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return KL(q || prior) by Monte Carlo, in nats.

        It is the mean over the given samples, or sum_c w_c E_c[log q - log p] over KL_SAMPLES fresh ones, the same
        number (at least one) from each component.
        """
        if samples is not None:
            return sampled_kl(samples, prior)
        n = max(1, KL_SAMPLES // self.log_w.shape[-1])
        z = torch.stack([self.sample_components(generator) for _ in range(n)]).flatten(0, 1)
        # log q has its weights fixed: their gradient through it, E_q[d log q / d log w], is zero in expectation.
        log_ratio = self.with_weights_fixed().log_prob(z) - prior.log_prob(z)
        mean_by_component = log_ratio.unflatten(0, (n, -1)).mean(0)
        return (self.log_w.exp() * mean_by_component.T).sum(-1)

    def detached(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m.detach(), self.s.detach())


def gradient_only(value: Tensor) -> Tensor:
    """Return zeros that have the gradient of `value`."""
    return value - value.detach()
