"""The VI Lab's figures and film are read back: they hold the views' numbers."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from gpvae_core.inspection.vi_lab.lab import VILab
from gpvae_core.inspection.vi_lab.views import PathView, StepsView
from gpvae_core.plots import inference_steps
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.vi.inference import VISettings


def settings(**given: Any) -> VISettings:
    return VISettings(target="correlated", **given)  # pyright: ignore[reportArgumentType]


SETTINGS = {
    "A": settings(family="mean-field", method="black-box:8", steps=3),
    "B": settings(method="stein-particles:4", steps=3),
}


@pytest.fixture(scope="module")
def lab() -> VILab:
    return VILab()


@pytest.fixture(scope="module")
def view(lab: VILab) -> StepsView:
    return lab.steps(SETTINGS, "forward-kl")


def trace(fig: go.Figure, name: str) -> Any:
    return next(one for one in fig.data if one.name == name)


def test_bounds_lie_on_both_sides_of_log_px(view: StepsView) -> None:
    fig = inference_steps.bounds(view, LIGHT)
    assert list(trace(fig, "log p(x)").y) == [view.log_px] * 2
    elbo, cubo = trace(fig, "ELBO of A").y, trace(fig, "CUBO of A").y
    np.testing.assert_allclose(elbo, view.paths["A"].elbo)
    assert (elbo <= view.log_px + 1e-6).all()
    assert (cubo[np.isfinite(cubo)] >= view.log_px - 1e-6).all()
    low, high = fig.layout.yaxis.range
    assert low < view.log_px < high
    assert "nats" in fig.layout.yaxis.title.text
    assert inference_steps.bounds(view, DARK).layout.paper_bgcolor == DARK.paper


def test_the_chosen_divergence_is_drawn(view: StepsView) -> None:
    fig = inference_steps.divergences(view, LIGHT)
    np.testing.assert_allclose(trace(fig, "A").y, view.paths["A"].divergences["forward-kl"])
    assert fig.layout.yaxis.title.text == "forward-kl (nats)"
    assert {trace(fig, "A").line.dash, trace(fig, "B").line.dash} == {"solid", "dash"}


def test_the_film_moves_outlines_particles_and_dots(lab: VILab, view: StepsView) -> None:
    film = inference_steps.frames(view, LIGHT, {"A": "a", "B": "b"}, "bounds", "divergence")
    assert len(film["words"]) == 4
    _, outline, _ = film["views"]["a"]
    assert len(outline["paths"]) == 4
    assert all(path.startswith("M") for path in outline["paths"])
    (cloud,) = film["views"]["b"]
    np.testing.assert_allclose(cloud["dots"][2], view.paths["B"].particles[2], atol=1e-4)
    line, dot, *_ = film["views"]["bounds"]
    assert line["trail"][3] == [3.0, pytest.approx(view.paths["A"].elbo[3], abs=1e-4)]
    assert dot["dots"][3] == [line["trail"][3]]
    assert "A: ELBO " in film["words"][0]
    assert "B: 4 particles" in film["words"][0]


def test_contours_name_what_moves_over_them(lab: VILab) -> None:
    figures = [inference_steps.contours(lab.path(SETTINGS[side]), side, LIGHT) for side in ("A", "B")]
    assert trace(figures[0], "q(z) of A").line.color == LIGHT.base
    assert trace(figures[1], "particles of B").line.color == inference_steps.colour("B", LIGHT)
    assert figures[0].layout.xaxis.title.text == "z1", "a target has no prior by which its latents are scaled"
    view: PathView = lab.path(SETTINGS["A"])
    np.testing.assert_allclose(figures[0].data[0].z, view.truth.log_density, atol=1e-4)


def test_weighted_bounds_lie_below_log_px(lab: VILab) -> None:
    view = lab.sampled_bounds(SETTINGS)
    fig = inference_steps.sampled_bounds(view, LIGHT)
    np.testing.assert_allclose(trace(fig, "A").y, [bound.mean for bound in view.bounds["A"]])
    assert list(trace(fig, "A").x) == [1, 2, 4, 8, 16, 32, 64]
    assert fig.layout.yaxis.range[0] < view.bounds["A"][0].mean < view.log_px < fig.layout.yaxis.range[1]


def test_noise_is_drawn_for_every_estimator(lab: VILab) -> None:
    view = lab.noise(SETTINGS["A"], "samples", at_end=False, repeats=4)
    fig = inference_steps.noise(view, LIGHT)
    assert {one.name for one in fig.data} == set(view.variances)
    np.testing.assert_allclose(trace(fig, "score").y, view.variances["score"])
    assert (fig.layout.xaxis.type, fig.layout.yaxis.type) == ("log", "log")
    looks = {(one.line.color, one.line.dash, one.marker.symbol) for one in fig.data}
    assert len(looks) == len(view.variances)
