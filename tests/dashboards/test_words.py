"""What the pages say: each number beside its scale, and each family of posteriors by its name."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dashboards.explorer.all_images import EncoderUncertainty, rank
from dashboards.explorer.approximations import PROVISIONAL, Reconstructions, RunGaps, not_known_yet, unlike, verdict
from dashboards.explorer.posteriors import FigureOne, TruePosterior
from dashboards.explorer.request import ComparedRun, ExplorerRequest
from dashboards.lab.library import RunLibrary
from dashboards.lab.words import abbreviations, mapa_words, method_words
from dashboards.mapa_lab.points import bound_words
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.encoders.base import ENCODERS
from gpvae_core.errors import UserError
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.uncertainty_views import UncertaintyView
from gpvae_core.inspection.views import Instance, SampleRange, Value
from gpvae_core.methods import methods
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.theme import LIGHT
from gpvae_core.progress import silent
from gpvae_core.runs import load_run
from tests.inspection.conftest import make_run


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
    known = explorer.knows_best(instance)
    return ExplorerRequest((run,), 0, **chosen, coordinates=1, theme=LIGHT, identity=instance.key, refined=known)


def sentence(pane: Any, request: ExplorerRequest) -> str:
    return str(pane.draw(pane.compute(request, silent), request).sentence)


def test_an_image_unlike_the_data_is_said_to_be_so_before_anything_else(runs: Path) -> None:
    explorer = Explorer(load_run(runs / "tiny-vae", device="cpu"), gap_sample=4)

    def line(instance: Instance) -> str:
        return html.unescape(verdict(request_for(explorer, instance)))

    white = explorer.place(np.ones((1, 8, 8), dtype=np.float32), "drawn")
    assert "whether it is like the data of tiny-vae is known once the gaps of the test images are" in line(white)
    assert "whether it is like" not in line(explorer.instance(0)), "a test image is"
    tested = explorer._stages.gaps().index
    said = line(white)
    assert (
        '(your own: the address of this page cannot hold it)<br><span class="unlike">unlike the data of tiny-vae: '
    ) in said
    assert said.index("unlike") < said.index("its ELBO")
    assert "below that of all 4 test images (lowest: " in said
    usual = line(explorer.instance(int(tested[0])))
    assert "unlike" not in usual
    assert "% of 4 test images" in usual


def test_a_provisional_bound_is_called_so_and_tells_nothing_yet(runs: Path) -> None:
    explorer = Explorer(load_run(runs / "deep-gp", device="cpu"))
    request = request_for(explorer, explorer.instance(0))
    assert sentence(RunGaps(), request).endswith(PROVISIONAL)
    quick = explorer.gap_view(explorer.instance(0))
    tested = SampleRange(np.array([quick.log_px + 1.0]), np.zeros(1))
    assert unlike(quick, tested) == ""
    assert not_known_yet(quick, tested) == "whether it is like the data of deep-gp is being computed."
    known = replace(quick, best_diagonal_elbo=quick.encoder_elbo)
    assert unlike(known, tested).startswith("unlike the data of deep-gp: its log p(x) of ")
    assert not_known_yet(known, tested) == ""
    assert unlike(known, replace(tested, log_px=tested.log_px - 1.0)) == "", "it is the lowest itself"


FAMILIES = {
    "batch_norm": ("batch-normalised diagonal Gaussian", "q(z|x)"),
    "coupling": ("coupling flow", "the Gaussian before the flow"),
    "delta": ("diagonal Gaussian of a delta-VAE", "q(z|x)"),
    "full": ("full-covariance Gaussian", "q(z|x)"),
    "gaussian": ("diagonal Gaussian", "q(z|x)"),
    "gp": ("GP encoder, marginalised over its random functions", "the base encoder"),
    "householder": ("Householder flow (HF)", "q(z|x)"),
    "iaf": ("inverse autoregressive flow (IAF)", "the Gaussian before the flow"),
    "mixture": ("mixture of Gaussians (ME)", "q(z|x)"),
    "recursive_mixture": ("recursive mixture of Gaussians (RME)", "q(z|x)"),
}
"""Kind of encoder -> what its family and the dots of the True posterior are called on the pages."""
METHODS = {"refined": "sa:2"} | {kind: ENCODERS.get(kind).method for kind in ENCODERS.summaries()}


def untrained(folder: Path, method: str) -> Explorer:
    source = DataConfig(name="digits")
    data = load(source)
    config = make_config(method, source, data.event_shape, {"latent_dim": 3, "hidden": 8})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = config.build(data.event_shape)
    few = replace(data, test=data.test.take(np.arange(8)), train=data.train.take(np.arange(64)))
    return Explorer(make_run(folder / "run", config, model, few), gap_sample=2)


@pytest.mark.parametrize("kind", METHODS)
def test_each_family_is_called_by_its_name_on_each_pane(kind: str, tmp_path: Path) -> None:
    """A new encoder says in its config and density what it is called, and is listed above."""
    known = FAMILIES | {"refined": ("diagonal Gaussian, refined (semi-amortized)", "q(z|x) before refinement")}
    family, base = known[kind]
    explorer = untrained(tmp_path, METHODS[kind])
    request = request_for(explorer, explorer.instance(3))
    contours = TruePosterior().draw(TruePosterior().compute(request, silent), request)
    assert f"Approximate posterior of run: {family}, dots: samples of {base}." in contours.sentence
    assert f"samples of {base} and the 90 % regions of " in contours.alt
    legend = [trace.get("name") for trace in json.loads(contours.figure)["data"]]
    assert {f"samples of {base}", base.removeprefix("the ")} & set(legend)
    named = Reconstructions().draw(Reconstructions().compute(request, silent), request).alt
    assert (base.removeprefix("the ") in named) is (base != "q(z|x)")
    is_gp = kind == "gp"
    assert EncoderUncertainty().shown(request) is FigureOne().shown(request) is explorer.reports_uncertainty is is_gp
    said = " ".join([contours.sentence, contours.alt, named, sentence(RunGaps(), request), verdict(request)])
    assert ("base encoder" in said) is is_gp
    for wrong in ("Gaussian family", "plain network"):
        assert wrong not in said


def test_the_library_says_what_a_run_is(runs: Path) -> None:
    library = RunLibrary([runs])
    about = library.about("deep-gp")
    assert about["method"].startswith("gp: Gaussian-process encoder of Kim & Pavlovic 2021")
    assert (about["run"], about["folder"]) == ("deep-gp", str(runs / "deep-gp"))
    assert (about["data"], about["d"], about["state"]) == ("digits", "4", "finished")
    assert about["epochs"] == f"4 of 4, best weights of epoch {library.summary('deep-gp').best_epoch}"
    assert (best := library.summary("deep-gp").best_elbo) is not None
    assert about["validation"] == f"best ELBO {nats(best)} nats"
    assert about["σx"] == "–", "its weights are not loaded yet"
    scale = library.run("deep-gp").model.likelihood.noise_scale()
    assert library.about("deep-gp")["σx"] == f"{scale:.3g} (learned)"
    with pytest.raises(UserError, match="did you mean 'deep-gp'"):
        library.about("deep-pg")


def test_every_method_is_spelled_out_for_its_tooltip() -> None:
    for name in methods():
        assert len(method_words(name)) > 20, name
    assert method_words("gp+iaf:4") == ""
    assert "iaf: Inverse autoregressive flows" in abbreviations(["vae", "iaf"])


def test_the_bound_of_mapa_is_said_in_short_sentences() -> None:
    numbers: Any = SimpleNamespace(log_px=-0.99, log_px_empirical=-1.05, bound=-0.16, gap=Value(-0.02, 0.13))
    words = bound_words(numbers, 20, 10)
    assert words.startswith(
        "log p(x) of this point is −1.05 nats under the empiricalized model, and −0.99 nats under the model itself. "
    )
    assert "with those shown it is 0.89 nats above it, on average over 32 draws 0.02 ± 0.13 nats above. " in words
    assert max(map(len, words.split(". "))) < 190
