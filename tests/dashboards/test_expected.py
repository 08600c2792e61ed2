"""What a page computes ahead: the views of the image at which the pointer rests, or the keys are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.latest import Latest
from dashboards.lab.library import RunLibrary
from gpvae_core.bench.browser import VIEWS, map_points
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.progress import Cancelled, checkpoint
from gpvae_core.runs import load_run
from tests.dashboards.conftest import eventually, wait_until
from tests.dashboards.steps import view, wait_for_choice

Computed = list[tuple[str, object, bool]]
"""The pane, the image and whether its best Gaussians were known, of each view that was computed."""
OF_IMAGE = {"posterior", "uncertainty", "traces", "reconstructions", "gaps"}


def opened(runs: Path) -> tuple[ExplorerPage, Computed]:
    """A page at image 3, prepared, and the list that the views which it computes are added to."""
    library = RunLibrary([runs], opened=lambda path: Explorer(load_run(path), gap_sample=4))
    page = ExplorerPage(library, FirstStart(runs), None, "run=tiny-gp&index=3")
    page.loaded()
    wait_until(page, lambda: library.is_open("tiny-gp") and library.preparation("tiny-gp").outcome == "done")
    page.tick()
    wait_until(page, lambda: "approximation gap" in alt(page, "gaps"))
    for _ in range(2):  # what has become ready last is noticed at a tick, and then shown
        page.tick()
        wait_until(page, lambda: not page.session.latest._answering)
    computed: Computed = []
    for pane in page.session.panes:
        pane.compute = noted(pane.name, pane.compute, computed)
    return page, computed


def noted(name: str, compute: Callable[..., Any], computed: Computed) -> Callable[..., Any]:
    def compute_and_note(request: Any, progress: Any) -> Any:
        computed.append((name, request.identity, request.refined))
        return compute(request, progress)

    return compute_and_note


def alt(page: ExplorerPage, card: str) -> str:
    return str(page.session.cards[card].content["alt"])


def expect_image(page: ExplorerPage, computed: Computed, index: int) -> None:
    """Let the pointer rest on an image until all its views are computed."""
    page.expect(index)
    wait_until(page, lambda: {name for name, image, _ in computed if image == index} >= OF_IMAGE)
    wait_until(page, lambda: {*page.session._expected} >= OF_IMAGE)


def test_a_picked_image_that_was_expected_is_not_computed_again(runs: Path) -> None:
    page, computed = opened(runs)
    expect_image(page, computed, 40)
    assert "image 40" not in alt(page, "reconstructions"), "nothing changes before it is picked"
    computed.clear()
    page.pick(40)
    wait_until(page, lambda: "image 40" in alt(page, "reconstructions"))
    wait_until(page, lambda: "approximation gap" in alt(page, "gaps"))
    assert [name for name, image, best_known in computed if image == 40 and not best_known] == []
    fresh, _ = opened(runs)
    fresh.pick(40)
    wait_until(fresh, lambda: "image 40" in alt(fresh, "reconstructions") and "approximation gap" in alt(fresh, "gaps"))
    for name in OF_IMAGE:
        wait_until(page, lambda name=name: page.session.cards[name].figure == fresh.session.cards[name].figure)
        assert alt(page, name) == alt(fresh, name)


def test_another_image_than_the_expected_one_is_shown_as_it_is(runs: Path) -> None:
    page, computed = opened(runs)
    expect_image(page, computed, 40)
    page.pick(41)
    wait_until(page, lambda: all("image 41" in alt(page, name) for name in ("posterior", "traces", "reconstructions")))
    assert {image for _, image, _ in computed} >= {40, 41}


def test_what_was_computed_ahead_is_not_shown_once_more_is_known(runs: Path) -> None:
    """The gaps would remain without their parts, as nothing is left to be improved."""
    page, computed = opened(runs)
    expect_image(page, computed, 40)
    assert page.session.request is not None
    explorer = page.session.request.focal.explorer
    explorer.best_gaussian(explorer.instance(40))
    page.pick(40)
    wait_until(page, lambda: "image 40" in alt(page, "reconstructions"))
    wait_until(page, lambda: "approximation gap" in alt(page, "gaps"))


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_what_cannot_be_picked_is_not_expected_and_not_complained_about(runs: Path, wrong: int) -> None:
    page, computed = opened(runs)
    page.expect(wrong)
    expect_image(page, computed, 40)  # after it
    assert {image for _, image, _ in computed} <= {3, 40}
    assert not page.notice.pane.visible


# The requests


def test_nothing_is_expected_while_a_request_is_answered() -> None:
    latest, begun, release, expected = Latest(None, print), threading.Event(), threading.Event(), []

    def slow(generation: int) -> None:
        begun.set()
        release.wait(30)

    latest.ask(slow)
    assert begun.wait(10)
    latest.expect(lambda wanted: expected.append(wanted()))
    release.set()
    answered = threading.Event()
    latest.ask(lambda generation: answered.set())
    assert answered.wait(10)
    assert expected == []


def test_work_ahead_is_wanted_until_a_request_comes_and_stopped_by_another_expectation() -> None:
    latest, begun, release, seen = Latest(None, print), threading.Event(), threading.Event(), []
    ended, stopped = threading.Event(), threading.Event()

    def ahead(wanted: Callable[[], bool]) -> None:
        seen.append(wanted())
        begun.set()
        assert release.wait(30)
        checkpoint()  # a request alone does not stop what is likely its own
        seen.append(wanted())
        latest.expect(lambda wanted: ended.set())
        assert ended.wait(30)
        try:
            checkpoint()
        except Cancelled:
            stopped.set()
            raise

    latest.expect(ahead)
    assert begun.wait(10)
    answered = threading.Event()
    latest.ask(lambda generation: answered.set())
    assert answered.wait(10)
    while latest._answering:
        threading.Event().wait(0.01)
    release.set()
    assert stopped.wait(10)
    assert seen == [True, False]


def test_what_fails_ahead_is_not_told() -> None:
    told: list[str] = []
    latest, done = Latest(None, told.append), threading.Event()

    def fails(wanted: Callable[[], bool]) -> None:
        raise ValueError("ahead")

    latest.expect(fails)
    latest.expect(lambda wanted: done.set())
    assert done.wait(10)
    assert told == []


# The browser

SENT = """() => {
  const {send} = WebSocket.prototype
  window.sent = []
  WebSocket.prototype.send = function (data) { window.sent.push(String(data)); send.call(this, data) }
}"""
EXPECTED = (
    """() => window.sent.flatMap(text => [...text.matchAll(/"expect",? *(\\d+)/g)].map(found => Number(found[1])))"""
)


@pytest.mark.page
def test_the_server_is_told_where_the_pointer_rests_and_the_keys_are(explorer_page: Callable[..., Any]) -> None:
    page = explorer_page("?run=tiny-gp&with=&index=3")
    assert view(page, VIEWS[0]).is_visible()
    page.evaluate(SENT)
    x, y = map_points(page)[20]
    page.mouse.move(x, y)
    for nudge in range(100):
        page.mouse.move(x + nudge % 2, y)
        page.wait_for_timeout(100)
        if page.evaluate(EXPECTED):
            break
    resting = page.evaluate(EXPECTED)
    assert len(resting) == 1, page.evaluate("() => window.sent")
    page.locator("section[data-view=map] .cursor").focus()
    page.keyboard.press("ArrowRight")
    at = eventually(page, lambda: len(page.evaluate(EXPECTED)), 2)
    assert at == 2
    page.keyboard.press("Enter")
    wait_for_choice(page, "index", str(page.evaluate(EXPECTED)[-1]))
