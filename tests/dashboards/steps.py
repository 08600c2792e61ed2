"""What a user does on a page in a browser, and what the page then shows."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from gpvae_core.bench.browser import VIEWS

expect.set_options(timeout=15_000)  # what a page shows arrives in many messages: each expectation waits for its own


def chosen(page: Any) -> dict[str, str]:
    """What the address says."""
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def wait_for_choice(page: Any, key: str, value: str) -> None:
    """Until the address says so."""
    page.wait_for_function(
        "([key, value]) => new URLSearchParams(location.search).get(key) === value", arg=[key, value], timeout=15_000
    )


def stamps(page: Any) -> dict[str, int]:
    """The request each view was last painted for."""
    painted = page.evaluate("window.gpvaePainted")
    return {name: painted[name]["stamp"] for name in VIEWS}


def wait_for_repaint(page: Any, before: dict[str, int]) -> None:
    """Until all six views show something newer."""
    newer = "([names, stamp]) => names.every(name => window.gpvaePainted[name].stamp > stamp)"
    page.wait_for_function(newer, arg=[list(VIEWS), max(before.values())], timeout=20_000)


def view(page: Any, name: str) -> Any:
    """The card of a view."""
    return page.locator(f"section[data-view={name}]")


def notice(page: Any) -> Any:
    """The line that tells what went wrong."""
    return page.locator(".notice")


def alt(page: Any, name: str) -> str:
    """A figure's alternative text."""
    return str(view(page, name).locator(".plot").get_attribute("aria-label"))


def choose(page: Any, label: str, option: str) -> None:
    """Pick an option of a drop-down of the bar."""
    page.get_by_role("combobox", name=label).click()
    page.locator("li").get_by_text(option, exact=True).click()
