"""What a page keeps in its browser: theme, links and connection; and that all of it comes from this machine."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet
from panel.io.state import set_curdoc
from playwright.sync_api import expect

from dashboards.app import PAGES, opener
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from tests.conftest import is_local
from tests.dashboards.conftest import Served, eventually

DARK, LIGHT = "rgb(18, 18, 18)", "rgb(255, 255, 255)"
"""The background of a page."""
COMPUTED = 60_000


@pytest.mark.parametrize("kind", PAGES, ids=lambda kind: kind.title)
def test_a_session_that_a_web_socket_begins_asks_for_nothing_elsewhere(kind: type[Page], runs: Path) -> None:
    """Such is that of a page that connects after its own has ended; before, its styles came from cdn.holoviz.org."""
    library, document = RunLibrary([runs]), Document()
    with set_curdoc(document):
        root = opener(kind, library, FirstStart(runs))().get_root(document)
        styles = [str(part.url) for part in root.references() if isinstance(part, ImportedStyleSheet)]
    assert styles
    assert all(style.startswith("static/extensions/panel/") for style in styles)


def background(page: Any, colour: str) -> None:
    expect(page.locator("body")).to_have_css("background-color", colour, timeout=COMPUTED)


@pytest.mark.page
def test_the_theme_is_that_of_the_system_until_one_is_chosen(offline_page: Any, served: Served) -> None:
    page = offline_page
    page.emulate_media(color_scheme="dark")
    page.goto(f"{served.url}results")
    background(page, DARK)
    page.emulate_media(color_scheme="light")
    background(page, LIGHT)
    page.emulate_media(color_scheme="dark")
    background(page, DARK)
    page.get_by_role("button", name=re.compile("theme", re.I)).click()
    background(page, LIGHT)
    page.reload()
    page.get_by_role("link", name="MAPA Lab").click()
    page.wait_for_url(re.compile("mapa-lab"))
    page.locator("section[data-view=mapa_traces] .main-svg").first.wait_for(state="attached", timeout=COMPUTED)
    background(page, LIGHT)
    page.get_by_role("button", name=re.compile("theme", re.I)).click()
    background(page, DARK)
    page.emulate_media(color_scheme="light")
    page.go_back()
    page.wait_for_url(re.compile("results"))
    background(page, DARK)
    plot = page.locator("section[data-view=beside_paper] .plot")
    expect(plot).to_be_visible(timeout=COMPUTED)
    assert plot.evaluate("plot => plot.layout.paper_bgcolor") == "#15191E", "figures are dark from the first drawing on"


@pytest.mark.page
def test_a_theme_is_kept_before_the_server_hears_of_it(offline_page: Any, start_server: Any, runs: Path) -> None:
    """Before, a page that was loaded again at once, as on a busy machine, had forgotten it."""
    page, served = offline_page, start_server(runs)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{served.url}results")
    background(page, DARK)
    page.wait_for_function("() => document.cookie.includes('gpvae-theme=system-dark')")
    served.process.send_signal(signal.SIGSTOP)
    try:
        page.get_by_role("button", name=re.compile("theme", re.I)).click()
        background(page, LIGHT)
        assert (
            eventually(page, lambda: page.evaluate("() => document.cookie"), "gpvae-theme=light") == "gpvae-theme=light"
        )
    finally:
        served.process.send_signal(signal.SIGCONT)
    page.reload()
    background(page, LIGHT)


@pytest.mark.page
def test_a_link_to_another_page_takes_run_and_image_along(explorer_page: Callable[[str], Any]) -> None:
    page = explorer_page("?run=tiny-gp&with=&index=7&colour=uncertainty")
    page.get_by_role("link", name="Gap Lab").click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('decoder') === 'tiny-gp'", timeout=COMPUTED)
    page.wait_for_function("() => new URLSearchParams(location.search).get('start') === 'tiny-gp'")
    page.wait_for_function("() => new URLSearchParams(location.search).get('test') === '7'")  # before, it was lost
    expect(page.locator(".summary")).to_contain_text("test image 7,", timeout=COMPUTED)
    expect(page.get_by_label("Image, 0–").locator("visible=true")).to_have_value("7")
    expect(page.locator(".notice")).to_be_hidden()
    page.get_by_role("link", name="MAPA Lab").click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('image') === '7'", timeout=COMPUTED)
    page.wait_for_function("() => new URLSearchParams(location.search).get('run') === 'tiny-gp'")
    page.get_by_role("link", name="Posterior Explorer").click()
    wanted = "() => /run=tiny-gp.*index=7.*colour=uncertainty/.test(location.search)"
    page.wait_for_function(wanted, timeout=COMPUTED)
    expect(page.locator(".summary")).to_contain_text("test image 7,", timeout=COMPUTED)


@pytest.mark.page
def test_a_page_that_loses_its_server_says_so_and_goes_on_once_it_is_there_again(
    start_server: Callable[..., Served], runs: Path, page: Any
) -> None:
    outside: list[str] = []
    page.on("request", lambda request: None if is_local(request.url) else outside.append(request.url))
    served = start_server(runs)
    page.goto(f"{served.url}mapa-lab?set=circle&index=5")
    drawn = page.locator("section[data-view=mapa_traces] .main-svg").first
    drawn.wait_for(state="attached", timeout=COMPUTED)
    page.get_by_role("button", name="Next point").click()
    page.wait_for_function("() => location.search.includes('index=6')")
    served.process.kill()
    lost = page.get_by_role("alert").get_by_text("The connection to the server is lost")
    expect(page.locator("#connection-lost")).to_be_visible(timeout=COMPUTED)
    expect(page.locator("#connection-lost")).to_contain_text("asks for it every second")
    served.process.wait(20)
    start_server(runs, port=served.port)
    expect(lost).to_have_count(0, timeout=COMPUTED)
    drawn.wait_for(state="attached", timeout=COMPUTED)
    assert "index=6" in page.url
    page.get_by_role("button", name="Next point").click()
    page.wait_for_function("() => location.search.includes('index=7')", timeout=COMPUTED)
    assert outside == []
