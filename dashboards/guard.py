"""The check that only this machine's browser, by a local name and from our own pages, reaches the server.

Binding to loopback keeps other machines out. A page from elsewhere can still reach a loopback server through a name
that resolves here (DNS rebinding); its Host and Origin then agree with one another, so each is checked by itself. A
page from elsewhere can also ask for a picture or a script of ours, without an Origin; the browser says so in
Sec-Fetch-Site. Any port is accepted: behind a forwarded port (ssh -L 8000:localhost:5006) the browser names that one.
"""

from __future__ import annotations

import logging
import re
import traceback
from urllib.parse import unquote

from bokeh.protocol.exceptions import ProtocolError
from bokeh.server.server import Server
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import OutputTransform, RequestHandler

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1"})
IPV6 = "[::1]"
"""This machine by IPv6, at which ssh forwards a port too. Panel does not read such a host: see `ByIPv6`."""
KNOWN = "|".join(map(re.escape, sorted({*LOCAL_NAMES, IPV6})))
LOCAL_HOST = re.compile(rf"({KNOWN})(?::([0-9]{{1,5}}))?", re.IGNORECASE)


def _port(host: str) -> str | None:
    """Return the port of a local host: '5006' for 'localhost:5006', '' without one; None for any other host."""
    found = LOCAL_HOST.fullmatch(host)
    return found and (found[2] or "")


class Foreign(Matcher):
    """Matches requests that name another host, or come from a page of another origin."""

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Return {} for a foreign request, None for one of ours, as tornado wants it."""
        port = _port(request.host)
        origins = [request.headers.get(name) for name in ("Origin", "Sec-Websocket-Origin")]
        local = port is not None and all(
            origin is None or _port(origin.partition("://")[2]) == port for origin in origins
        )
        return None if local and (_from_our_pages(request) or _is_navigation(request)) else {}


def _from_our_pages(request: HTTPServerRequest) -> bool:
    """Return whether the browser says that our own page or the user asks; one that says nothing is believed.

    'same-site' is a page of another port of this machine, and not ours.
    """
    return request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")


def _is_navigation(request: HTTPServerRequest) -> bool:
    """Return whether a link is followed to one of our pages.

    It is accepted from any site: an address of a page is made to be passed on, in notes or a chat. The site that has
    the link sees nothing of the answer, and cannot put the page into a frame of its own.
    """
    wanted = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    return request.method == "GET" and all(request.headers.get(name) == value for name, value in wanted.items())


class ByIPv6(Matcher):
    """Matches requests to this machine by its IPv6 address."""

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Return {} for such a request, None for any other, as tornado wants it."""
        return {} if request.host.startswith(IPV6) else None


class ToLocalhost(RequestHandler):
    """Sends the browser to the same page under the name localhost, which has both of this machine's addresses."""

    def prepare(self) -> None:
        port = _port(self.request.host)
        place = f"localhost:{port}" if port else "localhost"
        self.redirect(f"{self.request.protocol}://{place}/{(self.request.uri or '').lstrip('/')}", status=307)


class Malformed(Matcher):
    """Matches requests for a path that no browser of ours asks for, at which tornado's and Panel's files fail.

    Such are a NUL, which no file has in its name, and steps upwards, which a browser resolves before it asks.
    """

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Return {} for such a request, None for any other, as tornado wants it."""
        path = unquote(request.path)
        return {} if "\0" in path or ".." in re.split(r"[/\\]", path) else None


class Refuse(RequestHandler):
    """Answers every request with one line of text."""

    def initialize(self, status: int, line: str) -> None:
        self._status, self._line = status, line

    def prepare(self) -> None:
        self.set_status(self._status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._status}: {self._line}\n")


FOREIGN = {
    "status": 403,
    "line": "this server answers pages of its own alone, under localhost, 127.0.0.1 or [::1], at whatever port",
}
MALFORMED = {"status": 400, "line": "there is no such address"}


class WithoutFrames(OutputTransform):
    """Forbids every other site to show an answer in a frame, where a user could be led to click on it unawares."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the header to an answer."""
        headers["Content-Security-Policy"] = "frame-ancestors 'none'"
        return status_code, headers, chunk


def _in_one_line(record: logging.LogRecord) -> bool:
    """Log a refused web socket, such as that of a tab whose token has expired, in one line without a traceback.

    What arrives from a tab that was closed while its page was made is not logged: bokeh has let go of its session, and
    its assertion says no more.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, AssertionError):
        raised_in = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)]
        return raised_in[-1:] != ["bokeh.server.connection"]
    if isinstance(error, ProtocolError):
        record.msg, record.args, record.exc_info = "a web socket was refused: %s", (error,), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def guard(server: Server) -> None:
    """Put the checks in front of all routes of the server, of pages and web sockets; log refusals in one line."""
    for name in ("tornado.application", "bokeh.server.protocol_handler"):
        logging.getLogger(name).addFilter(_in_one_line)
    application = server._tornado  # bokeh has no public way to its tornado application
    # Bokeh checks the origin of a web socket once more; its own option takes no pattern for the port.
    application.websocket_origins.update(f"{name}:*" for name in LOCAL_NAMES)
    application.add_transform(WithoutFrames)
    rules = [Rule(Foreign(), Refuse, FOREIGN), Rule(Malformed(), Refuse, MALFORMED), Rule(ByIPv6(), ToLocalhost)]
    application.default_router.rules[:0] = rules
