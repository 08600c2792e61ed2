"""Gaussians that are optimised for each image, with the coordinates in which they take a step.

The coordinates are zero at the Gaussian itself. Steps in units of standard deviations need no scale: near the best
Gaussian the ELBO's second derivatives in these coordinates are about -1 (mean) and -2 (log standard deviation) for
every image.
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
    """Gaussian N(m, L L') for each of B images, with coordinates around it."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, ...]:
        """Return its parameters, tensors with B rows each."""

    @classmethod
    @abstractmethod
    def from_parts(cls: type[G], parts: Sequence[Tensor]) -> G:
        """Return the Gaussian with these parameters."""

    @classmethod
    @abstractmethod
    def matching(cls: type[G], q: Posterior) -> G:
        """Return the Gaussian of this family that matches the moments of q, which may be of any family."""

    @abstractmethod
    def posterior(self) -> Gaussian:
        """Return the Gaussian as a density."""

    @abstractmethod
    def transform(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        """Return z = m + L eps."""

    @abstractmethod
    def origin(self) -> list[Tensor]:
        """Return the coordinates of this Gaussian itself, which are zero."""

    @abstractmethod
    def moved(self: G, coordinates: Sequence[Tensor]) -> G:
        """Return the Gaussian at these coordinates."""

    @final
    def rows(self: G, index: Tensor) -> G:
        """Return the Gaussians of some images."""
        return self.from_parts([part[index] for part in self.parts()])

    @final
    def to(self: G, like: Tensor) -> G:
        """Return the Gaussian with the device and dtype of `like`."""
        return self.from_parts([part.to(like) for part in self.parts()])

    @final
    def replaced(self: G, index: Tensor, other: G) -> G:
        """Return the Gaussians with those of the images `index` replaced by the rows of `other`."""
        pairs = zip(self.parts(), other.parts(), strict=True)
        return self.from_parts([own.index_copy(0, index, new) for own, new in pairs])

    @final
    def where(self: G, condition: Bool[Tensor, " B"], other: G) -> G:
        """Return this Gaussian for images where `condition` holds, the other elsewhere."""
        pairs = zip(self.parts(), other.parts(), strict=True)
        return self.from_parts(
            [torch.where(condition.reshape(-1, *[1] * (own.ndim - 1)), own, new) for own, new in pairs]
        )


@dataclass(frozen=True)
class AxisAligned(MovableGaussian):
    """Diagonal Gaussian N(m, Diag(s)^2); subclasses define the coordinates."""

    m: Float[Tensor, "B D"]
    s: Float[Tensor, "B D"]

    @classmethod
    def matching(cls: type[A], q: Posterior) -> A:
        """Return the diagonal Gaussian with the mean and the variances of q."""
        q = q.with_weights_fixed()
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
    """Diagonal Gaussian with coordinates (a, b): mean m + s a, standard deviations s exp(b)."""

    def moved(self, coordinates: Sequence[Tensor]) -> MovableDiagonal:
        a, b = coordinates
        return MovableDiagonal(self.m + self.s * a, self.s * b.exp())


class MovableInLatentUnits(AxisAligned):
    """Diagonal Gaussian with coordinates (a, b) as in Kim et al. 2018: mean m + a, standard deviations s exp(b)."""

    def moved(self, coordinates: Sequence[Tensor]) -> MovableInLatentUnits:
        a, b = coordinates
        return MovableInLatentUnits(self.m + a, self.s * b.exp())


@dataclass(frozen=True)
class FullCovariance(MovableGaussian):
    """Full Gaussian N(m, L L'); subclasses define the coordinates."""

    m: Float[Tensor, "B D"]
    chol: Float[Tensor, "B D D"]

    @classmethod
    def matching(cls: type[F], q: Posterior) -> F:
        """Return the Gaussian with the mean of q and its covariance if q is a Gaussian, else its variances."""
        q = q.with_weights_fixed()
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
        # NOTE: autocast would compute the product in half precision, and the samples would have another density.
        with torch.autocast(eps.device.type, enabled=False):
            return self.m + torch.einsum("bij,kbj->kbi", self.chol, eps.expand(-1, len(self.m), -1))

    def origin(self) -> list[Tensor]:
        return [torch.zeros_like(self.m), torch.zeros_like(self.m), torch.zeros_like(self.chol)]


class MovableFull(FullCovariance):
    """Full Gaussian with coordinates (a, b, c): mean m + L a, factor L (Diag(exp(b)) + c), c strictly lower triangular.

    In coordinates whitened by L the ELBO's curvature does not depend on the posterior's correlations. They suit single
    steps, each in the coordinates of the Gaussian that the last step led to.
    """

    def moved(self, coordinates: Sequence[Tensor]) -> MovableFull:
        a, b, c = coordinates
        with torch.autocast(a.device.type, enabled=False):
            m = self.m + (self.chol @ a.unsqueeze(-1)).squeeze(-1)
            # A product of lower triangular factors is lower triangular, so that every step gives a Cholesky factor.
            return MovableFull(m, self.chol @ (torch.diag_embed(b.exp()) + c.tril(-1)))


class MovableFullByRows(FullCovariance):
    """Full Gaussian with coordinates (a, b, c): mean m + s a, factor Diag(exp(b)) (L + Diag(s) c), s the diagonal of L.

    b scales the rows of L, and c changes their shape in units of s. They suit many steps in the same coordinates.
    """

    def moved(self, coordinates: Sequence[Tensor]) -> MovableFullByRows:
        a, b, c = coordinates
        s = self.chol.diagonal(dim1=-2, dim2=-1)
        # c.tril(-1) has a zero diagonal: that of the new factor is exp(b) s, positive for all coordinates.
        chol = b.exp().unsqueeze(-1) * (self.chol + s.unsqueeze(-1) * c.tril(-1))
        return MovableFullByRows(self.m + s * a, chol)
