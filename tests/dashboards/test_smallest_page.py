"""The page that CONTRIBUTING.md prints in full, taken out of it, served and opened in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from pathlib import Path

import smallest
from dashboards import app
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary

app.PAGES = (*app.PAGES, smallest.SumPage)
library = RunLibrary([Path("runs")])
app.serve(library, FirstStart(library.root), int(sys.argv[1]), open_browser=False)
"""


def printed_page() -> str:
    """Return the Python that stands under "Add a page"."""
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a page")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


def test_it_is_short() -> None:
    assert len(printed_page().splitlines()) < 60


@pytest.fixture(scope="module")
def url(start_server: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("smallest")
    (folder / "smallest.py").write_text(printed_page(), encoding="utf-8")
    script = folder / "serve.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return f"{start_server(cwd=folder, script=script).url}sum"


def text(page: Any) -> Any:
    return page.locator("section[data-view=sum] .sentence")


@pytest.mark.page
def test_it_shows_its_text_and_follows_slider_and_address(offline_page: Any, url: str) -> None:
    page = offline_page
    page.goto(url)
    expect(text(page)).to_have_text("The first 3 numbers add up to 6.", timeout=20_000)
    expect(page.get_by_label("Pages").get_by_role("link", name="Sums")).to_have_attribute("aria-current", "page")
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    expect(text(page)).to_have_text("The first 4 numbers add up to 10.")
    page.wait_for_function("new URLSearchParams(location.search).get('n') === '4'")
    page.goto(f"{url}?n=20")
    expect(text(page)).to_have_text("The first 20 numbers add up to 210.", timeout=20_000)
    expect(page.get_by_role("slider")).to_have_value("20")
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
@pytest.mark.parametrize("wrong", ["many", "0", "101"])
def test_a_wrong_value_in_the_address_is_one_clear_line(offline_page: Any, url: str, wrong: str) -> None:
    offline_page.goto(f"{url}?n={wrong}")
    line = f"n: wanted a whole number from 1 to 100, got '{wrong}'"
    expect(offline_page.locator(".notice")).to_have_text(line, timeout=20_000)
    expect(text(offline_page)).to_have_text("The first 3 numbers add up to 6.")
    offline_page.wait_for_function("new URLSearchParams(location.search).get('n') === '3'")
