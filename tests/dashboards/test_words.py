"""What the pages say: each number beside its scale, and each family of posteriors by its name."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.explorer.all_images import rank
from dashboards.explorer.approximations import RunGaps, verdict
from dashboards.explorer.request import ComparedRun, ExplorerRequest
from dashboards.lab.words import mapa_words
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.views import Instance, UncertaintyView
from gpvae_core.plots.theme import LIGHT
from gpvae_core.progress import silent
from gpvae_core.runs import load_run


@pytest.mark.parametrize(
    ("kl", "words"),
    [(0.1, "closely"), (0.9, "roughly"), (1.9, "poorly"), (74.28, "less well than the uniform distribution")],
)
def test_the_kl_of_mapa_stands_beside_that_of_the_uniform_distribution(kl: float, words: str) -> None:
    said = mapa_words(kl, 2.0, "training images")
    assert f"KL(empiricalized ‖ MAPA) = {kl:.2f} nats; for the uniform distribution" in said
    assert "it is 2.00 nats" in said
    assert said.endswith(f"{words}.")


def uncertainty_view(trace_f: float, percentile: float) -> UncertaintyView:
    """V[f] of 100 test images from 0 to 1, beside a variance v of 0.5 and no V[h]."""
    nothing = np.zeros(100)
    return UncertaintyView(
        trace_f, 0.0, np.array([trace_f]), np.zeros(1), np.array([0.5]), np.linspace(0, 1, 100), nothing, percentile,
        np.arange(0), nothing, (1e-6, 1.0),
    )  # fmt: skip


def test_an_uncertainty_stands_beside_the_variance_of_which_it_is_a_part() -> None:
    view = uncertainty_view(1.5e-6, 67.0)
    assert rank(view) == (
        "the encoder is less certain here than on 67 % of the test images (Tr V[f] + Tr V[h] is 0.0003 % of Tr v, the "
        "variance of q(z|x))"
    )
    assert "more certain here than on any test image (" in rank(replace(view, percentile=0.0))
    assert "less certain here than on any other test image (" in rank(replace(view, percentile=100.0))


def request_for(explorer: Explorer, instance: Instance, **more: Any) -> ExplorerRequest:
    """The request of an Explorer page that shows one run."""
    chosen: Any = {"plane": "principal", "colour": "class", "against": "inference gap", "bandwidth": "sigma_x"} | more
    run = ComparedRun(explorer.run.name, explorer, instance)
    return ExplorerRequest((run,), 0, **chosen, coordinates=1, theme=LIGHT, identity=instance.key)


def sentence(pane: Any, request: ExplorerRequest) -> str:
    return str(pane.draw(pane.compute(request, silent), request).sentence)


@pytest.mark.parametrize("name", ["tiny-vae", "deep-gp"])
def test_an_image_unlike_the_data_is_said_to_be_so_before_anything_else(runs: Path, name: str) -> None:
    explorer = Explorer(load_run(runs / name, device="cpu"), gap_sample=10)
    exact = name == "tiny-vae"  # quadrature at d = 2, annealing above

    def line(instance: Instance) -> str:
        return html.unescape(verdict(request_for(explorer, instance)))

    white = explorer.place(np.ones((1, 8, 8), dtype=np.float32), "drawn")
    assert f"whether it is like the data of {name} is known once" in line(white)
    assert "whether it is like" not in line(explorer.instance(0)), "a test image is"
    explorer.prepare()
    gaps = sentence(RunGaps(), request_for(explorer, white))
    for said, mark in ((gaps, "provisional"), (line(white), "provisional"), (line(white), "is being computed")):
        assert (mark in said) is not exact
    explorer.best_gaussian(white)
    said = line(white)
    assert "provisional" not in said
    start = f'(your own: the address of this page cannot hold it)<br><span class="unlike">unlike the data of {name}: '
    assert start in said
    assert said.index("unlike") < said.index("its ELBO")
    assert "below that of all 10 test images (lowest: " in said
    known = explorer.map_view().gap
    assert known is not None
    usual = line(explorer.instance(int(np.flatnonzero(np.isfinite(known))[0])))
    assert "unlike" not in usual
    assert "% of 10 test images" in usual
