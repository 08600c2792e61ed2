"""p(z|x) by quadrature where there is one: the line at d = 1, the grid at d = 2. The latent space is decoded once."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.grid import Atlas, GridPosterior, true_posteriors
from gpvae_core.truth.line import Line
from gpvae_core.truth.line_posterior import LinePosterior, line_posteriors
from gpvae_core.vae import GenerativeModel

T = TypeVar("T")
TruePosterior = GridPosterior | LinePosterior


class BuiltOnce(Generic[T]):
    """A value that the first thread to ask builds and the others wait for; a build that fails is tried again."""

    def __init__(self, build: Callable[[Progress], T]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._value: T | None = None

    @property
    def ready(self) -> bool:
        return self._value is not None

    def get(self, progress: Progress = silent) -> T:
        with self._lock:
            if self._value is None:
                self._value = self._build(progress)
            return self._value


class Quadrature(ABC):
    """The true posterior of any image under one model, from a latent space that is decoded at the first question."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether nothing is left to decode before the first image."""

    @abstractmethod
    def prepare(self, progress: Progress = silent) -> None:
        """Decode what is left to decode."""

    @abstractmethod
    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        """Return p(z|x) of each image. Raises UserError where there is no quadrature."""

    @abstractmethod
    def line(self, progress: Progress = silent) -> Line:
        """Return the decoded latent line. Raises UserError unless d = 1."""

    @abstractmethod
    def atlas(self, progress: Progress = silent) -> Atlas:
        """Return the decoded latent plane. Raises UserError unless d = 2."""


class LineQuadrature(Quadrature):
    """Quadrature along the latent line, d = 1."""

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
    """Quadrature on a checked grid over the latent plane, d = 2."""

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
    """More latent dimensions than a quadrature can take: every question is refused in one clear line."""

    def __init__(self, model: GenerativeModel) -> None:
        self._latent_dim = model.latent_dim

    @property
    def ready(self) -> bool:
        return True

    def prepare(self, progress: Progress = silent) -> None:
        pass  # there is nothing to decode

    def posteriors(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        raise UserError(
            "the true posterior by quadrature wants a run with 1 or 2 latent dimensions, "
            f"this one has {self._latent_dim}: sample it by Hamiltonian Monte Carlo instead (posterior_samples)"
        )

    def line(self, progress: Progress = silent) -> Line:
        raise _no_quadrature(1, self._latent_dim)

    def atlas(self, progress: Progress = silent) -> Atlas:
        raise _no_quadrature(2, self._latent_dim)


def _no_quadrature(wanted: int, got: int) -> UserError:
    where = {1: "along a line wants 1 latent dimension", 2: "on a grid wants 2 latent dimensions"}[wanted]
    return UserError(f"the true posterior by quadrature {where}, this model has {got}")


QUADRATURE_OF = {1: LineQuadrature, 2: GridQuadrature}
"""Latent dimensions -> the quadrature there is."""


def quadrature_for(model: GenerativeModel) -> Quadrature:
    """Return the quadrature for the model's number of latent dimensions."""
    return QUADRATURE_OF.get(model.latent_dim, NoQuadrature)(model)
