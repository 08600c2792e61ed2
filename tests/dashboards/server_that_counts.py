"""A server that ends each session 10 s after its last connection and prints which page objects are alive.

It also prints of each web socket whether it sends without delay.

python server_that_counts.py PORT PLACE...
"""

from __future__ import annotations

import gc
import sys
import weakref
from functools import partial
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

import panel as pn
from panel.io.server import WSHandler
from tornado.ioloop import PeriodicCallback

from dashboards.app import make_server
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page

LIFETIMES = {"unused_session_lifetime_milliseconds": 10_000, "check_unused_sessions_milliseconds": 500}
ALIVE: weakref.WeakSet[Page] = weakref.WeakSet()
SOCKETS: weakref.WeakSet[Any] = weakref.WeakSet()
_init, _open = Page.__init__, WSHandler.open


def _counted(self: Page, *args: Any, **kwargs: Any) -> None:
    ALIVE.add(self)
    _init(self, *args, **kwargs)


def _counted_socket(self: WSHandler, *args: Any, **kwargs: Any) -> None:
    SOCKETS.add(self)
    _open(self, *args, **kwargs)


def _print_count() -> None:
    gc.collect()
    print("alive:", *sorted(type(page).__name__ for page in ALIVE), flush=True)
    connections = (socket.ws_connection for socket in SOCKETS)
    streams = [connection.stream.socket for connection in connections if connection is not None]
    options = [stream.getsockopt(IPPROTO_TCP, TCP_NODELAY) for stream in streams if stream is not None]
    print("without delay:", *map(bool, options), flush=True)


def main() -> None:
    port, places = int(sys.argv[1]), [Path(place) for place in sys.argv[2:]]
    Page.__init__, WSHandler.open = _counted, _counted_socket
    pn.io.server.get_server = partial(pn.io.server.get_server, **LIFETIMES)
    server = make_server(RunLibrary(places), FirstStart(places[0]), port)
    server.start()
    PeriodicCallback(_print_count, 1000).start()
    server.io_loop.start()


if __name__ == "__main__":
    main()
