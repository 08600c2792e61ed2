"""Control of the pages in a real browser, and measurement of the time from a choice to the last painted view.

It needs playwright, a test dependency; the pages do not import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from playwright.sync_api import Page

# The pages record in `window.gpvaePainted[view]` the `stamp` of the request that a view shows and the time `at` which
# it was painted (milliseconds of `performance.now`). The scripts below evaluate these in the page.
MAP = "section[data-view=map] .plot"
PRESS_MS = 80
"""Milliseconds for which the button is held down, as by a person."""
VIEWS = ("map", "posterior", "uncertainty", "traces", "reconstructions", "gaps")
READY = "names => names.every(name => (window.gpvaePainted?.[name]?.stamp ?? 0) > 0)"
STAMPS = "names => Math.max(...names.map(name => window.gpvaePainted[name].stamp))"
PAINTED = """([names, stamp]) => names.map(name => window.gpvaePainted[name])
  .every(view => view.stamp > stamp && view.at > window.gpvaeChosen)"""
QUIET = """([names, still]) =>
  performance.now() - Math.max(...names.map(name => window.gpvaePainted[name].at)) > still"""
LATEST = "names => Math.max(...names.map(name => window.gpvaePainted[name].at)) - window.gpvaeChosen"
LISTEN = """event => {
  window.gpvaeChosen = Infinity
  window.addEventListener(event, () => { window.gpvaeChosen = performance.now() }, {capture: true, once: true})
}"""
PLACE = """
  const {xaxis, yaxis} = plot._fullLayout
  const box = plot.getBoundingClientRect()
  const scale = box.width / plot.offsetWidth
  const inPlot = (x, y) => [xaxis.d2p(x), yaxis.d2p(y)]
  const inWindow = ([x, y]) => [box.left + scale * (xaxis._offset + x), box.top + scale * (yaxis._offset + y)]
"""
POINTS = f"""plot => {{{PLACE}
  const inside = ([x, y]) => x > 5 && y > 5 && x < xaxis._length - 5 && y < yaxis._length - 5
  const rings = plot._fullLayout.shapes.map(ring => inPlot(ring.xanchor, ring.yanchor))
  const free = ([x, y]) => !rings.some(([a, b]) => Math.hypot(x - a, y - b) < 1)
  return plot._fullData.flatMap(trace => Array.from(trace.x, (x, k) => inPlot(x, trace.y[k])))
    .filter(inside).filter(free).map(inWindow)
}}"""
HOVERED = f"""(plot, [left, top]) => {{{PLACE}
  const near = ([x, y]) => Math.hypot(x - left, y - top) < 8
  return (plot._hoverdata ?? []).some(point => near(inWindow(inPlot(point.x, point.y))))
}}"""


@contextmanager
def open_tab(browser: str | None = None) -> Iterator[Page]:
    """Open a tab in the Chromium at `browser`, by default playwright's own; close both at the end.

    Raises:
        UserError: playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise UserError("measuring the pages needs playwright: pip install 'gpvae-core[test]'") from None
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield launched.new_page(viewport={"width": 1440, "height": 900})
        finally:
            launched.close()


def wait_until_ready(page: Page, timeout_s: float = 120.0) -> None:
    """Wait until each of the six views has been painted at least once."""
    page.wait_for_function(READY, arg=list(VIEWS), timeout=1000 * timeout_s)


def wait_until_quiet(page: Page, still_ms: int = 800, timeout_s: float = 120.0) -> None:
    """Wait until all views are painted, no preparation is running, and no view has been painted for `still_ms`."""
    wait_until_ready(page, timeout_s)
    for _ in range(2):  # twice, because the result of the last preparation is painted after it has ended
        page.wait_for_function(QUIET, arg=[list(VIEWS), still_ms], timeout=1000 * timeout_s)
        page.locator(".preparing").wait_for(state="hidden", timeout=1000 * timeout_s)


def map_points(page: Page) -> list[tuple[float, float]]:
    """Return the positions of the map's points, in pixels of the window, but for the shown image's.

    A click on that image, which has a ring, changes nothing.
    """
    plot: Any = page.locator(MAP)
    plot.scroll_into_view_if_needed()
    return [(float(x), float(y)) for x, y in plot.evaluate(POINTS)]


def _hover(page: Page, x: float, y: float) -> None:
    """Move the pointer to a point until plotly reports it as hovered; raise UserError if there is none."""
    # NOTE: plotly's click event refers to the point under the pointer at the last hover, which it computes with a
    # delay; small movements trigger it. Until then it has the point that was hovered before.
    plot = page.locator(MAP)
    for nudge in range(40):
        page.mouse.move(x + nudge % 2, y)
        page.wait_for_timeout(50)
        if plot.evaluate(HOVERED, [x, y]):
            return
    raise UserError(f"there is no point of the map at ({x:.0f}, {y:.0f})")


def _painted_after(page: Page, event: str, act: Callable[[], None], what: str, timeout_s: float) -> float:
    """Choose another image by `act`; return the milliseconds from its event until all six views are repainted."""
    from playwright.sync_api import TimeoutError as Waited

    before = page.evaluate(STAMPS, list(VIEWS))
    page.evaluate(LISTEN, event)
    act()
    try:
        page.wait_for_function(PAINTED, arg=[list(VIEWS), before], timeout=1000 * timeout_s)
    except Waited:
        raise UserError(f"{what} changed nothing within {timeout_s:g} s") from None
    return float(page.evaluate(LATEST, list(VIEWS)))


def click_and_wait(page: Page, x: float, y: float, timeout_s: float = 10.0) -> float:
    """Click at a point; return the milliseconds from the release of the button until all six views are repainted.

    Raises:
        UserError: the views did not change within `timeout_s`.
    """
    _hover(page, x, y)
    act = lambda: page.mouse.click(x, y, delay=PRESS_MS)  # noqa: E731
    return _painted_after(page, "mouseup", act, f"a click on the map at ({x:.0f}, {y:.0f})", timeout_s)


def key_and_wait(page: Page, timeout_s: float = 10.0) -> float:
    """Go to the next image by an arrow key; return the milliseconds until all six views are repainted.

    Raises:
        UserError: the views did not change within `timeout_s`.
    """
    return _painted_after(page, "keydown", lambda: page.keyboard.press("ArrowRight"), "an arrow key", timeout_s)


def _click_somewhere(page: Page, k: int, timeout_s: float) -> float:
    """Click on the point of the map that the number `k` stands for, far from that of the number before."""
    points = map_points(page)
    return click_and_wait(page, *points[(k * 7919 + 13) % len(points)], timeout_s)


WAYS: dict[str, Callable[[Page, int, float], float]] = {
    "click": _click_somewhere,
    "arrow key": lambda page, k, timeout_s: key_and_wait(page, timeout_s),
}
"""How another image is chosen. The server prepares for a click while the pointer rests on the point, not for a key."""


def times_to_repaint(
    url: str,
    ways: Sequence[str],
    n: int = 30,
    browser: str | None = None,
    settle_ms: int = 1500,
    timeout_s: float = 10.0,
) -> dict[str, list[float]]:
    """Return the milliseconds until all six views of the page at `url` are repainted, `n` times in each of these WAYS.

    Args:
        browser: path of the Chromium to run; by default playwright's own.
        settle_ms: pause after each, in which the best Gaussian of the instance is completed.
        timeout_s: longest time until the views; one that takes longer raises UserError.
    """
    times: dict[str, list[float]] = {way: [] for way in ways}
    with open_tab(browser) as page:
        page.goto(url)
        wait_until_quiet(page, settle_ms)
        for way in ways:
            for k in range(n):
                times[way].append(WAYS[way](page, k, timeout_s))
                page.wait_for_timeout(settle_ms)
    return times
