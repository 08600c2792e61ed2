"""The pages as one server on this machine: `gpvae explore`."""

from __future__ import annotations

import asyncio
import errno
import gc
import html
import logging
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.server.server import Server
from panel.io.resources import LOCAL_DIST
from panel.io.server import WSHandler
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from dashboards.explorer.controls import MAX_UPLOAD
from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.guard import LOCAL_NAMES, guard
from dashboards.lab.first_start import FirstStart
from dashboards.lab.jobs import stop_jobs
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.lab.places import DEFAULT_ROOT
from dashboards.mapa_lab.page import MapaLabPage
from dashboards.missing import name_pages
from dashboards.prior_lab.page import PriorLabPage
from dashboards.results.page import ResultsPage
from dashboards.vi_lab.page import VILabPage
from gpvae_core.errors import UserError

HOST = "127.0.0.1"
MAX_MESSAGE = 3 * MAX_UPLOAD
"""Most bytes of one web socket message: an upload in base64 with its envelope."""
SAVE_SECONDS = 10.0
"""Most seconds for which the end of the server waits for trainings to save their state."""
LINKS = """
nav { color: #ffffff; display: flex; gap: 4px; font-size: 13px; align-items: center; }
a { color: inherit; text-decoration: none; white-space: nowrap;
  padding: 3px 10px; border-radius: 4px; border: 1px solid transparent; }
a:hover { border-color: currentColor; }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 1px; }
@media (max-width: 640px) { nav { gap: 0; flex-wrap: wrap; font-size: 12px; } a { padding: 2px 4px; } }
a[aria-current=page] { background: rgba(0, 0, 0, 0.25); font-weight: 600; }
"""

PAGES: tuple[type[Page], ...] = (ExplorerPage, GapLabPage, MapaLabPage, PriorLabPage, VILabPage, ResultsPage)
"""Every page of the server, in the order of its navigation; a page is added here."""


def navigation(pages: Sequence[tuple[str, str]], current: str) -> pn.pane.HTML:
    """Return links to `pages`, (path, title) each; the page at the path `current` is marked."""
    here = ' aria-current="page"'
    links = [
        f'<a href="{html.escape(path)}" data-page="{html.escape(path)}"{here if path == current else ""}>'
        f"{html.escape(title)}</a>"
        for path, title in pages
    ]
    text = f'<nav aria-label="Pages">{"".join(links)}</nav>'
    return pn.pane.HTML(text, stylesheets=[LINKS], margin=(0, 12))


def opener(kind: type[Page], library: RunLibrary, first: FirstStart) -> Callable[[], pn.viewable.Viewable]:
    """Return a function that makes a page for a browser that connects; panel would show another callable as text."""

    def open_page() -> pn.viewable.Viewable:
        location, document = pn.state.location, pn.state.curdoc
        query = location.search.lstrip("?") if location is not None else ""
        links = navigation([(page.path, page.title) for page in PAGES], kind.path)
        if document is not None:
            # Panel sets it as it answers the request for a page. A browser that connects after its session has ended,
            # as on a slow machine, gets a new session without that, and would ask for Panel's styles elsewhere.
            document.template_variables.setdefault("dist_url", LOCAL_DIST)
        page = kind(library, first, document, query, links)
        page.browser.places = {page.path: page.carried for page in PAGES}
        # Of callbacks that fail. A weak reference: Panel would otherwise keep the page for as long as the server runs.
        method = weakref.WeakMethod(page.failed)
        pn.config.exception_handler = lambda error: (failed := method()) and failed(error)
        pn.state.onload(page.loaded)
        return page.frame

    return open_page


class WithoutDelay(WSHandler):
    """A web socket that sends every message at once.

    By default each waits, for up to 40 ms, until the browser has acknowledged the one before (Nagle's algorithm).
    """

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Accept a connection."""
        self.set_nodelay(True)
        super().open(*args, **kwargs)


def make_server(library: RunLibrary, first: FirstStart, port: int) -> Server:
    """Return the server, bound to loopback, not yet running.

    Raises:
        UserError: the port is in use or may not be used.
    """
    pn.extension("plotly")
    origins = [f"{name}:{port}" for name in sorted(LOCAL_NAMES)]
    try:
        server = pn.io.server.get_server(
            {page.path: opener(page, library, first) for page in PAGES},
            port=port,
            address=HOST,
            websocket_origin=origins,
            title={page.path: page.title for page in PAGES},
            websocket_max_message_size=MAX_MESSAGE,
            start=False,
            show=False,
        )
    except OSError as error:
        another = port + 1 if port < 65535 else 5006
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise UserError(f"port {port} {why}; choose another with --port, for example --port {another}") from None
    guard(server)
    name_pages(server._tornado, [(page.path, page.title) for page in PAGES])
    for rule in server._tornado.wildcard_router.rules:
        if rule.target is WSHandler:
            rule.target = WithoutDelay
    server.io_loop.add_callback(lambda: asyncio.get_running_loop().set_exception_handler(_closed_tabs_are_normal))
    return server


def _closed_tabs_are_normal(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore the error of an answer to a tab that was closed; report every other error as usual."""
    if not isinstance(context.get("exception"), WebSocketClosedError | StreamClosedError):
        loop.default_exception_handler(context)


def serve(library: RunLibrary, first: FirstStart, port: int, open_browser: bool) -> None:
    """Serve until interrupted; a training that runs then saves its state."""
    logging.getLogger("bokeh").setLevel(logging.WARNING)
    server = make_server(library, first, port)
    for page in PAGES:
        print(f"{page.title}: http://localhost:{port}{page.path}", flush=True)
    print("Ctrl-C ends it", flush=True)
    if open_browser:
        server.io_loop.add_callback(server.show, "/")
    server.start()
    # What has been imported stays: a collection, as after each closed tab, need not look at it.
    gc.freeze()
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        print()
    finally:
        server.stop()
        stop_jobs(SAVE_SECONDS)


def serve_runs(places: Sequence[Path], port: int, open_browser: bool) -> None:
    """Serve the runs at `places` (run folders or folders of runs; the default is `runs/`).

    Raises:
        UserError: a place without runs that was named, a damaged run, a port in use.
    """
    library = RunLibrary(list(places) or [DEFAULT_ROOT])
    serve(library, FirstStart(library.root), port, open_browser)
