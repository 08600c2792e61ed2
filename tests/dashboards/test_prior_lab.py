"""The GP-Prior Lab: its parts without a browser, and the page in one, offline, over really trained small runs."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

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
from tests.dashboards.conftest import eventually, wait_until
from tests.dashboards.prior_runs import BY_ANGLE, BY_CONTEXT, BY_PAIR, BY_TIME, films, heroes, pairs, run_on, views
from tests.dashboards.saving import check_figure, save
from tests.dashboards.steps import choose, wait_for_choice
from tests.tidy import tidy

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def prior_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on films with a known path, one with a GP prior and a rival on views of objects, one on pairs."""
    folder = tmp_path_factory.mktemp("prior")
    of_films, of_views = films(folder / "films.npz"), views(folder / "views.npz")
    root = folder / "runs"
    root.mkdir()
    run_on(pairs(folder / "pairs.npz"), root / "pairs-svgp", "svgp:12", BY_PAIR)
    run_on(heroes(folder / "heroes.npz"), root / "heroes-svgp", "svgp:12", BY_CONTEXT)
    run_on(of_views, root / "views-cvae", "cvae", {})
    run_on(of_views, root / "views-svgp", "svgp:8", BY_ANGLE | {"balance": "geco", "train.keep_every": 1})
    run_on(of_films, root / "films-markov", "markov", BY_TIME)
    run_on(of_films, root / "films-svgp2", "svgp:2", BY_TIME)
    run_on(of_films, root / "films-svgp", "svgp:4", BY_TIME | {"train.keep_every": 1})
    return root


# Without a browser


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


# In a browser


@pytest.fixture(scope="module")
def prior_url(start_server: Callable[..., Any], prior_runs: Path) -> str:
    return str(start_server(prior_runs).url) + "gp-prior-lab"


def card(page: Any, name: str) -> Any:
    return page.locator(f"section[data-view=prior_{name}]")


def alt(page: Any, name: str) -> Any:
    return expect(card(page, name).locator(".plot"))


def opened_in_browser(page: Any, url: str, query: str, name: str = "path") -> Any:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(url + query)
    expect(card(page, name).locator(".main-svg").first).to_be_attached(timeout=120_000)
    return page


def shapes(page: Any, name: str) -> list[dict[str, Any]]:
    return page.evaluate(f"window.gpvaePlots.prior_{name}.layout.shapes ?? []")


@pytest.mark.page
def test_a_series_is_played_hidden_and_compared(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp")
    player = page.get_by_role("region", name="Frames")
    expect(player.get_by_role("button", name="Play")).to_be_enabled()
    expect(page.locator(".summary")).to_contain_text("The model is given all frames")
    alt(page, "path").to_have_attribute("aria-label", re.compile(r"place x, place y over time \(s\).*path RMSE"))
    page.get_by_role("combobox", name="Hide from the model").click()
    page.locator("li").get_by_text("the middle third", exact=True).click()
    wait_for_choice(page, "hide", "middle")
    expect(page.locator(".summary")).to_contain_text(re.compile("not given: films-svgp MSE .* 2 hidden frames"))
    names = "window.gpvaePlots.prior_path.data.map(trace => trace.name)"
    assert "frame hidden" in eventually(page, lambda: page.evaluate(names), None, 1)
    page.get_by_role("combobox", name="with Run on").click()
    page.locator("li").get_by_text("films-markov", exact=True).click()
    wait_for_choice(page, "with", "films-markov")
    alt(page, "path").to_have_attribute("aria-label", re.compile("films-svgp: .*films-markov: "))
    expect(player.locator("canvas")).to_have_count(5)
    slider = player.get_by_role("slider", name="Instant")
    slider.focus()
    slider.press("End")
    expect(player.get_by_role("status").last).to_contain_text(re.compile("frame . .given"))
    last = float(page.evaluate("window.gpvaePlots.prior_path._fullData.find(t => t.name === 'true path').x.at(-1)"))
    assert eventually(page, lambda: round(shapes(page, "path")[0]["x0"] - last, 3), 0.0) == 0.0
    assert eventually(page, lambda: len(shapes(page, "plane")), 2) == 2
    player.get_by_role("combobox").select_option("16")
    player.get_by_role("button", name="Reset").click()
    player.get_by_role("button", name="Play").click()
    step = lambda: int(player.get_by_role("group").get_attribute("data-step")) > 3  # noqa: E731
    assert eventually(page, step, True) is True
    player.get_by_role("button", name="Pause").click()
    page.locator("section[data-view=prior_path] h2").click()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "item", "2")
    expect(card(page, "path").locator(".sub")).to_have_text("film 7")
    rows = tidy(save(page, card(page, "path"), "CSV")[1].decode())
    assert {row["run"] for row in rows} == {"films-svgp", "films-markov"}
    for name in ("path", "plane", "training"):
        check_figure(page, card(page, name), "films-svgp")
    assert {row["run"] for row in tidy(save(page, card(page, "training"), "CSV")[1].decode())} == {
        "films-svgp", "films-markov",
    }  # fmt: skip
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_an_object_is_turned_by_keys_and_its_views_are_shown(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=views-svgp&item=3", "view")
    expect(page.locator(".summary")).to_contain_text("object thing 2 at 135.0°: views-svgp MSE")
    alt(page, "behind").to_have_attribute("aria-label", re.compile(r"thing \d at .*°: \d"))
    slider = page.get_by_role("slider", name="angle")
    slider.focus()
    slider.press("Home")
    wait_for_choice(page, "at", "0")
    expect(page.locator(".summary")).to_contain_text("object thing 2 at 0.0°: views-svgp MSE")
    expect(page.locator(".summary")).to_contain_text("which was trained on")
    field = page.get_by_role("textbox", name="angle, number")
    field.fill("460")
    field.press("Enter")
    wait_for_choice(page, "at", "460")
    expect(card(page, "view").locator(".sub")).to_have_text("object thing 2 at 100.0°")
    expect(page.locator(".summary")).to_contain_text("no image in the data")
    page.get_by_role("button", name="validation view").click()
    expect(page.locator(".summary")).to_contain_text("at 225.0°: views-svgp MSE")
    page.locator("section[data-view=prior_view] h2").click()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "item", "4")
    expect(page.locator(".summary")).to_contain_text("object thing 3 at 225.0°")
    for name in ("view", "behind", "latents", "training", "map", "scores"):
        expect(card(page, name).locator(".main-svg").first).to_be_attached()
        check_figure(page, card(page, name), "views-svgp")
        assert tidy(save(page, card(page, name), "CSV")[1].decode())
    card(page, "map").get_by_role("combobox").select_option("object")
    wait_for_choice(page, "colour", "object")
    alt(page, "map").to_have_attribute("aria-label", re.compile("coloured by object"))
    proposed = card(page, "points").locator("code")
    expect(proposed).to_contain_text(["gpvae train --method svgp:4 ", "gpvae train --method svgp:16 "])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, "points").get_by_role("button", name=re.compile("Copy the command: .* svgp:16 ")).click()
    expect(card(page, "points").locator(".said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == proposed.last.text_content()
    terms = "window.gpvaePlots.prior_training.layout.annotations.map(note => note.text).join()"
    assert "multiplier" in page.evaluate(terms), "GECO's terms are drawn"
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_a_conditional_vae_is_turned_and_stands_beside_a_run_with_a_gp_prior(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=views-cvae&item=3&with=views-svgp", "view")
    expect(page.locator(".summary")).to_contain_text(re.compile("thing 2 at 135.0°: views-cvae MSE.*; views-svgp MSE"))
    alt(page, "behind").to_have_attribute("aria-label", re.compile(r"(thing 2 at .*: 1[67]\.\d %; ){5}"))
    expect(card(page, "latents").locator(".message")).to_contain_text("views-cvae has no process over angle")
    alt(page, "scores").to_have_attribute("aria-label", re.compile("views-cvae: .*views-svgp: "))
    alt(page, "map").to_have_attribute("aria-label", re.compile("coloured by"))
    slider = page.get_by_role("slider", name="angle")
    slider.focus()
    slider.press("Home")
    wait_for_choice(page, "at", "0")
    expect(page.locator(".summary")).to_contain_text("thing 2 at 0.0°: views-cvae MSE")
    page.get_by_role("button", name="Train another").click()
    page.get_by_role("combobox", name="Method").click()
    expect(page.locator("li").get_by_text("cvae", exact=True)).to_be_visible()
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_pairs_and_runs_are_compared(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=pairs-svgp", "grid")
    expect(page.locator(".summary")).to_contain_text(re.compile("pairs-svgp: MSE .* generated .not trained on"))
    alt(page, "grid").to_have_attribute("aria-label", re.compile("Grid of 5 by 8 predictions"))
    page.get_by_role("button", name="Next row").click()
    wait_for_choice(page, "item", "2")
    check_figure(page, card(page, "grid"), "pairs-svgp", "hero 1")
    assert len(tidy(save(page, card(page, "grid"), "CSV")[1].decode())) == 40
    opened_in_browser(page, prior_url, "?run=heroes-svgp", "grid")
    expect(page.locator(".summary")).to_contain_text(re.compile(r"\d for those generated .*\d for those given, .*on"))
    expect(card(page, "grid")).to_contain_text("found from its first images, which are given")
    check_figure(page, card(page, "grid"), "hero 6", "new", "in training", "given", "generated", "trained on")
    opened_in_browser(page, prior_url, "?run=films-svgp&error=path&time=epoch", "scores")
    alt(page, "scores").to_have_attribute("aria-label", re.compile("films-svgp: .*films-markov: .*path RMSE"))
    card(page, "scores").locator("select[name=error]").select_option("mse")
    wait_for_choice(page, "error", "mse")


@pytest.mark.page
def test_figures_of_runs_are_drawn_and_what_is_missing_is_said(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp", "points")
    alt(page, "points").to_have_attribute("aria-label", re.compile("m = 4: films-svgp.*m = 2: films-svgp2"))
    alt(page, "paths").to_have_attribute("aria-label", re.compile(r"svgp:4: 4 points, from .* after epoch 3"))
    for name in ("points", "paths"):
        check_figure(page, card(page, name), "films-svgp")
        assert tidy(save(page, card(page, name), "CSV")[1].decode())
    for name in ("batches", "drift"):
        expect(card(page, name)).to_be_hidden()
    opened_in_browser(page, prior_url, "?run=views-svgp", "scores")
    proposed = card(page, "batches").locator("code")
    expect(proposed).to_contain_text([re.compile(f"method svgp:8 .*batch_size={size} ") for size in (32, 128)])
    card(page, "drift").get_by_role("button", name="Compute").click()
    alt(page, "drift").to_have_attribute("aria-label", re.compile(r"svgp:8: .* nats after epoch 1, .* after 3"))
    check_figure(page, card(page, "drift"), "svgp:8", "epoch")
    assert [row["epoch"] for row in tidy(save(page, card(page, "drift"), "CSV")[1].decode())] == [1, 2, 3]
    opened_in_browser(page, prior_url, "?run=films-markov", "scores")
    expect(card(page, "paths")).to_be_hidden()
    expect(card(page, "points")).to_be_hidden()
    questions = page.get_by_role("heading", name=re.compile(r"\?$"))
    expect(questions).to_have_count(3)


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


FOURTH_MARK = """plot => { const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect()
  const marks = plot._fullData.find(trace => trace.customdata)
  const at = [xaxis._offset + xaxis.d2p(marks.x[3]), yaxis._offset + yaxis.d2p(marks.y[3])]
  return [box.left, box.top].map((start, k) => start + (at[k] * box.width) / plot.offsetWidth) }"""
"""Place on the screen of the mark of the fourth pair of the grid."""


@pytest.mark.page
def test_a_picked_film_or_image_is_measured_on_a_button(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp", "path")
    expect(card(page, "instance")).to_contain_text(
        "how many nats the bound gains where those of film 6 are the best ones"
    )
    expect(page.get_by_role("heading", name="What is predicted, how surely")).to_be_visible()
    choose(page, "Points, m", "2")
    wait_for_choice(page, "run", "films-svgp2")
    choose(page, "Points, m", "4")
    wait_for_choice(page, "run", "films-svgp")
    card(page, "instance").get_by_role("button", name="Measure").focus()
    page.keyboard.press("Enter")
    alt(page, "instance").to_have_attribute("aria-label", re.compile(r"^film 6: gap \d.* nats$"))
    expect(card(page, "instance")).to_contain_text("that is what amortization loses here")
    page.get_by_role("button", name="Next series").click()
    card(page, "instance").get_by_role("button", name="Measure").click()
    alt(page, "instance").to_have_attribute("aria-label", re.compile(r"^film 7: gap .*; film 6: gap"))
    assert [row["what"] for row in tidy(save(page, card(page, "instance"), "CSV")[1].decode())] == ["film 7", "film 6"]
    opened_in_browser(page, prior_url, "?run=views-svgp", "view")
    expect(card(page, "instance").locator(".message")).to_contain_text("'training view' above goes to one")
    page.get_by_role("button", name="training view", exact=True).click()
    card(page, "instance").get_by_role("button", name="Measure").click()
    moved = re.compile(r"thing 0 at 0.0°: gap .* nats$")
    alt(page, "instance").to_have_attribute("aria-label", moved)
    expect(card(page, "instance")).to_contain_text("does not move with its mini-batch, as that holds all training")
    check_figure(page, card(page, "instance"), "views-svgp", "gap (nats)", "its own part")
    opened_in_browser(page, prior_url, "?run=views-cvae", "view")
    expect(card(page, "instance").locator(".message")).to_contain_text("views-cvae (cvae) has no pseudo-observations")
    opened_in_browser(page, prior_url, "?run=pairs-svgp", "grid")
    expect(card(page, "behind")).to_contain_text("effectively")
    expect(card(page, "instance").locator(".message")).to_contain_text("pick one in the grid that was trained on")
    card(page, "grid").locator(".cursor").focus()
    page.keyboard.press("ArrowRight")
    expect(card(page, "grid").locator(".reading")).to_have_text("hero 0, pose 1")
    page.keyboard.press("Enter")
    wait_for_choice(page, "pair", "2")
    expect(page.get_by_role("combobox", name="character and pose")).to_contain_text("hero 0, pose 1")
    card(page, "instance").get_by_role("button", name="Measure").click()
    alt(page, "instance").to_have_attribute("aria-label", re.compile("hero 0, pose pose 1: gap .* nats"))
    x, y = card(page, "grid").locator(".plot").evaluate(FOURTH_MARK)
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.wait_for_function("(window.gpvaePlots.prior_grid._hoverdata ?? []).length > 0")
    page.mouse.click(x, y)
    wait_for_choice(page, "pair", "4")
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_a_first_run_is_trained_with_its_curves(
    offline_page: Any, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    """The first run is on the moving ball, of one epoch here; the second, with another m, stands beside it."""
    page = offline_page
    page.goto(str(start_server(tmp_path).url) + "gp-prior-lab")
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_label("Epochs", exact=True).press("Tab")
    expect(page.get_by_text("No run here has a GP prior")).to_be_visible()
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator(".progress-words")).to_contain_text("moving-ball-svgp15")
    alt(page, "live").to_have_attribute("aria-label", re.compile("moving-ball-svgp15, epoch 1: .*kl"), timeout=120_000)
    expect(card(page, "path").locator(".main-svg").first).to_be_attached(timeout=120_000)
    wait_for_choice(page, "run", "moving-ball-svgp15")
    expect(page.get_by_text("No run here has a GP prior")).to_be_hidden()


@pytest.mark.page
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768)])
@pytest.mark.parametrize(
    ("query", "name"),
    [("films-svgp&with=films-markov&hide=second", "path"), ("views-svgp", "view"), ("pairs-svgp", "grid")],
)
def test_the_page_has_no_fault_that_axe_finds_and_is_not_wider_than_the_window(
    offline_page: Any, prior_url: str, width: int, height: int, query: str, name: str
) -> None:
    page = opened_in_browser(offline_page, prior_url, f"?run={query}", name)
    page.set_viewport_size({"width": width, "height": height})
    for pane in ("map", "scores"):
        expect(card(page, pane).locator(".main-svg").first).to_be_attached()
    for _ in range(2):
        found = Axe().run(page).response["violations"]
        assert [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes']]}" for rule in found] == []
        page.get_by_role("button", name="Toggle theme").click()
        page.mouse.move(5, 300)  # a tooltip stands outside of all regions
        page.wait_for_timeout(1000)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
