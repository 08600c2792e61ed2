"""Shared fixtures: shape checks at run time, one thread a worker, data, and a browser kept on this machine."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from jaxtyping import install_import_hook

NUMERIC = (
    "densities",
    "encoders",
    "nets",
    "likelihoods",
    "refiners",
    "objectives",
    "regularisers",
    "training_bound",
    "vae",
    "bounds",
    "collapse",
    "gp",
    "truth",
    "gaps",
    "mapa",
)
install_import_hook([f"gpvae_core.{name}" for name in NUMERIC], "beartype.beartype")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = (
    "no Chromium found: install it (Debian/Ubuntu: apt-get install chromium; Fedora: dnf install chromium; "
    "macOS: brew install --cask chromium; Windows: winget install Google.Chrome) to run the page tests"
)


def find_browser() -> str | None:
    """The system's Chromium, if there is one."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the page tests where there is no browser, unless the machine promises one."""
    if find_browser() or os.environ.get("GPVAE_REQUIRE_BROWSER"):
        return
    for item in items:
        if item.get_closest_marker("page"):
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in one line what to install."""
    if not find_browser():
        terminalreporter.write_line(NO_BROWSER)


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_worker() -> None:
    import torch

    if os.environ.get("PYTEST_XDIST_WORKER"):
        torch.set_num_threads(1)


def without_empty(figure: Any) -> Any:
    """The figure as the browser gets it, without the fields that plotly leaves out where it checks: None and []."""
    keep = lambda fields: {name: value for name, value in fields.items() if value is not None and value != []}  # noqa: E731
    return json.loads(figure.to_json(), object_hook=keep)


@pytest.fixture(scope="session", autouse=True)
def checked_figures() -> Iterator[None]:
    """Have plotly check every figure, which must then be what the pages show unchecked."""
    import plotly.graph_objects as go

    from gpvae_core.plots import marks

    def checked(*parts: Any, _validate: bool) -> go.Figure:
        figure, unchecked = go.Figure(*parts), go.Figure(*parts, _validate=_validate)
        assert without_empty(figure) == without_empty(unchecked)
        return figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(marks, "go", SimpleNamespace(Figure=checked))
        yield


@pytest.fixture
def data_dir() -> Path:
    """The folder of real data sets, where the machine has one."""
    folder = os.environ.get("GPVAE_DATA_DIR")
    if not folder:
        pytest.skip("GPVAE_DATA_DIR is not set: no MNIST, OMNIGLOT or CIFAR files to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium; where the machine promised one and has none, that is a failure."""
    return find_browser() or pytest.fail(NO_BROWSER)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium_path: str) -> dict[str, Any]:
    """The system's Chromium, without its own traffic."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"]
    # Chromium's sandbox does not start for root, who runs the tests in a container.
    root = ["--no-sandbox"] if sys.platform == "linux" and os.geteuid() == 0 else []
    return {**browser_type_launch_args, "executable_path": chromium_path, "args": ["--disable-gpu", *quiet, *root]}


def is_local(url: str) -> bool:
    """A request that stays on this machine (or inside the page)."""
    parts = urlsplit(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in ("127.0.0.1", "localhost", "::1")


@pytest.fixture
def offline_page(page: Any) -> Iterator[Any]:
    """A page whose requests to elsewhere are stopped; the test fails if there was one, or an error in its console."""
    outside: list[str] = []
    errors: list[str] = []

    def check(route: Any) -> None:
        if is_local(route.request.url):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    page.context.route("**/*", check)
    page.on("websocket", lambda socket: None if is_local(socket.url) else outside.append(socket.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    assert outside == [], "the page asked for something elsewhere"
    assert errors == [], "the page's console shows errors"
