"""The GP-Prior Lab is accessible and fits the window, in light and dark."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.dashboards.prior_lab.cards import card, opened_in_browser


@pytest.mark.page
@pytest.mark.parametrize(
    ("query", "name"),
    [("films-svgp&with=films-markov&hide=second", "path"), ("views-svgp", "view"), ("pairs-svgp", "grid")],
)
def test_the_page_has_no_fault_that_axe_finds_and_is_not_wider_than_the_window(
    offline_page: Any, prior_url: str, query: str, name: str
) -> None:
    page = opened_in_browser(offline_page, prior_url, f"?run={query}", name)
    for width, height in ((1440, 900), (1024, 768)):
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
