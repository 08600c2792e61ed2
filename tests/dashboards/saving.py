"""Saving what a card shows, and looking at the saved figure."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from tests.dashboards.conftest import save_as

CUT_OFF = """svg => {
  const holder = document.createElement("div")
  holder.innerHTML = svg
  document.body.append(holder)
  const root = holder.firstElementChild, frame = root.getBoundingClientRect(), cut = []
  for (const text of root.querySelectorAll("text")) {
    const box = text.getBoundingClientRect()
    const across = box.left > frame.left - 1 && box.right < frame.right + 1
    const inside = across && box.top > frame.top - 1 && box.bottom < frame.bottom + 1
    if (box.width && getComputedStyle(text).visibility !== "hidden" && !inside) cut.push(text.textContent)
  }
  const words = root.textContent
  holder.remove()
  return [cut, words]
}"""
"""Returns the texts of an SVG file that leave its frame, and all of its text."""


def save(page: Any, card: Any, kind: str) -> tuple[str, bytes]:
    """Save a card as PNG, SVG, CSV or, of several tables, such as CSV: points; return the file's name and content."""
    with page.expect_download() as download:
        save_as(card, kind)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def kinds(card: Any) -> list[str]:
    """What the card can be saved as, by its menu, which is closed again."""
    card.get_by_role("button", name="Save").click()
    items = card.get_by_role("menuitem").all_inner_texts()
    card.get_by_role("menuitem").first.press("Escape")
    return items


def check_figure(page: Any, card: Any, *words: str) -> str:
    """Check that the saved figure holds these words, the card's title and the date, its fonts, and cuts nothing off."""
    name, content = save(page, card, "SVG")
    svg = content.decode()
    cut, text = page.evaluate(CUT_OFF, svg)
    assert cut == [], name
    for word in (card.locator("h2").inner_text(), datetime.date.today().isoformat(), *words):
        assert word in text, f"{word} is not in {name}"
    assert svg.count("font/woff2;base64,") >= 2, "the letters have their font, also the bold ones"
    return name
