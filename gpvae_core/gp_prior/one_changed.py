"""An optimal sparse posterior of which one pseudo-observation is changed: all follows from a change of rank one.

With v = L^-1 k_i and u = B^-1 v of the instance, s = v'u, and the changes delta of y~ / sigma~^2 and Delta of
1 / sigma~^2, the identity of Sherman & Morrison gives a posterior of the whitened inducing outputs with

    mean + alpha u          alpha = (delta - Delta m_i) / (1 + Delta s)
    B^-1 - beta u u'        beta  = Delta / (1 + Delta s),

so that of any instance j with a_j = v_j'u the mean grows by alpha a_j, and the variance falls by beta a_j^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.gp_prior.sparse import InducingPosterior, InducingProjection


@dataclass(frozen=True)
class Change:
    """The factors alpha and beta of changes of R instances, in each of D channels."""

    alpha: Float[Tensor, "R D"]
    beta: Float[Tensor, "R D"]
    log_growth: Float[Tensor, "R D"]
    """log(1 + Delta s), the growth of log |B|."""


@dataclass(frozen=True)
class OneChanged:
    """What R instances have to do with an optimal posterior, each of which may be changed alone."""

    a: Float[Tensor, "R D N"]
    """Posterior covariance of the instance with all, as far as the inducing points explain it."""
    s: Float[Tensor, "R D"]
    """The same of the instance with itself."""
    u_square: Float[Tensor, "R D"]
    """|u|^2."""
    mean_u: Float[Tensor, "R D"]
    """<mean, u>."""
    own: Marginals
    """The instance's marginal before the change, (R, D)."""
    pseudo: PseudoObservations
    """Its pseudo-observation before the change, (R, D)."""

    @classmethod
    def of(
        cls, q: InducingPosterior, at: InducingProjection, pseudo: PseudoObservations, instances: Int64[Tensor, " R"]
    ) -> OneChanged:
        """Return it for the posterior q given the pseudo-observations (D, N) of all instances, projected by `at`."""
        # B^-1 = R R', so that s = |R'v|^2 and u = R R'v
        half = torch.einsum("dmk,mr->rdk", q.root, at.V[:, instances])
        u = torch.einsum("dmk,rdk->rdm", q.root, half)
        s = half.square().sum(-1)
        own = Marginals((q.mean @ at.V[:, instances]).T, at.unexplained[instances].unsqueeze(-1) + s)
        before = PseudoObservations(pseudo.mean[:, instances].T, pseudo.precision[:, instances].T)
        return cls(u @ at.V, s, u.square().sum(-1), (q.mean * u).sum(-1), own, before)

    def rows(self, rows: Int64[Tensor, " r"]) -> OneChanged:
        """Return the same of some of the R instances."""
        own = Marginals(self.own.mean[rows], self.own.variance[rows])
        before = PseudoObservations(self.pseudo.mean[rows], self.pseudo.precision[rows])
        return OneChanged(self.a[rows], self.s[rows], self.u_square[rows], self.mean_u[rows], own, before)

    def change(self, mean: Float[Tensor, "R D"], precision: Float[Tensor, "R D"]) -> Change:
        """Return the change to these pseudo-observations in place of the instances' own."""
        more = precision - self.pseudo.precision
        growth = 1 + more * self.s
        moved = precision * mean - self.pseudo.precision * self.pseudo.mean
        alpha = (moved - more * self.own.mean) / growth
        return Change(alpha, more / growth, growth.log())

    def kl(self, change: Change) -> Float[Tensor, " R"]:
        """Return by how much KL(q(f_m) || p(f_m)) grows, summed over channels, in nats."""
        # of 1/2 (tr B^-1 + |mean|^2 - log |B^-1|)
        mean = change.alpha * (2 * self.mean_u + change.alpha * self.u_square)
        return 0.5 * (mean - change.beta * self.u_square + change.log_growth).sum(-1)

    def own_marginals(self, change: Change) -> Marginals:
        """Return the marginals (R, D) of the changed instances themselves."""
        mean = self.own.mean + change.alpha * self.s
        return Marginals(mean, self.own.variance - change.beta * self.s.square())

    def marginals(self, change: Change, before: Marginals) -> Marginals:
        """Return the marginals (R, D, N) of all instances after the change of one, given those before."""
        mean = before.mean + change.alpha.unsqueeze(-1) * self.a
        return Marginals(mean, before.variance - change.beta.unsqueeze(-1) * self.a.square())
