"""The true posterior p(z|x) by quadrature over a latent line (d = 1) or plane (d = 2) that is decoded once."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior, true_posteriors
from gpvae_core.truth.line import Line
from gpvae_core.truth.line_posterior import LinePosterior, line_posteriors
from gpvae_core.vae import GenerativeModel

T = TypeVar("T")
TruePosterior = GridPosterior | LinePosterior


class BuiltOnce(Generic[T]):
    """A value that is built at its first use: one thread builds it, others wait; a build that fails is tried again."""

    def __init__(self, build: Callable[[Progress], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._value: T | None = None

    @property
    def ready(self) -> bool:
        """Whether the value is built."""
        return self._value is not None

    def get(self, progress: Progress = silent) -> T:
        """Return the value, after building it where that is not done yet."""
        with self._lock:  # held while building, so that a second thread waits instead of building another one
            if self._value is None:
                self._value = self._build(progress)
            return self._value


class Quadrature(ABC):
    """The true posteriors of one model, from a latent space that is decoded at the first use."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether the latent space is already decoded."""

    @abstractmethod
    def prepare(self, progress: Progress = silent) -> None:
        """Decode the latent space where that is not done yet."""

    @abstractmethod
    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        """Return p(z|x) of each image.

        Raises:
            UserError: the model has more than 2 latent dimensions.
        """

    @abstractmethod
    def line(self, progress: Progress = silent) -> Line:
        """Return the decoded latent line.

        Raises:
            UserError: the model does not have exactly 1 latent dimension.
        """

    @abstractmethod
    def atlas(self, progress: Progress = silent) -> Atlas:
        """Return the decoded latent plane.

        Raises:
            UserError: the model does not have exactly 2 latent dimensions.
        """


class LineQuadrature(Quadrature):
    """Quadrature along the latent line, for d = 1."""

    def __init__(self, model: GenerativeModel) -> None:
        self._line = BuiltOnce(lambda progress: Line.build(model, progress=progress))

    @property
    def ready(self) -> bool:
        return self._line.ready

    def prepare(self, progress: Progress = silent) -> None:
        self._line.get(progress)

    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        return line_posteriors(self.line(progress), x)

    def line(self, progress: Progress = silent) -> Line:
        return self._line.get(progress)

    def atlas(self, progress: Progress = silent) -> Atlas:
        raise _no_quadrature(2, 1)


class GridQuadrature(Quadrature):
    """Quadrature on a checked grid over the latent plane, for d = 2."""

    def __init__(self, model: GenerativeModel) -> None:
        self._model = model
        self._atlas = BuiltOnce(lambda progress: Atlas.build(model, progress=progress))

    @property
    def ready(self) -> bool:
        return self._atlas.ready

    def prepare(self, progress: Progress = silent) -> None:
        self._atlas.get(progress)

    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        return true_posteriors(self._model, self.atlas(progress), x)

    def line(self, progress: Progress = silent) -> Line:
        raise _no_quadrature(1, 2)

    def atlas(self, progress: Progress = silent) -> Atlas:
        return self._atlas.get(progress)


class NoQuadrature(Quadrature):
    """Stand-in for d > 2, where quadrature is not feasible; its methods raise a UserError."""

    def __init__(self, model: GenerativeModel) -> None:
        self._latent_dim = model.latent_dim

    @property
    def ready(self) -> bool:
        return True

    def prepare(self, progress: Progress = silent) -> None:
        pass  # nothing to decode

    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        raise UserError(
            "the true posterior by quadrature wants a run with 1 or 2 latent dimensions, "
            f"this one has {self._latent_dim}: sample it by Hamiltonian Monte Carlo instead (posterior_samples)"
        )

    def line(self, progress: Progress = silent) -> Line:
        raise _no_quadrature(1, self._latent_dim)

    def atlas(self, progress: Progress = silent) -> Atlas:
        raise _no_quadrature(2, self._latent_dim)


def _no_quadrature(required: int, latent_dim: int) -> UserError:
    requirement = {1: "along a line wants 1 latent dimension", 2: "on a grid wants 2 latent dimensions"}[required]
    return UserError(f"the true posterior by quadrature {requirement}, this model has {latent_dim}")


QUADRATURE_OF = {1: LineQuadrature, 2: GridQuadrature}
"""Number of latent dimensions -> class of the quadrature."""


def quadrature_for(model: GenerativeModel) -> Quadrature:
    """Return the quadrature for the model's number of latent dimensions."""
    return QUADRATURE_OF.get(model.latent_dim, NoQuadrature)(model)
