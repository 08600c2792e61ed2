"""The views of image models in the MAPA Lab, as plain numpy data. Pixels are in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.inspection.views import Array, IndexComparison, Indices, LabelledMap


@dataclass(frozen=True)
class Slider:
    """Description of the slider that controls a hyper-parameter of a kernel."""

    name: str
    label: str
    low: float
    high: float
    default: float
    logarithmic: bool
    help: str


@dataclass(frozen=True)
class Neighbour:
    """A training image in a list of the most probable ones."""

    index: int
    """Index in the training split."""
    label: str | None
    image: Array
    """(C, H, W) in [0, 1]."""
    probability: float
    """Probability under the list's index posterior."""
    distance: float
    """Root mean square difference to the test image, in pixel units."""
    latent_distance: float
    """Distance of the two codes, in prior standard deviations."""
    shared: bool
    """Whether the other list contains the image too."""


@dataclass(frozen=True)
class NeighboursView(IndexComparison):
    """The most probable training images under MAPA, which uses the pixels alone, and under the empiricalized model."""

    title: str
    image: Array
    """(C, H, W) the test image."""
    label: str | None
    reconstruction: Array
    """(C, H, W) decoded from its code."""
    mapa: tuple[Neighbour, ...]
    """The k most probable images under MAPA, most probable first."""
    empirical: tuple[Neighbour, ...]
    """The k most probable images under the empiricalized model, most probable first."""
    overlap: int
    """Number of training images in both lists."""
    n_total: int
    """Number of training images, N."""
    kernel: str
    """The kernel with its hyper-parameters, in words."""
    note: str
    """One sentence on the approximations; empty if everything is exact."""


@dataclass(frozen=True)
class CodesView(LabelledMap):
    """A map of the codes of training images, among them the neighbours."""

    place: Array
    """(2,) position of the test image's own code."""
    mapa: Indices
    """Rows of `xy` of the neighbours under MAPA."""
    empirical: Indices
    """Rows of `xy` of the neighbours under the empiricalized model."""
    x_label: str
    y_label: str
    note: str
    """One sentence on the map (latents or principal components) and the displayed sample."""
