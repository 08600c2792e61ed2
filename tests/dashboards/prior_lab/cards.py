"""The cards of the GP-Prior Lab in a browser."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

expect.set_options(timeout=30_000)


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
