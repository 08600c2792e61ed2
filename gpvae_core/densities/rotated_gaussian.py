"""A diagonal Gaussian rotated by reflections: the posterior of the Householder flow (Tomczak & Welling 2016)."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Samples
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian


def reflect(z: Float[Tensor, "K B D"], v: Float[Tensor, "B D"]) -> Float[Tensor, "K B D"]:
    """Return (I - 2 v v') z for unit vectors v. The reflection is its own inverse."""
    # (I - 2 v v')(I - 2 v v') = I - 4 v v' + 4 v (v'v) v' = I, as v'v = 1
    return z - 2.0 * (z * v).sum(-1, keepdim=True) * v


class RotatedGaussian(Gaussian):
    """Rotated Gaussian N(Q m, Q Diag(s)^2 Q') with Q = H_T ... H_1, H_t the reflection along the unit vector v[t-1]."""

    def __init__(self, start: DiagonalGaussian, v: Float[Tensor, "T B D"]) -> None:
        self.start, self.v = start, v

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        # |det Q| = 1: log q is that of the sample before the rotation.
        z, log_q = self.start.rsample_and_log_prob(k, generator)
        return self._rotate(z), log_q

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        # Q' = H_1 ... H_T: the same reflections, the last one first.
        for v in self.v.flip(0):
            z = reflect(z, v)
        return self.start.log_prob(z)

    def _rotate(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B D"]:
        for v in self.v:
            z = reflect(z, v)
        return z

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self._rotate(self.start.m.unsqueeze(0)).squeeze(0)

    @cached_property
    def factor(self) -> Float[Tensor, "B D D"]:
        """A = Q Diag(s), a square root of the covariance A A'."""
        # Column k of Diag(s) is rotated as sample k of K = D: (B, D, D) -> (D, B, D) and back.
        columns = torch.diag_embed(self.start.s).movedim(-1, 0)
        return self._rotate(columns).movedim(0, -1)

    @property
    def scale(self) -> None:
        return None

    def lower_factor(self) -> Float[Tensor, "B D D"]:
        # A' = O R with O orthogonal, so A A' = R' O' O R = R' R: L = R', each row of R with the sign that makes the
        # diagonal positive.
        with torch.autocast(self.start.s.device.type, enabled=False):
            r = torch.linalg.qr(self.factor.mT).R
        return (r * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-1)).mT

    def log_det(self) -> Float[Tensor, " B"]:
        return self.start.log_det()

    def whiten(self, columns: Float[Tensor, "B D C"]) -> Float[Tensor, "B D C"]:
        return torch.linalg.solve_triangular(self.lower_factor(), columns, upper=False)

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.factor.square().sum(-1)

    def kl_to(self, p: Gaussian) -> Float[Tensor, " B"]:
        # The KL does not change if both densities are rotated by Q', which makes q diagonal and leaves such a p alone.
        if p.same_in_every_frame:
            return self.start.kl_to(p)
        return p.kl_from(self.mean, self.factor, self.log_det())

    def detached(self) -> RotatedGaussian:
        return RotatedGaussian(self.start.detached(), self.v.detach())
