"""A mixture of diagonal Gaussians as a posterior, with samples whose gradients in means and scales are those of q.

q(z|x) = sum_c w_c N(z; m_c, Diag(s_c)^2). The component of a sample is drawn, which has no gradient. Here the sample
moves with means and scales instead (implicit reparametrisation, Figurnov et al. 2018), along velocities v with
dq/dphi = -div(q v), for which E_q[f] has the gradient E_q[f'(z) v] for any smooth f: v = r_c(z) d(m_c + s_c eps_c)
with r_c the probability of component c given z. It never exceeds the velocity of a single Gaussian.

The weights have no such velocity that stays finite: between components with nothing in between, mass would have to
jump. So samples and their log q carry no gradient in the weights at all; left with d log q / d log w alone, which has
mean zero for the ELBO but not for bounds of several samples, the weights would move away from the posterior. They
follow the ELBO by an estimate of their own, `weights_reward`, which an encoder's training stage adds to the surrogate
whatever the objective. `log_prob`, `mean`, `variance` and `kl()` without given samples have gradients in everything.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.encoders.base import LogJoint, Posterior, Samples, Uncertainty, sampled_kl

KL_SAMPLES = 16
"""Fresh samples for a KL where the caller gives none, of all components together; one of each at least."""


class GaussianMixture(Posterior):
    """sum_c w_c N(m_c, Diag(s_c)^2), the weights given as log w_c."""

    def __init__(self, log_w: Float[Tensor, "B C"], m: Float[Tensor, "B C D"], s: Float[Tensor, "B C D"]) -> None:
        self.log_w, self.m, self.s = log_w, m, s

    def log_joint(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B C"]:
        """log w_c + log N(z; m_c, s_c^2) in nats."""
        eps = (z.unsqueeze(-2) - self.m) / self.s
        log_n = (-0.5 * eps.square() - self.s.log() - 0.5 * math.log(2 * math.pi)).sum(-1)
        return self.log_w + log_n

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self.log_joint(z).logsumexp(-1)

    @torch.no_grad()
    def sample(self, k: int, generator: torch.Generator | None = None) -> Float[Tensor, "K B D"]:
        """k samples of each image, without gradients."""
        b, _, d = self.m.shape
        chosen = self._components(k, generator).unsqueeze(-1).expand(k, b, d).unsqueeze(2)
        m, s = (value.expand(k, *value.shape).gather(2, chosen).squeeze(2) for value in (self.m, self.s))
        return m + s * torch.randn((k, b, d), generator=generator, device=m.device, dtype=m.dtype)

    def _components(self, k: int, generator: torch.Generator | None) -> Int[Tensor, "K B"]:
        uniform = torch.rand((k, len(self.m), 1), generator=generator, device=self.m.device, dtype=self.m.dtype)
        passed = (uniform > self.log_w.exp().cumsum(-1)).sum(-1)
        return passed.clamp_max(self.log_w.shape[-1] - 1)

    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        """As ever, but without a gradient in the weights."""
        z = self.sample(k, generator)
        if torch.is_grad_enabled():
            z = self._moving(z)
        return z, self._with_weights_fixed().log_prob(z)

    def _with_weights_fixed(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m, self.s)

    def _moving(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        """z itself, with the gradients of the velocities above."""
        with torch.no_grad():
            r = self.log_joint(z).softmax(-1).unsqueeze(-1)
            eps = (z.unsqueeze(-2) - self.m) / self.s
        return z + (r * (_change(self.m) + eps * _change(self.s))).sum(-2)

    def of_each(self, generator: torch.Generator | None = None) -> Float[Tensor, "C B D"]:
        """One sample of each component, reparametrised."""
        m, s = self.m.transpose(0, 1), self.s.transpose(0, 1)
        return m + s * torch.randn(m.shape, generator=generator, device=m.device, dtype=m.dtype)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (self._w * self.m).sum(1)

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        off = self.m - self.mean.unsqueeze(1)
        return (self._w * (self.s.square() + off.square())).sum(1)

    @property
    def _w(self) -> Float[Tensor, "B C 1"]:
        return self.log_w.exp().unsqueeze(-1)

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """By Monte Carlo: over the given samples, or sum_c w_c E_c[log q - log p] over fresh ones of each component."""
        if samples is not None:
            return sampled_kl(samples)
        (b, c), n = self.log_w.shape, max(1, KL_SAMPLES // self.log_w.shape[-1])
        z = torch.stack([self.of_each(generator) for _ in range(n)])
        log_q = self._with_weights_fixed().log_prob(z.flatten(0, 1))
        of_each = sampled_kl((z.flatten(1, 2), log_q.view(n, c * b))).view(c, b)
        return (self.log_w.exp() * of_each.T).sum(-1)

    def detached(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m.detach(), self.s.detach())

    def base(self) -> Posterior:
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None


def _change(value: Tensor) -> Tensor:
    """Zero, with the gradient of `value`."""
    return value - value.detach()


def weights_reward(
    log_joint: LogJoint, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Zero, with the gradient of the ELBO in the weights: sum_c dw_c E_c[log p(x,z) - log q(z|x)], one z of each c.

    Unbiased however far apart the components lie, for a decoder pass for each of them. E_q[dlog q] = 0 drops out.
    Where q was refined, it is about the encoder's own mixture, `q.base()`.
    """
    mixture = q.base()
    assert isinstance(mixture, GaussianMixture)
    with torch.no_grad():
        z = mixture.of_each(generator)
        worth = (log_joint(x, z) - mixture.log_prob(z)).T
        worth = worth - (mixture.log_w.exp() * worth).sum(-1, keepdim=True)
    return (_change(mixture.log_w.exp()) * worth).sum(-1)
