"""The Gaussians that a refiner moves, each with the coordinates in which it takes a step.

Coordinates are zero at the Gaussian itself. A step in standard deviations is free of scale: near the best Gaussian the
ELBO's second derivatives in these coordinates are about -1 (mean) and -2 (log standard deviation) for every image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.encoders.full_gaussian import CorrelatedGaussian, FullGaussian
from gpvae_core.encoders.gaussian import DiagonalGaussian
from gpvae_core.refiners.refined import Refined


class Movable(ABC):
    """N(m, L L') of B images."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, ...]:
        """What it is made of; each has B rows."""

    @abstractmethod
    def of(self, parts: Sequence[Tensor]) -> Movable:
        """One of the same kind made of `parts`."""

    @abstractmethod
    def posterior(self) -> DiagonalGaussian | FullGaussian: ...

    @abstractmethod
    def at(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        """z = m + L eps."""

    @abstractmethod
    def zeros(self) -> list[Tensor]:
        """The coordinates of this Gaussian itself."""

    @abstractmethod
    def moved(self, by: Sequence[Tensor]) -> Movable:
        """The Gaussian at the coordinates `by`."""


@dataclass(frozen=True)
class Diagonal(Movable):
    """N(m, Diag(s)^2) at (a, b): mean m + s a, standard deviations s exp(b)."""

    m: Float[Tensor, "B D"]
    s: Float[Tensor, "B D"]

    @staticmethod
    def matching(q: Posterior) -> Diagonal:
        """With the mean and the variances of q, which may be of any family."""
        return Diagonal(q.mean, q.variance.sqrt())

    def parts(self) -> tuple[Tensor, ...]:
        return self.m, self.s

    def of(self, parts: Sequence[Tensor]) -> Diagonal:
        return Diagonal(*parts)

    def posterior(self) -> DiagonalGaussian:
        return DiagonalGaussian(self.m, self.s)

    def at(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        return self.m + self.s * eps

    def zeros(self) -> list[Tensor]:
        return [torch.zeros_like(self.m), torch.zeros_like(self.s)]

    def moved(self, by: Sequence[Tensor]) -> Diagonal:
        a, b = by
        return Diagonal(self.m + self.s * a, self.s * b.exp())


@dataclass(frozen=True)
class LatentUnits(Movable):
    """As `Diagonal`, with the mean moved in latent units, as in Kim et al. 2018: mean m + a, deviations s exp(b)."""

    inner: Diagonal

    @staticmethod
    def matching(q: Posterior) -> LatentUnits:
        return LatentUnits(Diagonal.matching(q))

    def parts(self) -> tuple[Tensor, ...]:
        return self.inner.parts()

    def of(self, parts: Sequence[Tensor]) -> LatentUnits:
        return LatentUnits(Diagonal(*parts))

    def posterior(self) -> DiagonalGaussian:
        return self.inner.posterior()

    def at(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        return self.inner.at(eps)

    def zeros(self) -> list[Tensor]:
        return self.inner.zeros()

    def moved(self, by: Sequence[Tensor]) -> LatentUnits:
        a, b = by
        return LatentUnits(Diagonal(self.inner.m + a, self.inner.s * b.exp()))


@dataclass(frozen=True)
class Full(Movable):
    """N(m, L L') at (a, b, c): mean m + L a, factor L (Diag(exp(b)) + c) with c strictly lower triangular."""

    m: Float[Tensor, "B D"]
    chol: Float[Tensor, "B D D"]

    @staticmethod
    def matching(q: Posterior) -> Full:
        """With the mean of q, and its covariance where q is a Gaussian (refined or not), else its variances."""
        if isinstance(q, Refined):
            return Full.matching(q.answer)
        correlated = isinstance(q, CorrelatedGaussian)
        return Full(q.mean, q.lower_factor() if correlated else torch.diag_embed(q.variance.sqrt()))

    def parts(self) -> tuple[Tensor, ...]:
        return self.m, self.chol

    def of(self, parts: Sequence[Tensor]) -> Full:
        return Full(*parts)

    def posterior(self) -> FullGaussian:
        return FullGaussian(self.m, self.chol)

    def at(self, eps: Float[Tensor, "K 1 D"]) -> Float[Tensor, "K B D"]:
        with torch.autocast(eps.device.type, enabled=False):
            return self.m + torch.einsum("bij,kbj->kbi", self.chol, eps.expand(-1, len(self.m), -1))

    def zeros(self) -> list[Tensor]:
        return [torch.zeros_like(self.m), torch.zeros_like(self.m), torch.zeros_like(self.chol)]

    def moved(self, by: Sequence[Tensor]) -> Full:
        a, b, c = by
        with torch.autocast(a.device.type, enabled=False):
            m = self.m + (self.chol @ a.unsqueeze(-1)).squeeze(-1)
            return Full(m, self.chol @ (torch.diag_embed(b.exp()) + c.tril(-1)))
