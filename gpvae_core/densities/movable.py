"""The Gaussians that inference for each image moves, with the coordinates in which each takes a step.

Coordinates are zero at the Gaussian itself. A step in standard deviations is free of scale: near the best Gaussian the
ELBO's second derivatives in these coordinates are about -1 (mean) and -2 (log standard deviation) for every image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Posterior
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian

G = TypeVar("G", bound="MovableGaussian")
A = TypeVar("A", bound="AxisAligned")
F = TypeVar("F", bound="FullCovariance")


class MovableGaussian(ABC):
    """N(m, L L') of B images."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, ...]:
        """Return the tensors that it is made of; each has B rows."""

    @classmethod
    @abstractmethod
    def from_parts(cls: type[G], parts: Sequence[Tensor]) -> G:
        """Return the Gaussian that is made of `parts`."""

    @classmethod
    @abstractmethod
    def matching(cls: type[G], q: Posterior) -> G:
        """Return the Gaussian with the moments of q, as far as it can have them; q may be of any family."""

    @abstractmethod
    def posterior(self) -> Gaussian:
        """Return it as a density."""

    @abstractmethod
    def transform(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        """Return z = m + L eps."""

    @abstractmethod
    def origin(self) -> list[Tensor]:
        """Return the coordinates of this Gaussian itself, all zero."""

    @abstractmethod
    def moved(self: G, by: Sequence[Tensor]) -> G:
        """Return the Gaussian at the coordinates `by`."""

    @final
    def rows(self: G, index: Tensor) -> G:
        """Return those of some images."""
        return self.from_parts([part[index] for part in self.parts()])

    @final
    def to(self: G, like: Tensor) -> G:
        """Return it with the device and type of `like`."""
        return self.from_parts([part.to(like) for part in self.parts()])

    @final
    def replaced(self: G, index: Tensor, other: G) -> G:
        """Return it with those of some images replaced by `other`, which has a row for each."""
        pairs = zip(self.parts(), other.parts(), strict=True)
        return self.from_parts([own.index_copy(0, index, its) for own, its in pairs])

    @final
    def where(self: G, condition: Bool[Tensor, " B"], other: G) -> G:
        """Return rows of this one where `condition` holds, of the other elsewhere."""
        pairs = zip(self.parts(), other.parts(), strict=True)
        return self.from_parts(
            [torch.where(condition.reshape(-1, *[1] * (own.ndim - 1)), own, its) for own, its in pairs]
        )


@dataclass(frozen=True)
class AxisAligned(MovableGaussian):
    """N(m, Diag(s)^2), whatever a step of it is."""

    m: Float[Tensor, "B D"]
    s: Float[Tensor, "B D"]

    @classmethod
    def matching(cls: type[A], q: Posterior) -> A:
        """Return the one with the mean and the variances of q."""
        return cls(q.mean, q.variance.sqrt())

    @classmethod
    def from_parts(cls: type[A], parts: Sequence[Tensor]) -> A:
        return cls(*parts)

    def parts(self) -> tuple[Tensor, ...]:
        return self.m, self.s

    def posterior(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.m, self.s)

    def transform(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        return self.m + self.s * eps

    def origin(self) -> list[Tensor]:
        return [torch.zeros_like(self.m), torch.zeros_like(self.s)]


class MovableDiagonal(AxisAligned):
    """N(m, Diag(s)^2) at (a, b): mean m + s a, standard deviations s exp(b)."""

    def moved(self, by: Sequence[Tensor]) -> MovableDiagonal:
        a, b = by
        return MovableDiagonal(self.m + self.s * a, self.s * b.exp())


class MovableInLatentUnits(AxisAligned):
    """N(m, Diag(s)^2) whose mean moves in latent units, as in Kim et al. 2018: mean m + a, deviations s exp(b)."""

    def moved(self, by: Sequence[Tensor]) -> MovableInLatentUnits:
        a, b = by
        return MovableInLatentUnits(self.m + a, self.s * b.exp())


@dataclass(frozen=True)
class FullCovariance(MovableGaussian):
    """N(m, L L'), whatever a step of it is."""

    m: Float[Tensor, "B D"]
    chol: Float[Tensor, "B D D"]

    @classmethod
    def matching(cls: type[F], q: Posterior) -> F:
        """Return the one with the mean of q, and its covariance where q is a Gaussian, elsewhere its variances."""
        gaussian = q.as_gaussian()
        if gaussian is None or gaussian.scale is not None:
            return cls(q.mean, torch.diag_embed(q.variance.sqrt()))
        return cls(q.mean, gaussian.lower_factor())

    @classmethod
    def from_parts(cls: type[F], parts: Sequence[Tensor]) -> F:
        return cls(*parts)

    def parts(self) -> tuple[Tensor, ...]:
        return self.m, self.chol

    def posterior(self) -> FullGaussian:
        return FullGaussian(self.m, self.chol)

    def transform(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        with torch.autocast(eps.device.type, enabled=False):
            return self.m + torch.einsum("bij,kbj->kbi", self.chol, eps.expand(-1, len(self.m), -1))

    def origin(self) -> list[Tensor]:
        return [torch.zeros_like(self.m), torch.zeros_like(self.m), torch.zeros_like(self.chol)]


class MovableFull(FullCovariance):
    """N(m, L L') at (a, b, c): mean m + L a, factor L (Diag(exp(b)) + c) with c strictly lower triangular.

    In coordinates whitened by L the ELBO's curvature is the same, however correlated the posterior is: for single
    steps, each of which begins at the Gaussian that the last one led to.
    """

    def moved(self, by: Sequence[Tensor]) -> MovableFull:
        a, b, c = by
        with torch.autocast(a.device.type, enabled=False):
            m = self.m + (self.chol @ a.unsqueeze(-1)).squeeze(-1)
            # A product of lower triangular factors is lower triangular: every step leads to a Cholesky factor.
            return MovableFull(m, self.chol @ (torch.diag_embed(b.exp()) + c.tril(-1)))


class MovableFullByRows(FullCovariance):
    """N(m, L L') at (a, b, c): mean m + s a, factor Diag(exp(b)) (L + Diag(s) c), with s the diagonal of L.

    Rows of L are scaled by b, and c changes their shape without a unit: for many steps in the same coordinates.
    """

    def moved(self, by: Sequence[Tensor]) -> MovableFullByRows:
        a, b, c = by
        s = self.chol.diagonal(dim1=-2, dim2=-1)
        chol = b.exp().unsqueeze(-1) * (self.chol + s.unsqueeze(-1) * c.tril(-1))
        return MovableFullByRows(self.m + s * a, chol)
