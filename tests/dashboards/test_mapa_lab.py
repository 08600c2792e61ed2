"""The MAPA Lab: its parts without a browser, and the page in one, offline, with and without trained runs."""

from __future__ import annotations

import csv
import html
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import expect

from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.mapa_lab.page import MapaLabPage
from dashboards.mapa_lab.state import MapaLabState, bandwidth_of, kernel_of, place_of
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.training import train
from tests.dashboards.conftest import wait_until
from tests.dashboards.saving import check_figure

expect.set_options(timeout=60_000)
SET = "absolute-value"


# Without a browser


def opened(*places: Path, query: str = "") -> MapaLabPage:
    library = RunLibrary(list(places))
    page = MapaLabPage(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def notice(page: MapaLabPage) -> str:
    return html.unescape(str(page.notice.pane.object)) if page.notice.pane.visible else ""


def verdict(page: MapaLabPage) -> str:
    return html.unescape(str(page.line.object))


def message(page: MapaLabPage, card: str) -> str:
    return str(page.session.cards[card].content["message"])


def test_an_address_is_read_and_what_is_wrong_is_said() -> None:
    state = MapaLabState()
    query = "tab=bound&set=circle&draw=3&N=200&index=7&x=0.5,-0.2&bandwidth=0.3&k=5&S=50&seed=2&kernel=rho%3D0.8"
    assert state.read(parse_qs(query)) == []
    assert (state.tab, state.dataset, state.draw, state.size, state.index) == ("bound", "circle", 3, 200, 7)
    assert (state.place, state.bandwidth, state.k, state.draws, state.seed) == ("0.5,-0.2", "0.3", 5, 50, 2)
    wrong = state.read(parse_qs("tab=none&draw=-1&N=1&k=x&bandwidth=0&x=1&kernel=rho"))
    assert [line.split(":")[0] for line in wrong] == ["tab", "draw", "N", "k", "bandwidth", "x", "kernel"]
    assert (state.tab, state.draw, state.size, state.k, state.bandwidth) == ("bound", 3, 200, 5, "0.3")


def test_every_choice_but_the_colours_is_in_the_address() -> None:
    assert set(MapaLabState.in_address()) == {name for name in MapaLabState.param if name not in ("name", "dark")}


def test_texts_are_read_as_numbers() -> None:
    assert (bandwidth_of("sigma"), bandwidth_of("best"), bandwidth_of("0.25")) == (None, None, 0.25)
    assert place_of("0.5, -1") == (0.5, -1.0)
    assert (kernel_of("best"), kernel_of("default"), kernel_of("rho=0.8;temperature=2")) == (
        None,
        {},
        {"rho": 0.8, "temperature": 2.0},
    )
    for text in ("nan", "inf", "-1", "wide"):
        with pytest.raises(UserError, match="above 0"):
            bandwidth_of(text)


def test_numbers_that_do_not_go_together_are_one_line_and_the_next_choice_clears_it(tmp_path: Path) -> None:
    page = opened(tmp_path, query=f"set={SET}&N=60&k=61&index=99")
    # the cards come last, from a thread
    wait_until(page, lambda: message(page, "mapa_traces") == "Nothing to show: see the line above.")
    assert "61" in notice(page)
    assert "wanted a training point from 0 to 59, got 99" in notice(page)
    assert (page.state.index, page.controls.k.value, page.controls.k.high) == (0, 61, 59)
    page.state.k = 6
    wait_until(page, lambda: "of 60 under the" in verdict(page))
    assert notice(page) == ""
    shown = verdict(page)
    for dial, text, words in (
        ("k", "61", "k: wanted at most 60, the number of points N, got 61"),
        ("k", "60", "k = N = 60 leaves no points to sample, got S = 10"),
        ("draws", "10001", "S: wanted at most 10,000"),
    ):
        getattr(page.controls, dial)._handle_msg({"typed": text})
        assert words in notice(page)
        assert (page.state.k, page.state.draws, verdict(page)) == (6, 10, shown)
    page.controls.size.value = 5
    assert "k: wanted at most 5" in notice(page)
    assert (page.state.size, page.controls.size.value) == (60, 60)
    page.controls.bandwidth._handle_msg({"typed": "0"})
    assert "bandwidth: wanted a number above 0" in notice(page)
    assert page.state.bandwidth == "sigma"


def test_an_unknown_set_is_said_and_another_shown(tmp_path: Path) -> None:
    page = opened(tmp_path, query="set=circel&N=50&k=4")
    wait_until(page, lambda: "of 50 under the" in verdict(page))
    assert "did you mean 'circle'" in notice(page)
    assert page.state.dataset == "figure-8"


def test_traces_are_saved_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(tmp_path, query=f"set={SET}&N=40&k=4&S=3")
    wait_until(page, lambda: "of 40 under the" in verdict(page))
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(page.session.cards["mapa_traces"], "answer", lambda **data: sent.append(data))
    page.session.cards["mapa_traces"]._handle_msg({"csv": True})
    wait_until(page, lambda: bool(sent))
    rows = list(csv.DictReader(io.StringIO(sent[0]["csv"])))
    assert len(rows) == 40
    assert sum(row["among_k"] == "True" for row in rows) == 4


def test_the_variants_open_on_a_set_with_two_decoders(tmp_path: Path) -> None:
    page = opened(tmp_path, query="tab=variants&set=figure-8&N=40&k=4")
    wait_until(page, lambda: "circle-fold: " in verdict(page))
    assert page.state.dataset == "circle"
    assert "of figure-8 one decoder is known and none is trained here" in notice(page)
    assert "of the same MAPA for each model: circle: " in verdict(page)
    assert verdict(page).count("(uniform distribution: ") == 2


def test_without_an_image_model_it_says_how_to_train_one_and_does(tmp_path: Path) -> None:
    page = opened(tmp_path, query="tab=images")
    command = ("gpvae train --method vae --dataset digits --latent-dim 2 --out runs/vae",)
    wait_until(page, lambda: page.session.cards["mapa_neighbours"].content["commands"] == command)
    assert not page.first.running, "nothing is trained unless asked for"
    assert page.session.cards["mapa_neighbours"].content["actions"] == (("train", "Train the default pair"),)


def test_a_damaged_run_is_said_and_the_next_shown(runs: Path, tmp_path: Path) -> None:
    for name in ("tiny-vae", "tiny-gp"):
        shutil.copytree(runs / name, tmp_path / name)
    (tmp_path / "tiny-vae" / "best" / "weights.safetensors").write_bytes(b"junk")
    page = opened(tmp_path, query="tab=images&run=tiny-vae")
    wait_until(page, lambda: "most probable training images" in verdict(page))
    assert "is damaged" in notice(page)
    assert page.state.run == "tiny-gp"


def test_a_run_that_the_page_chooses_by_itself_can_be_loaded(tmp_path: Path) -> None:
    """Before, the density and the second decoder were of the newest run, though its weights were damaged."""
    for name in ("sound", "broken"):
        settings = {"train.epochs": 1, "latent_dim": 1}
        train(make_config("vae", DataConfig(name="figure-8"), (1, 1, 2), settings), tmp_path / name, device="cpu")
    (tmp_path / "broken" / "best" / "weights.safetensors").write_bytes(b"junk")
    page = opened(tmp_path, query="tab=bound&set=figure-8&N=40&k=4")
    wait_until(page, lambda: page.session.cards["mapa_density"].figure != "")
    assert page.session.cards["mapa_density"].content["selects"][0]["value"] == "sound"
    assert "is damaged" in notice(page)
    page = opened(tmp_path, query="tab=variants&set=figure-8&N=40&k=4")
    wait_until(page, lambda: page.session.cards["mapa_variants"].figure != "")
    assert page.state.learned == "sound"


def test_a_cancelled_computation_can_be_taken_up_again(tmp_path: Path) -> None:
    page = opened(tmp_path, query=f"tab=bound&set={SET}&N=300")
    wait_until(page, lambda: bool(page.session.cards["mapa_bound"].content["actions"]))
    page.session.cards["mapa_bound"]._handle_msg({"action": "cancel"})
    ended = lambda: message(page, "mapa_bound") == "Cancelled." or "tightest" in verdict(page)  # noqa: E731
    wait_until(page, ended)
    if "tightest" not in verdict(page):
        page.session.cards["mapa_bound"]._handle_msg({"action": "again"})
    wait_until(page, lambda: "tightest" in verdict(page))
    assert "MAPA-naive" in verdict(page)


# In a browser


@pytest.fixture(scope="module")
def bare_url(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Over a folder in which nothing is trained."""
    return str(start_server(Path("runs"), cwd=tmp_path_factory.mktemp("bare")).url) + "mapa-lab"


@pytest.fixture(scope="module")
def url(start_server: Callable[..., Any], runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Over runs on digits, and one on points."""
    root = tmp_path_factory.mktemp("points")
    train(make_config("vae", DataConfig(name=SET), (1, 1, 2), {"train.epochs": 2}), root / "line-vae", device="cpu")
    return str(start_server(runs, root).url) + "mapa-lab"


def view(page: Any, name: str) -> Any:
    return page.locator(f"section[data-view=mapa_{name}]")


def opened_in_browser(page: Any, address: str, first: str = "traces") -> Any:
    """Opens the page and waits for a figure."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address)
    expect(view(page, first).locator(".main-svg").first).to_be_attached(timeout=120_000)
    return page


def names(page: Any, card: str) -> list[str]:
    """Return the names of the traces of a figure."""
    return view(page, card).locator(".plot").evaluate("plot => plot.data.map(trace => trace.name ?? '')")


def typed(page: Any, label: str, text: str) -> None:
    field = page.get_by_label(label)
    field.fill(text)
    field.press("Enter")


def press_until(page: Any, key: str, true: Callable[[], bool]) -> None:
    """A key pressed before the page listens is lost."""
    for _ in range(30):
        page.locator("section[data-view=mapa_traces] h2").click()
        page.keyboard.press(key)
        for _ in range(20):
            page.wait_for_timeout(100)
            if true():
                return


@pytest.mark.page
def test_it_opens_with_nothing_trained_and_shows_three_kinds_of_marks(offline_page: Any, bare_url: str) -> None:
    page = opened_in_browser(offline_page, bare_url)
    expect(page.locator(".summary")).to_contain_text("of 1,000 under the")
    assert {"true posterior", "empiricalized", "MAPA"} <= set(names(page, "traces"))
    expect(page.get_by_label("Pages").get_by_role("link", name="MAPA Lab")).to_have_attribute("aria-current", "page")
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_the_bandwidth_changes_traces_and_verdict_and_k_above_n_is_refused(offline_page: Any, bare_url: str) -> None:
    page = opened_in_browser(offline_page, f"{bare_url}?set={SET}&N=200&k=10")
    alt = view(page, "traces").locator(".plot")
    before, said = alt.get_attribute("aria-label"), page.locator(".summary").inner_text()
    slider = page.get_by_role("slider", name="Bandwidth")
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")
    expect(alt).not_to_have_attribute("aria-label", before)
    expect(page.locator(".summary")).not_to_have_text(said)
    page.wait_for_function("!location.search.includes('bandwidth=sigma')")
    page.get_by_role("button", name="σ", exact=True).click()
    expect(alt).to_have_attribute("aria-label", before)
    # A move that waits to be sent is given up by the button; before, it was sent after that.
    slider.evaluate("dial => { dial.value = 0; dial.oninput(); dial.getRootNode().querySelector('button').click() }")
    page.wait_for_timeout(600)
    expect(alt).to_have_attribute("aria-label", before)
    typed(page, "k, number", "201")
    expect(page.locator(".notice")).to_contain_text("201")
    expect(alt).to_be_visible()
    expect(page.get_by_label("k, number")).to_have_value("10")
    typed(page, "k, number", "12")
    expect(page.locator(".notice")).to_be_hidden()
    expect(alt).to_be_visible()


@pytest.mark.page
def test_a_point_is_chosen_by_click_key_and_number(offline_page: Any, bare_url: str) -> None:
    page = opened_in_browser(offline_page, f"{bare_url}?set={SET}&N=30&k=3&S=2")
    expect(view(page, "plane").locator(".main-svg").first).to_be_attached()
    sub = view(page, "traces").locator(".sub")
    press_until(page, "ArrowRight", lambda: "training point 0," not in (sub.text_content() or ""))
    expect(sub).to_contain_text(re.compile(r"training point [1-9]"))
    typed(page, "Point, 0", "0.1, 0.4")
    expect(sub).to_have_text("x = (0.10, 0.40)")
    where = """plot => { const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect()
      const points = plot._fullData.find(trace => trace.name === "training points")
      const at = [xaxis._offset + xaxis.d2p(points.x[9]), yaxis._offset + yaxis.d2p(points.y[9])]
      return [box.left, box.top].map((start, k) => start + (at[k] * box.width) / plot.offsetWidth) }"""
    plane = view(page, "plane").locator(".plot")
    x, y = plane.evaluate(where)
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.wait_for_function("(window.gpvaePlots.mapa_plane._hoverdata ?? []).length > 0")
    page.mouse.click(x, y)
    expect(sub).to_contain_text("training point")


@pytest.mark.page
def test_process_variants_and_passes(offline_page: Any, bare_url: str) -> None:
    page = opened_in_browser(offline_page, f"{bare_url}?set={SET}&N=100&k=5&tab=process", "process")
    expect(page.locator(".summary")).to_contain_text("Near points have high")
    page.get_by_role("tab", name="Two variants").click()
    expect(view(page, "variants").locator(".main-svg").first).to_be_attached()
    expect(page.locator(".summary")).to_contain_text(f"{SET}-fold")
    expect(view(page, "process")).to_be_hidden()
    page.get_by_role("tab", name="Passes").click()
    expect(view(page, "passes").locator(".plot")).to_have_attribute("aria-label", re.compile("IWAE: "))
    expect(view(page, "passes_both").locator(".main-svg").first).to_be_attached()
    expect(page.locator(".summary")).to_contain_text("Decoder passes")
    check_figure(page, view(page, "passes"), SET)
    page.wait_for_function("location.search.includes('tab=passes')")


@pytest.mark.page
def test_images_of_a_trained_run(offline_page: Any, url: str) -> None:
    page = opened_in_browser(offline_page, f"{url}?tab=images&run=tiny-vae&image=2&neighbours=6", "neighbours")
    expect(page.locator(".summary")).to_contain_text("The 6 most probable training images")
    expect(view(page, "codes").locator(".main-svg").first).to_be_attached()
    for card in ("neighbours", "codes"):
        check_figure(page, view(page, card), "tiny-vae", "test image 2")
    typed(page, "Test image, 0", "4")
    expect(view(page, "neighbours").locator(".sub")).to_contain_text("test image 4")
    typed(page, "Test image, 0", "100000")
    expect(page.locator(".notice")).to_contain_text("wanted a test image")
    page.wait_for_function("location.search.includes('run=tiny-vae')")  # which is not the first that is offered
    expect(page.get_by_role("combobox", name="Run")).to_have_text("tiny-vae")


@pytest.mark.page
def test_a_learned_variant_its_density_and_the_address_of_it_all(offline_page: Any, url: str) -> None:
    address = f"{url}?tab=variants&set={SET}&N=80&draw=1&index=5&bandwidth=0.2&k=7&S=4&seed=3"
    page = opened_in_browser(offline_page, address, "variants")
    view(page, "variants").locator("select[name=learned]").select_option("line-vae")
    expect(page.locator(".summary")).to_contain_text("line-vae")
    page.wait_for_function("location.search.includes('learned=line-vae')")
    page.get_by_role("tab", name="Bound and density").click()
    expect(view(page, "density").locator(".sentence")).to_contain_text("Test KL")
    expect(view(page, "kl").locator("code")).to_have_text("gpvae sweep docs/mapa.toml --out sweeps/mapa")
    page.wait_for_function("location.search.includes('tab=bound')")
    again = opened_in_browser(page, page.url, "bound")
    shown = parse_qs(again.evaluate("location.search.slice(1)"))
    wanted = {"tab": "bound", "set": SET, "N": "80", "draw": "1", "index": "5", "bandwidth": "0.2", "k": "7"}
    wanted |= {"S": "4", "seed": "3", "learned": "line-vae"}
    assert {key: shown[key][0] for key in wanted} == wanted
    expect(again.get_by_label("k, number")).to_have_value("7")
