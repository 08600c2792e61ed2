"""Views with known numbers: a bimodal posterior, gaps that add up, histograms of a known sample."""

from __future__ import annotations

import numpy as np
import pytest

from gpvae_core.inspection.uncertainty_views import FigureOneItem, UncertaintyCorrelation, UncertaintyView
from gpvae_core.inspection.views import (
    CoordinateTrace,
    GapView,
    GaussianShape,
    MapView,
    Plane,
    PosteriorView,
    Reconstruction,
    ReconstructionView,
    TracesView,
)


def make_posterior(shift: float = 0.0) -> PosteriorView:
    """0.7 N((0,0), 0.2^2) + 0.3 N((1 + shift, 0.6), 0.15^2), unnormalised beyond the mixture's own constants."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(-1.0, 2.0, 61), np.linspace(-1.0, 1.5, 51)
    first = -0.5 * (x[None] ** 2 + y[:, None] ** 2) / 0.2**2 + np.log(0.7 / 0.2**2)
    second = -0.5 * ((x[None] - 1 - shift) ** 2 + (y[:, None] - 0.6) ** 2) / 0.15**2 + np.log(0.3 / 0.15**2)
    log_density = np.logaddexp(first, second) - np.log(2 * np.pi)
    peak = log_density.max()
    plane = Plane(np.zeros(2), np.eye(2), "z1 (prior sd)", "z2 (prior sd)", False, "")
    shapes = (
        GaussianShape("GP encoder", np.array([0.2, 0.1]), np.diag([0.09, 0.04])),
        GaussianShape("best Gaussian, diagonal", np.zeros(2), np.diag([0.05, 0.04])),
        GaussianShape("best Gaussian, full", np.zeros(2), np.array([[0.05, 0.02], [0.02, 0.04]])),
    )
    weights = np.array([0.6, 0.3, 0.1])
    return PosteriorView(
        x, y, log_density, plane, ((0.5, peak - 0.8), (0.9, peak - 2.5), (0.99, peak - 5.0)),
        rng.normal(0.1, 0.25, (80, 2)), shapes, rng.normal(0.0, 0.2, (3, 2)), weights,
        np.array([[0.0, 0.0], [1.0, 0.6]]), "the base encoder",
    )  # fmt: skip


def make_uncertainty() -> UncertaintyView:
    rng = np.random.default_rng(1)
    f, h = rng.gamma(2.0, 0.02, 300), rng.gamma(3.0, 0.004, 300)
    gaps = {k: np.abs(rng.normal(1.0, 0.6, 90)) for k in ("inference gap", "negentropy")}
    return UncertaintyView(
        0.07, 0.012, np.array([0.05, 0.02]), np.array([0.004, 0.008]), np.array([0.3, 0.4]), f, h, 81.0,
        np.arange(90), (f + h)[:90],
        (0.001, 0.2), gaps,
        (UncertaintyCorrelation("inference gap", 0.31, 0.12, 0.48, 90),),
    )  # fmt: skip


def make_reconstruction(seed: int = 2) -> ReconstructionView:
    rng = np.random.default_rng(seed)
    image = rng.random((1, 8, 8))
    names = ("base encoder", "GP encoder (marginalised)", "best Gaussian", "posterior mode")
    items = []
    for name in names:
        other = np.clip(image + rng.normal(0, 0.15, image.shape), 0, 1)
        error = (other - image).mean(0)
        items.append(Reconstruction(name, other, error, float(np.sqrt((error**2).mean()))))
    return ReconstructionView(image, tuple(items), rng.random((8, 1, 8, 8)), "8 samples of the true posterior, decoded")


def make_map(n: int = 200) -> MapView:
    rng = np.random.default_rng(3)
    gap = rng.gamma(2.0, 1.0, n)
    gap[n // 2 :] = np.nan
    return MapView(
        np.arange(n) * 2, rng.normal(size=(n, 2)), np.arange(n) % 10, tuple("0123456789"), rng.random(n), gap,
        f"all {n} test images",
    )  # fmt: skip


def make_traces(d: int = 2) -> TracesView:
    rng = np.random.default_rng(4)
    x = np.linspace(-2, 2, 101)
    traces = []
    for j in range(d):
        z = rng.normal(0, 0.4, 40)
        traces.append(
            CoordinateTrace(x, -0.5 * x**2 / 0.09, z, -0.5 * z**2 / 0.09, -0.5 * z**2 / 0.12 - 0.4, f"z{j + 1}")
        )
    return TracesView(tuple(traces), 0.12, "sigma_x", 0.8, "The line is the profile.", 1.9)


def make_gaps() -> tuple[GapView, GapView]:
    return (
        GapView("gp", -50.0, "grid", -50.2, -50.5, -52.0, 0.3, 2),
        GapView("vae", -48.0, "grid", None, None, -51.0, None, None),
    )


def make_figure_one() -> tuple[FigureOneItem, ...]:
    images = np.random.default_rng(5).random((6, 2, 1, 8, 8))
    return tuple(
        FigureOneItem(10 * k, 0.01 * (k + 1), make_posterior(0.1 * k), *images[k], variance=0.5) for k in range(6)
    )


posterior_view = pytest.fixture(name="posterior_view")(make_posterior)
uncertainty_view = pytest.fixture(name="uncertainty_view")(make_uncertainty)
reconstruction_view = pytest.fixture(name="reconstruction_view")(make_reconstruction)
map_view = pytest.fixture(name="map_view")(make_map)
traces_view = pytest.fixture(name="traces_view")(make_traces)
gap_views = pytest.fixture(name="gap_views")(make_gaps)
figure_one_items = pytest.fixture(name="figure_one_items")(make_figure_one)
