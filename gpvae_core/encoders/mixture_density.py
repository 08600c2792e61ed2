"""A mixture of diagonal Gaussians as a posterior, with samples whose gradients are those of the mixture.

q(z|x) = sum_c w_c N(z; m_c, Diag(s_c)^2). The component of a sample is drawn, which has no gradient. Here the sample
moves with the parameters instead (implicit reparametrisation, Figurnov et al. 2018), along velocities v with
dq/dphi = -div(q v), for which E_q[f] has the gradient E_q[f'(z) v] for any smooth f:

- means and scales: v = r_c(z) d(m_c + s_c eps_c) with r_c the probability of component c given z. It never exceeds the
  velocity of a single Gaussian.
- logits of the weights: from the conditional distribution functions S_j(z_j | z_<j), which map z to uniform numbers;
  v = -(dS/dz)^-1 dS/dlogit. This moves mass from one component to another through what lies between them. Where almost
  nothing lies there, v is rare and huge: it is cut off at MAX_VELOCITY standard deviations of q in each dimension, so
  that the weights of far separated components learn little (and the estimate is unbiased only for those that overlap).
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.encoders.base import LogJoint, Posterior, Samples, Uncertainty, sampled_kl

KL_SAMPLES = 16
"""Fresh samples for a KL where the caller gives none."""
MAX_VELOCITY = 100.0
"""Bound on what a unit of a weight's logit moves a sample, in standard deviations of q."""


class GaussianMixture(Posterior):
    """sum_c w_c N(m_c, Diag(s_c)^2), the weights given as log w_c."""

    def __init__(
        self,
        log_w: Float[Tensor, "B C"],
        m: Float[Tensor, "B C D"],
        s: Float[Tensor, "B C D"],
        weights_move: bool = True,
    ) -> None:
        self.log_w, self.m, self.s, self.weights_move = log_w, m, s, weights_move

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
        z = self.sample(k, generator)
        if torch.is_grad_enabled():
            z = self._moving(z)
        return z, self.log_prob(z)

    def _moving(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        """z itself, with the gradients of the velocities above."""
        with torch.no_grad():
            r = self.log_joint(z).softmax(-1).unsqueeze(-1)
            eps = (z.unsqueeze(-2) - self.m) / self.s
        z = z + (r * (_change(self.m) + eps * _change(self.s))).sum(-2)
        return self._moving_with_weights(z) if self.weights_move else z

    def _moving_with_weights(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        with torch.no_grad():
            limit = MAX_VELOCITY * self.variance.sqrt().unsqueeze(-1)
            v = logit_velocity(z, self.log_w, self.m, self.s).clamp(-limit, limit)
        return z + (v * _change(self.log_w).unsqueeze(-2)).sum(-1)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return (self._w * self.m).sum(1)

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        off = self.m - self.mean.unsqueeze(1)
        return (self._w * (self.s.square() + off.square())).sum(1)

    @cached_property
    def _w(self) -> Float[Tensor, "B C 1"]:
        return self.log_w.exp().unsqueeze(-1)

    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        return sampled_kl(samples or self.rsample_and_log_prob(KL_SAMPLES, generator))

    def detached(self) -> GaussianMixture:
        return GaussianMixture(self.log_w.detach(), self.m.detach(), self.s.detach(), self.weights_move)

    def base(self) -> Posterior:
        return self

    def uncertainty(self) -> Uncertainty | None:
        return None


def _change(value: Tensor) -> Tensor:
    """Zero, with the gradient of `value`."""
    return value - value.detach()


def weights_reward(
    log_joint: LogJoint, x: Float[Tensor, "B C H W"], q: GaussianMixture, generator: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Zero, with the gradient of the ELBO in the weights: sum_c dw_c E_c[log p(x,z) - log q(z|x)], one z of each c.

    Unbiased however far apart the components lie, for a decoder pass for each of them. E_q[dlog q] = 0 drops out.
    """
    with torch.no_grad():
        m, s = q.m.transpose(0, 1), q.s.transpose(0, 1)
        z = m + s * torch.randn(m.shape, generator=generator, device=m.device, dtype=m.dtype)
        worth = (log_joint(x, z) - q.log_prob(z)).T
        worth = worth - (q.log_w.exp() * worth).sum(-1, keepdim=True)
    return (_change(q.log_w.exp()) * worth).sum(-1)


@torch.no_grad()
def logit_velocity(
    z: Float[Tensor, "K B D"], log_w: Float[Tensor, "B C"], m: Float[Tensor, "B C D"], s: Float[Tensor, "B C D"]
) -> Float[Tensor, "K B D C"]:
    """How z moves per unit of each log weight: -(dS/dz)^-1 dS/dlog_w, in double precision.

    S_j = sum_c r_jc Phi_jc with Phi_jc the distribution function of component c in dimension j and r_jc its weight
    given z_<j. dS_j/dlog_w_c = r_jc (Phi_jc - S_j); dS_j/dz_i = sum_c r_jc (Phi_jc - S_j) dlog N_ic/dz_i for i < j,
    and dS_j/dz_j = sum_c r_jc N_jc.
    """
    log_w, m, s = log_w.double(), m.double().mT, s.double().mT
    eps = (z.double().unsqueeze(-1) - m) / s
    log_n = -0.5 * eps.square() - s.log() - 0.5 * math.log(2 * math.pi)
    before = log_n.cumsum(-2) - log_n
    r = (log_w.unsqueeze(-2) + before).softmax(-1)
    phi = torch.special.ndtr(eps)
    by_logit = r * (phi - (r * phi).sum(-1, keepdim=True))
    by_z = (by_logit @ (-eps / s).mT).tril(-1)
    by_z.diagonal(dim1=-2, dim2=-1).copy_((r * log_n.exp()).sum(-1))
    return -torch.linalg.solve_triangular(by_z, by_logit, upper=False).to(z.dtype)
