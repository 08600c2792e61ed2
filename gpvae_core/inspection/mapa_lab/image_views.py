"""The views of image models that the MAPA Lab shows, as plain numpy data. Pixels are in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.inspection.views import Array, IndexComparison, Indices, LabelledMap


@dataclass(frozen=True)
class Slider:
    """A hyper-parameter of an image model's kernel, for whoever builds its control."""

    name: str
    label: str
    low: float
    high: float
    default: float
    logarithmic: bool
    help: str


@dataclass(frozen=True)
class Neighbour:
    """One training image among the most probable of a list."""

    index: int
    """In the training split."""
    label: str | None
    image: Array
    """(C, H, W) in [0, 1]."""
    probability: float
    """Under the list's own index posterior."""
    distance: float
    """Root mean square difference to the test image, in pixel units."""
    latent_distance: float
    """Distance of the two codes, prior sd."""
    shared: bool
    """True where the other list has it too."""


@dataclass(frozen=True)
class NeighboursView(IndexComparison):
    """The training images nearest in latent space: by the pixels alone (MAPA), and by the empiricalized model."""

    title: str
    image: Array
    """(C, H, W) the test image."""
    label: str | None
    reconstruction: Array
    """(C, H, W) decoded from its code."""
    mapa: tuple[Neighbour, ...]
    """k of them, most probable first."""
    empirical: tuple[Neighbour, ...]
    """k of them, most probable first."""
    overlap: int
    """Training images that both lists have."""
    n_total: int
    """N, training images."""
    kernel: str
    """The kernel in words with its hyper-parameters."""
    note: str
    """One sentence on what is exact and what is not; empty where all is."""


@dataclass(frozen=True)
class CodesView(LabelledMap):
    """The codes of training images on a map, those of the neighbours among them."""

    place: Array
    """(2,) of the test image's own code."""
    mapa: Indices
    """Rows of `xy` that are neighbours by MAPA."""
    empirical: Indices
    """Rows of `xy` that are neighbours by the empiricalized posterior."""
    x_label: str
    y_label: str
    note: str
    """The map in words: the latent plane, or the first two principal components; and the sample shown."""
