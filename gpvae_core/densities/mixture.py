"""A mixture of diagonal Gaussians as a posterior, with samples whose gradients in means and scales are those of q.

q(z|x) = sum_c w_c N(z; m_c, Diag(s_c)^2). The component of a sample is drawn, which has no gradient. Here the sample
moves with means and scales instead (implicit reparametrisation, Figurnov et al. 2018), along velocities v with
dq/dphi = -div(q v), for which E_q[f] has the gradient E_q[f'(z) v] for any smooth f: v = r_c(z) d(m_c + s_c eps_c)
with r_c the probability of component c given z. It never exceeds the velocity of a single Gaussian.

The weights have no such velocity that stays finite: between components with nothing in between, mass would have to
jump. So samples and their log q carry no gradient in the weights at all; left with d log q / d log w alone, which has
mean zero for the ELBO but not for bounds of several samples, the weights would move away from the posterior. They
follow the ELBO by an estimate of their own, which an encoder's training stage adds to the surrogate whatever the
objective (`weights_reward`). `log_prob`, `mean`, `variance`, and `kl` without given samples, have gradients in all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.densities.base import KL_SAMPLES, Posterior, Samples, sampled_kl


class GaussianMixture(Posterior):
    """sum_c w_c N(m_c, Diag(s_c)^2), the weights given as log w_c.

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
        """Draw k samples of each image, without gradients."""
        b, _, d = self.m.shape
        chosen = self._components(k, generator).unsqueeze(-1).expand(k, b, d).unsqueeze(2)
        m, s = (value.expand(k, *value.shape).gather(2, chosen).squeeze(2) for value in (self.m, self.s))
        return m + s * torch.randn((k, b, d), generator=generator, device=m.device, dtype=m.dtype)

    def _components(self, k: int, generator: torch.Generator | None) -> Int[Tensor, "K B"]:
        uniform = torch.rand((k, len(self.m), 1), generator=generator, device=self.m.device, dtype=self.m.dtype)
        passed = (uniform > self.log_w.exp().cumsum(-1)).sum(-1)
        return passed.clamp_max(self.log_w.shape[-1] - 1)

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        """Draw samples, reparametrised in means and scales; neither they nor log q have a gradient in the weights."""
        z = self.sample(k, generator)
        if torch.is_grad_enabled():
            z = self._moving(z)
        return z, self._with_weights_fixed().log_prob(z)

    def _with_weights_fixed(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m, self.s)

    def _moving(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        """Return z itself, with the gradients of the velocities above."""
        # Implicit reparametrisation: dz = sum_c r_c(z) (dm_c + eps_c ds_c), r_c and eps_c constant. It solves
        # dq = -div(q v), as w_c N_c = r_c q and dN_c = -div(N_c (dm_c + eps_c ds_c)) for each component.
        with torch.no_grad():
            r = self.log_joint(z).softmax(-1).unsqueeze(-1)
            eps = (z.unsqueeze(-2) - self.m) / self.s
        return z + (r * (gradient_only(self.m) + eps * gradient_only(self.s))).sum(-2)

    def sample_components(self, generator: torch.Generator | None = None) -> Float[Tensor, "C B D"]:
        """Draw one sample of each component, reparametrised."""
        m, s = self.m.transpose(0, 1), self.s.transpose(0, 1)
        return m + s * torch.randn(m.shape, generator=generator, device=m.device, dtype=m.dtype)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (self._w * self.m).sum(1)

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        # Law of total variance: the mean of the variances, and the variance of the means.
        off = self.m - self.mean.unsqueeze(1)
        return (self._w * (self.s.square() + off.square())).sum(1)

    @property
    def _w(self) -> Float[Tensor, "B C 1"]:
        return self.log_w.exp().unsqueeze(-1)

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return KL(q || prior) by Monte Carlo, in nats.

        It is taken over the given samples, or as sum_c w_c E_c[log q - log p] over KL_SAMPLES fresh ones, as many of
        each component and at least one.
        """
        if samples is not None:
            return sampled_kl(samples, prior)
        n = max(1, KL_SAMPLES // self.log_w.shape[-1])
        z = torch.stack([self.sample_components(generator) for _ in range(n)]).flatten(0, 1)
        excess = self._with_weights_fixed().log_prob(z) - prior.log_prob(z)
        mean_of_each = excess.unflatten(0, (n, -1)).mean(0)
        return (self.log_w.exp() * mean_of_each.T).sum(-1)

    def detached(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m.detach(), self.s.detach())


def gradient_only(value: Tensor) -> Tensor:
    """Return zero, with the gradient of `value`."""
    return value - value.detach()
