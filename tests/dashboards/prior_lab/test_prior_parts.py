"""The GP-Prior Lab without a browser: addresses, runs, first trainings and measures."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.mapa_lab.page import MapaLabPage
from dashboards.prior_lab.compared_panes import FIXED, LEARNED
from dashboards.prior_lab.labs import PriorLabs
from dashboards.prior_lab.page import PriorLabPage
from dashboards.prior_lab.state import PriorLabState
from gpvae_core.covariances.expression import parse_kernel
from tests.dashboards.conftest import wait_until


def opened(kind: type[Page], root: Path, query: str = "") -> Any:
    library = RunLibrary([root])
    page: Any = kind(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def said(page: Any) -> str:
    return html.unescape(str(page.notice.pane.object))


def test_an_address_is_read_and_what_is_wrong_is_said() -> None:
    state = PriorLabState()
    assert state.read({"run": ["a"], "with": ["b"], "item": ["3"], "hide": ["middle"], "at": ["45"]}) == []
    assert (state.run, state.other, state.item, state.hide, state.at) == ("a", "b", 3, "middle", "45")
    wrong = state.read({"item": ["0"], "hide": ["all"], "at": ["x"]})
    assert [line.split(":")[0] for line in wrong] == ["item", "hide", "at"]
    assert (state.item, state.hide, state.at) == (3, "middle", "45")


def test_runs_that_differ_in_their_points_alone_are_found(prior_runs: Path) -> None:
    labs = PriorLabs(RunLibrary([prior_runs]))
    for name in ("films-svgp", "films-svgp2"):
        assert labs.by_points(name) == {2: "films-svgp2", 4: "films-svgp"}, "weights kept over training do not matter"
    assert labs.by_points("views-svgp") == {8: "views-svgp"}
    assert labs.by_points("films-markov") == labs.by_points("views-cvae") == {}


def test_what_does_not_exist_is_corrected_with_a_line(prior_runs: Path) -> None:
    page = opened(PriorLabPage, prior_runs, "run=films-svpg&item=99&with=views-svgp")
    wait_until(page, lambda: page.session.request is not None)
    assert (page.state.run, page.state.item, page.state.other) == ("films-svgp", 1, "")
    for words in ("did you mean 'films-svgp'", "film of the test images from 1 to 4", "cannot stand beside"):
        assert words in said(page)
    wait_until(page, lambda: page.controls.series.last == 4)
    page.step(-1)
    assert page.state.item == 4
    page.close()


def test_other_pages_leave_runs_with_a_gp_prior_out(prior_runs: Path, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "films-svgp").symlink_to(prior_runs / "films-svgp")
    (tmp_path / "tiny-vae").symlink_to(runs / "tiny-vae")
    library = RunLibrary([tmp_path])
    assert library.image_names() == ["tiny-vae"]
    assert library.conditional_names() == ["films-svgp"]
    explorer = opened(ExplorerPage, tmp_path, "run=films-svgp")
    wait_until(explorer, lambda: explorer.session.request is not None)
    assert explorer.state.run == "tiny-vae"
    assert "'films-svgp' models images given their columns" in said(explorer)
    gaps = opened(GapLabPage, tmp_path)
    wait_until(gaps, lambda: gaps.session.request is not None)
    assert list(gaps.labs.labs) == ["tiny-vae"]
    mapa = opened(MapaLabPage, tmp_path, "tab=images&run=films-svgp&N=60&k=5&S=2")
    wait_until(mapa, lambda: mapa.session.request is not None)
    assert mapa.session.request.image_runs == ("tiny-vae",)
    assert "'films-svgp' models images given their columns" in said(mapa)
    prior = opened(PriorLabPage, tmp_path, "run=tiny-vae")
    wait_until(prior, lambda: prior.session.request is not None)
    assert prior.session.request.runs == ("films-svgp",)
    assert "'tiny-vae' has no GP prior" in said(prior)
    for page in (explorer, gaps, mapa, prior):
        page.close()


def test_pages_on_images_say_where_runs_with_a_gp_prior_are_shown(prior_runs: Path) -> None:
    page = opened(ExplorerPage, prior_runs)
    assert "the GP-Prior Lab shows them" in said(page)
    page.close()


def test_a_first_run_is_offered_where_there_is_none_and_more_are_trained(prior_runs: Path, tmp_path: Path) -> None:
    page = opened(PriorLabPage, tmp_path)
    wait_until(page, lambda: page.training.fields.visible)
    assert "gpvae train --method svgp:15 --dataset moving-ball" in str(page.training._intro.object)
    assert not page.cards.visible
    (tmp_path / "films-svgp").symlink_to(prior_runs / "films-svgp")
    page.runs_changed()
    wait_until(page, lambda: page.training.toggle.visible and page.training._origin is not None)
    assert page.cards.visible
    page.training.method.value = "svgp"
    page.training.points.value, page.training.epochs.value = 3, 2
    page.training.train.clicks += 1
    wait_until(page, lambda: page.state.other != "")
    assert page.state.other == "films-svgp3"
    other = page.session.request.labs.lab("films-svgp3").run.config
    first = page.session.request.lab.run.config
    assert (other.method, other.inference.model_dump()["points"], other.train.epochs) == ("svgp:3", 3, 2)
    assert other.prior == first.prior
    page.training.method.value = "hensman"
    page.training.points.value = 3000
    page.training.train.clicks += 1
    wait_until(page, lambda: "2000" in str(page.training.line.words.object))
    page.close()


def test_a_measure_is_computed_on_a_button_and_can_be_cancelled(prior_runs: Path) -> None:
    page = opened(PriorLabPage, prior_runs, "run=films-svgp")
    wait_until(page, lambda: page.session.request is not None and not page.session._awaited)
    pane = next(pane for pane in page.session.panes if pane.name == "prior_instance")
    shown = lambda: page.session.cards["prior_instance"].content  # noqa: E731
    wait_until(page, lambda: shown()["actions"] == (("prior_instance", "Measure"),))
    page.act("prior_instance")
    wait_until(page, lambda: "prior_instance" in page.session._awaited)
    page.session._act(pane, "cancel")
    assert (shown()["message"], shown()["actions"]) == ("Cancelled.", (("again", "Try again"),))
    page.session._act(pane, "again")
    wait_until(page, lambda: shown()["alt"].startswith("film 6: gap"))
    page.step(1)
    wait_until(page, lambda: shown()["actions"] == (("prior_instance", "Measure"),))
    page.step(-1)
    wait_until(page, lambda: shown()["alt"].startswith("film 6: gap"))
    page.close()


@pytest.mark.parametrize(
    ("kernel", "learned"),
    [
        ("rbf(time, length_scale=2, learn=false)", "rbf(time, length_scale=2, learn=length_scale)"),
        (
            "matern(t, learn=false) * linear(who, learn=false)",
            "matern(t, learn=length_scale) * linear(who, learn=false)",
        ),
        ("linear(who, learn=false)", "linear(who, learn=false)"),
        ("rbf(time)", "rbf(time)"),
    ],
)
def test_the_command_for_a_fixed_kernel_learns_its_length_scale(kernel: str, learned: str) -> None:
    assert FIXED.sub(LEARNED, kernel) == learned
    parse_kernel(learned)
