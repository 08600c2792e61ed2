"""The server keeps no page object of a session that has ended, be it of a plain request or of a browser's page."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import PAGES
from tests.conftest import is_local
from tests.dashboards.conftest import Served

SCRIPT = Path(__file__).with_name("server_that_counts.py")


def alive(served: Served) -> list[str]:
    """The names of the page objects that the server last printed."""
    lines = [line for line in served.log.read_text().splitlines() if line.startswith("alive:")]
    return lines[-1].split()[1:] if lines else []


def wait_for(served: Served, true: Callable[[list[str]], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true(alive(served)):
        assert time.monotonic() < deadline, f"alive: {alive(served)}"
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.page
def test_a_page_ends_with_its_session(start_server: Callable[..., Served], runs: Path, page: Any) -> None:
    served, opened = start_server(runs, script=SCRIPT), set[str]()
    # NOTE: a page that connects after its session has ended, as on a slow machine, asks for Panel's styles elsewhere.
    page.route(lambda url: not is_local(url), lambda route: route.abort())
    for kind in PAGES:
        for _ in range(3):
            urllib.request.urlopen(served.url.rstrip("/") + kind.path, timeout=60).close()
        page.goto(served.url.rstrip("/") + kind.path)
        page.locator("nav a[aria-current=page]").wait_for()
        wait_for(served, lambda names, name=kind.__name__: name in names)
        opened |= {*alive(served)}
    assert opened == {kind.__name__ for kind in PAGES}
    sockets = [line for line in served.log.read_text().splitlines() if line.startswith("without delay:")]
    assert any("True" in line for line in sockets)
    assert not any("False" in line for line in sockets), "a message waits until the one before is acknowledged"
    page.goto("about:blank")
    # Panel itself keeps the first session's page, in whose context a task of its own runs for ever, and the last one's.
    wait_for(served, lambda names: len(names) <= 2)
