"""The check that only this machine's browser, by a local name and from our own pages, reaches the server.

Binding to loopback keeps other machines out. A page from elsewhere can still reach a loopback server through a name
that resolves here (DNS rebinding); its Host and Origin then agree with one another, so each is checked by itself.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from bokeh.protocol.exceptions import ProtocolError
from bokeh.server.server import Server
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1"})


class Foreign(Matcher):
    """Matches requests that name another host or come from a page of another origin."""

    def __init__(self, port: int) -> None:
        self._netlocs = frozenset(f"{name}:{port}" for name in LOCAL_NAMES)
        if port == 80:
            self._netlocs |= LOCAL_NAMES

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Return {} for a foreign request, None for one of ours, as tornado wants it."""
        origins = [request.headers.get(name) for name in ("Origin", "Sec-Websocket-Origin")]
        local = request.host.lower() in self._netlocs and all(
            origin is None or urlsplit(origin).netloc.lower() in self._netlocs for origin in origins
        )
        return None if local else {}


class Refuse(RequestHandler):
    """Answers every request with status 403."""

    def prepare(self) -> None:
        self.set_status(403)
        self.finish("403: this page is served to this machine alone, under localhost or 127.0.0.1.\n")


def _in_one_line(record: logging.LogRecord) -> bool:
    """Log a refused web socket, such as that of a tab whose token has expired, in one line without a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ProtocolError):
        record.msg, record.args, record.exc_info = "a web socket was refused: %s", (error,), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def guard(server: Server, port: int) -> None:
    """Put the check in front of all routes of the server, of pages and web sockets; log refusals in one line."""
    logging.getLogger("tornado.application").addFilter(_in_one_line)
    application = server._tornado  # bokeh has no public way to its tornado application
    application.default_router.rules.insert(0, Rule(Foreign(port), Refuse))
