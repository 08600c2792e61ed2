"""A walk through the Gap Lab: what is chosen by itself, the name and look of each method, and what is said."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.page import GapLabPage
from dashboards.gap_lab.panes import end_words
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.inspection.gap_lab import teaching
from gpvae_core.inspection.gap_lab.views import SviView
from gpvae_core.methods import parse_refiner
from gpvae_core.part_text import part_text
from gpvae_core.plots.method_styles import LOOKS, method_styles
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.refiners.base import REFINERS
from gpvae_core.runs import load_run
from gpvae_core.training import train
from tests.dashboards.conftest import wait_until


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """'one' with six methods on its decoder, trained in the order of the alphabet, and 'two' with a decoder alone."""
    root = tmp_path_factory.mktemp("flow")
    settings = {"latent_dim": 2, "train.epochs": 2, "train.lr": 2e-3, "hidden": 16}
    for name, seed in (("one", 0), ("two", 1)):
        train(
            make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings | {"seed": seed}),
            root / name,
            device="cpu",
        )
    one = load_run(root / "one", device="cpu")
    plan = [teaching.planned(one, method, 1) for method in ("bn-vae", "coupling:2", "full", "gp", "iaf:1", "vae")]
    teaching.train_planned(root, plan, one)
    return root


def opened(library: RunLibrary, query: str = "") -> Any:
    page = GapLabPage(library, FirstStart(library.root), None, query)
    page.loaded()
    wait_until(page, lambda: page.session.request is not None)
    return page


def notice(page: Any) -> str:
    return html.unescape(str(page.notice.pane.object))


def test_the_first_methods_are_those_of_the_paper_and_names_as_on_a_chip_are_known(made: Path) -> None:
    page = opened(RunLibrary([made]))
    assert page.state.decoder == "one"
    assert page.state.methods == ("one", "one-full", "one-iaf1", "one-gp")
    page.controls.add("coupling2+svi:8")  # as its check box names the run
    wait_until(page, lambda: page.session.request.methods[-1] == "one-coupling2+svi:8")
    assert not page.notice.pane.visible
    for text in ("svi", "svi:8", "one+svi:8,step_size=0.2", "+svi:8,covariance=diagonal"):
        page.controls.add(text)
    wait_until(page, lambda: page.session.request.methods[-1] == page.state.methods[-1] == "one+svi:8")
    assert page.state.methods.count("one+svi:8") == 1
    page.controls.add("ghost+svi:8")
    wait_until(page, lambda: "unknown run on this decoder 'ghost'" in notice(page))
    page.close()


def test_another_decoder_is_one_line_and_shows_its_own_methods(made: Path) -> None:
    page = opened(RunLibrary([made]))
    page.controls.decoder.value = "two"
    wait_until(page, lambda: page.session.request.lab.decoder.name == "two")
    assert (page.state.methods, page.state.start) == (("two",), "two")
    assert "Now on the decoder of 'two'" in notice(page)
    assert "unknown" not in notice(page)
    page.close()
    page = opened(RunLibrary([made]), "decoder=two&methods=one;one-full;one-gp;one-iaf1;one-full%2Bsvi:8")
    assert page.state.methods == ("two",)
    assert notice(page).count("·") == 0
    assert "no runs on the decoder of 'two', so left out: one, one-full, one-gp and others" in notice(page)
    page.close()


def test_what_was_trained_is_shown_and_what_exists_is_said(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "one", tmp_path / "one")
    page, other = opened(library := RunLibrary([tmp_path])), opened(library)
    wait_until(page, lambda: bool(page.training.set.options))
    families = ["bn-vae", "full", "gp", "vae"]
    page.training.set.value = families
    trained = ("one", "one-vae", "one-full", "one-gp", "one-bn-vae")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching, "STEPS", 30)
        page.training.train_set.clicks += 1
        wait_until(page, lambda: page.state.methods == trained)
        wait_until(page, lambda: page.session.request.methods == trained)
        assert not page.notice.pane.visible
        wait_until(other, lambda: "one-gp" in other.session.request.lab.runs)
        assert other.state.methods == ("one",)
        page.training.set.value = families
        page.training.train_set.clicks += 1
        wait_until(page, lambda: "trained already" in notice(page))
        said = notice(page)
        (tmp_path / "one-full" / "config.json").write_text("{", encoding="utf-8")
        page.training.set.value = families
        page.training.train_set.clicks += 1
        wait_until(page, lambda: "one-full is left out" in notice(page))
    assert "one-bn-vae, one-gp, one-vae were trained already" in notice(page)
    assert "one-bn-vae, one-full, one-gp, one-vae were trained already" in said
    assert "nothing was trained anew" in said
    other.close()
    page.close()


def test_an_offer_ends_with_the_request_it_was_made_for(made: Path) -> None:
    page = opened(RunLibrary([made]))
    page.training.toggle.clicks += 1
    assert page.training.panel.visible
    page.state.decoder = "three"
    wait_until(page, lambda: page.session.request is None)
    wait_until(page, lambda: not page.training.panel.visible)
    assert page.training.toggle.disabled
    page.training.start("vae")
    assert not page.labs.trainings.running
    page.state.decoder = "one"
    wait_until(page, lambda: not page.training.toggle.disabled)
    page.close()


def test_a_method_keeps_its_look_and_no_two_look_alike(made: Path, tmp_path: Path) -> None:
    for path in made.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    shutil.move(tmp_path / "one-gp", tmp_path.parent / "later")
    labs = GapLabs(RunLibrary([tmp_path]))
    labs.refresh(finished_only=True)
    lab, refined = labs.lab("one"), [f"one+svi:{k}" for k in range(1, 9)]
    before = labs.looks(lab, refined)
    shutil.move(tmp_path.parent / "later", tmp_path / "one-gp")
    labs.refresh(finished_only=True)
    after = labs.looks(labs.lab("one"), ["one+svi:3", "one-gp+svi:2"])
    assert set(after) - set(before) == {"one-gp", "one-gp+svi:2"}
    assert {name: after[name] for name in before} == before
    for theme in (LIGHT, DARK):
        styles = method_styles([*after], "one", theme, looks=after)
        assert len({style.colour for name, style in styles.items() if "+" not in name}) == 7
        for one, other in combinations(styles.values(), 2):
            assert (one.colour, one.dash) != (other.colour, other.dash)
            assert (one.colour, one.symbol) != (other.colour, other.symbol)
    many = method_styles([str(k) for k in range(LOOKS)], "", LIGHT).values()
    assert len({(style.colour, style.strokes) for style in many}) == LOOKS == 45


def test_a_refiner_has_one_name_that_is_read_back() -> None:
    assert part_text(parse_refiner("svi")) == part_text(parse_refiner("svi:8,momentum=0.5")) == "svi:8"
    assert part_text(parse_refiner("svi:3,covariance=full,step_size=1e-1")) == "svi:3,step_size=0.1,covariance=full"
    for kind in REFINERS.summaries():
        config = REFINERS.get(kind)()
        assert parse_refiner(part_text(config)) == config


def test_a_picture_of_each_method_is_shown(made: Path) -> None:
    page = opened(RunLibrary([made]))
    methods = (*page.session.request.lab.runs, *(f"one+svi:{k}" for k in range(1, 6)))
    page.state.show(methods)
    wait_until(page, lambda: page.session.request.methods == methods)
    line = page.line_of(page.session.request)
    assert len(methods) == 12
    assert line.count("<img") == 13
    samples = [part.split("/>")[0] for part in line.split("<path ")[2:]]
    assert len(set(samples)) == 12
    page.close()


def test_divergence_is_said_in_words() -> None:
    view = SviView("one", "svi:3", np.array([-9.0, -6.0, -5.0, -5.0]), (), -4.0, -4.5, -4.2, True)
    assert end_words(view) == "SVI ends 1.00 below"
    lost = end_words(replace(view, elbo=np.array([-9.0, -12.0, np.nan, np.nan])))
    assert lost.startswith("SVI diverges: from step 2 on its ELBO is not a number (a smaller step size")
    worse = end_words(replace(view, elbo=np.array([-9.0, -6.0, -50.0, -90.0])))
    assert worse.startswith("SVI ends 86.00 below, 81.00 lower than it began: it diverges (a smaller step size")
    assert "diverges" not in end_words(replace(view, elbo=np.array([-9.0, -9.5, -9.4, -9.3])))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("index=many", "index: wanted a whole number from 0 on"), ("decoder=three", "there is no decoder 'three' here")],
)
def test_what_is_wrong_in_an_address_is_said_where_the_page_chooses_the_decoder(
    made: Path, query: str, wanted: str
) -> None:
    """Before, the page's own choice removed the message."""
    page = opened(RunLibrary([made]), query)
    assert page.state.decoder == "one"
    assert wanted in notice(page)
    page.state.index = 1
    wait_until(page, lambda: page.session.request is not None and page.session.request.index == 1)
    assert wanted not in notice(page)
