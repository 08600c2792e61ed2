"""A server that ends each session 10 s after its last connection and prints how many page objects are alive.

python server_that_counts.py PORT PLACE...
"""

from __future__ import annotations

import gc
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import panel as pn
from tornado.ioloop import PeriodicCallback

from dashboards.app import make_server
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page

LIFETIMES = {"unused_session_lifetime_milliseconds": 10_000, "check_unused_sessions_milliseconds": 500}
ALIVE: weakref.WeakSet[Page] = weakref.WeakSet()
_init = Page.__init__


def _counted(self: Page, *args: Any, **kwargs: Any) -> None:
    ALIVE.add(self)
    _init(self, *args, **kwargs)


def _print_count() -> None:
    gc.collect()
    print("alive:", *sorted(type(page).__name__ for page in ALIVE), flush=True)


def main() -> None:
    port, places = int(sys.argv[1]), [Path(place) for place in sys.argv[2:]]
    Page.__init__ = _counted
    pn.io.server.get_server = partial(pn.io.server.get_server, **LIFETIMES)
    server = make_server(RunLibrary(places), FirstStart(places[0]), port)
    server.start()
    PeriodicCallback(_print_count, 1000).start()
    server.io_loop.start()


if __name__ == "__main__":
    main()
