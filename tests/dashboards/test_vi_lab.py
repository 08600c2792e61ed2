"""The VI Lab: its parts without a browser, and the page in one, offline."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import expect

from dashboards.lab.controls import Controls
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.part_fields import PartFields, bounds, slider_range
from dashboards.vi_lab.page import VILabPage
from dashboards.vi_lab.state import VILabState
from gpvae_core.part_text import part_text
from gpvae_core.vi.settings import VI_PARTS
from tests.dashboards.conftest import Served, save_as, wait_until
from tests.dashboards.steps import choose, view, wait_for_choice

CARDS = ("vi_a", "vi_b", "vi_bounds", "vi_divergence", "vi_samples")
FILM = ".film[aria-label='Player of both inferences']"


# Without a browser


def opened(tmp_path: Path, query: str = "") -> VILabPage:
    page = VILabPage(library := RunLibrary([tmp_path]), FirstStart(library.root), None, f"steps=5&{query}")
    page.loaded()
    return page


def shown(page: VILabPage, card: str) -> dict[str, Any]:
    return page.session.cards[card].content


def line(page: VILabPage) -> str:
    return html.unescape(str(page.line.object))


def test_both_inferences_are_shown_and_told(tmp_path: Path) -> None:
    page = opened(tmp_path, "target=banana&method_a=svi&method_b=stein-particles:7&divergence=reverse-kl")
    wait_until(page, lambda: all(shown(page, card)["visible"] for card in CARDS) and page.film.frames != "")
    assert "A (full, svi:5) ends at KL(q ‖ p) " in re.sub("<[^>]*>", "", line(page))
    assert "B (stein-particles:7) ends with 7 particles" in re.sub("<[^>]*>", "", line(page))
    assert not page.controls.parts["family_b"].kind.visible, "particles are of no family"
    assert page.controls.parts["family_a"].kind.visible
    assert '"words": ["0 of 5' in page.film.frames


def test_an_address_is_read_and_what_is_wrong_is_said(tmp_path: Path) -> None:
    page = opened(tmp_path, "target=banan&method_a=black-box:0&family_b=block:2&divergence=none&start=9,0&sd=0.5")
    wait_until(page, lambda: page.session.request is not None)
    said = html.unescape(str(page.notice.pane.object))
    assert "did you mean 'banana'" in said
    assert "greater than or equal to 1" in said
    assert "no divergence 'none'" in said
    assert "start: wanted numbers from -8 to 8" in said
    assert (page.state.family_b, page.state.start_sd) == ("block:2", 0.5)
    assert page.state.method_a == "black-box:64"
    assert set(VILabState.in_address()) == {name for name in VILabState.param if name not in ("name", "dark")}
    assert VILabState().read(parse_qs("noise_of=C")) == ["noise_of: wanted one of A, B, got 'C'"]


def test_a_method_that_refuses_the_target_says_so_and_the_other_goes_on(tmp_path: Path) -> None:
    page = opened(tmp_path, "target=banana&method_a=cavi&method_b=svi")
    wait_until(page, lambda: shown(page, "vi_bounds")["visible"] and bool(shown(page, "vi_a")["message"]))
    assert "conditionals are Gaussian" in shown(page, "vi_a")["message"]
    wait_until(page, lambda: shown(page, "vi_b")["visible"])
    page.state.target = "bayesian-mixture,components=3"
    wait_until(page, lambda: "2 latents" in shown(page, "vi_b")["message"])


def test_a_network_and_many_steps_are_computed_in_a_job(tmp_path: Path) -> None:
    page = opened(tmp_path, "target=linear-gaussian&method_a=amortized:4,batch=2&method_b=cavi&family_b=full")
    wait_until(page, lambda: all(shown(page, card)["visible"] for card in CARDS))
    assert page.session.request is not None
    assert page.session.request.takes_long
    page.state.method_a = "cavi"
    wait_until(page, lambda: page.session.request is not None and not page.session.request.takes_long)


def test_the_noise_is_measured_when_asked_for(tmp_path: Path) -> None:
    page = opened(tmp_path, "target=bayesian-mixture:4&method_a=stein-particles:3")
    wait_until(page, lambda: shown(page, "vi_noise")["actions"] == (("vi_noise", "Measure"),))
    page.act("vi_noise")
    wait_until(page, lambda: "no parameters of q(z)" in shown(page, "vi_noise")["message"])


def test_every_part_has_widgets_from_its_settings() -> None:
    complaints: list[str] = []
    controls, texts = Controls(VILabState(), complaints.append), list[str]()
    nested = {name: VI_PARTS[name] for name in ("gradient", "divergence")}
    for name, registry in VI_PARTS.items():
        for kind in registry.summaries():
            config = registry.get(kind)()
            fields = PartFields(controls, name, lambda text: texts.append(text) is None, lambda: None)
            fields.show(config, registry, nested)
            assert fields.kind.value == kind
            assert len(fields.widgets) >= 1 + len(type(config).model_fields)
            for setting in type(config).model_fields:
                assert not fields._set(setting, object()), setting
    assert texts == []
    assert len(complaints) > 10


def test_a_part_is_changed_by_its_widgets() -> None:
    complaints, texts = list[str](), list[str]()
    controls = Controls(VILabState(), complaints.append)
    config = VI_PARTS["method"].get("black-box")()
    fields = PartFields(controls, "Method", lambda text: texts.append(text) is None, lambda: None)
    fields.show(config, VI_PARTS["method"], {name: VI_PARTS[name] for name in ("gradient", "divergence")})
    widgets: list[Any] = fields.widgets
    _, divergence, gradient, samples, *_ = widgets
    divergence.value = "chi"
    samples._handle_msg({"typed": "40"})
    samples._handle_msg({"typed": "many"})
    fields.kind.value = "cavi"
    assert texts == ["black-box:16,divergence=chi:2.0", "black-box:40", "cavi"]
    assert complaints == ["Samples: wanted a whole number from 1 to 10000, got 'many'"]
    assert gradient.label == "Gradient"
    assert part_text(config) == "black-box:16"


def test_sliders_have_the_bounds_of_their_settings() -> None:
    config = VI_PARTS["method"].get("svi")
    assert bounds(config.model_fields["forgetting"]) == ((0.0, 1.0), (False, False))
    assert bounds(config.model_fields["rate"])[1] == (True, False)
    assert slider_range(16, 1, 10_000, whole=True) == ((1, 1600), True)
    assert slider_range(0, 0, 10_000, whole=True) == ((0, 100), True)
    assert slider_range(0.0, 0.0, 1e30, whole=False) == ((0.0, 100.0), False)


def test_a_drawn_mixture_is_the_target(tmp_path: Path) -> None:
    page = opened(tmp_path)
    wait_until(page, lambda: page.session.request is not None)
    page.controls.pad._handle_msg({"components": "0:0:1:1 2:2:0.5:1"})
    assert page.state.target == "mixture,components=0:0:1:1 2:2:0.5:1"
    for wrong in ("", "0:0:1", "99:0:1:1", "0:0:1:1 " * 13, 7, None, "0:0:x:1"):
        before = page.state.target
        page.controls.pad._handle_msg({"components": wrong})
        assert page.state.target == before
        assert page.notice.pane.visible


# In a browser


@pytest.mark.page
def test_two_inferences_are_played_drawn_and_kept_in_the_address(offline_page: Any, served: Served) -> None:
    page = offline_page
    page.goto(f"{served.url}vi-lab?steps=20")
    expect(page.locator(FILM)).to_have_attribute("data-step", "20", timeout=60_000)
    expect(page.locator(".summary")).to_contain_text("KL(p ‖ q)")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(f"{FILM} .readout")).to_contain_text(re.compile(r"[1-9] of 20 · A: ELBO .* · B: ELBO "))
    page.get_by_role("button", name="Pause").click()
    shapes = page.evaluate("window.gpvaePlots.vi_a.layout.shapes.map(shape => shape.type)")
    assert shapes == ["path", "path", "circle"], "the path of the mean, the outline of q(z) and its mean"
    choose(page, "Method of A", "stein-particles")
    wait_for_choice(page, "method_a", "stein-particles:50")
    expect(page.locator(f"{FILM} .readout")).to_contain_text("A: 50 particles")
    page.wait_for_function("window.gpvaePlots.vi_a.layout.shapes.length === 50")
    page.get_by_role("button", name="Draw a mixture").click()
    plane = page.locator(".pad svg")
    plane.click(position={"x": 60, "y": 60})
    page.wait_for_function("new URLSearchParams(location.search).get('target').endsWith(' -2.5:2.5:0.6:1')")
    plane.press("ArrowRight")
    plane.press("+")
    page.wait_for_function("new URLSearchParams(location.search).get('target').endsWith(' -2.4:2.5:0.7:1')")
    plane.press("Delete")
    page.wait_for_function("!new URLSearchParams(location.search).get('target').includes('-2.4')")
    page.get_by_role("slider", name="Standard deviation").fill("1.5")
    page.wait_for_function("new URLSearchParams(location.search).get('target').includes(':1.5:')")
    page.keyboard.press("Escape")
    expect(plane).not_to_be_visible()
    address = page.url
    page.goto(address)
    expect(view(page, "vi_a").locator(".sub")).to_have_text("stein-particles:50", timeout=60_000)
    assert page.url == address


@pytest.mark.page
def test_the_noise_and_the_files(offline_page: Any, served: Served) -> None:
    page = offline_page
    page.goto(f"{served.url}vi-lab?steps=5&target=bayesian-mixture:6&family_a=mean-field&method_a=svi:3&against=batch")
    view(page, "vi_noise").get_by_role("button", name="Measure").click(timeout=60_000)
    expect(view(page, "vi_noise").locator(".sentence")).to_contain_text("times the variance of", timeout=90_000)
    assert page.evaluate("window.gpvaePlots.vi_noise.data.length") == 7
    with page.expect_download() as saved:
        save_as(view(page, "vi_divergence"), "CSV")
    assert "forward-kl_nats" in Path(saved.value.path()).read_text(encoding="utf-8")
