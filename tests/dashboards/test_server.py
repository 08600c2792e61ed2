"""What the server answers, and to whom; and that it trains where there is nothing to show."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dashboards.app import PAGES, make_server
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from gpvae_core.bench.browser import wait_until_ready
from gpvae_core.errors import UserError
from tests.dashboards.steps import wait_for_choice

pytestmark = pytest.mark.page
OpenAt = Callable[..., Any]
UPGRADE = (
    "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n"
)


def exchange(port: int, request: str) -> str:
    """Send raw text to the server; the first line of its answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection.recv(4096).decode(errors="replace").splitlines()[0]


def test_foreign_hosts_and_origins_are_refused(served: Any) -> None:
    own = f"localhost:{served.port}"
    assert "200" in exchange(served.port, f"GET / HTTP/1.1\nHost: {own}\nConnection: close\n\n")
    for path in ("/", "/ws", "/static/js/bokeh.min.js", "/nothing"):
        foreign = f"GET {path} HTTP/1.1\nHost: evil.example:{served.port}\nConnection: close\n\n"
        assert "403" in exchange(served.port, foreign)
        page = f"GET {path} HTTP/1.1\nHost: {own}\nOrigin: http://evil.example\nConnection: close\n\n"
        assert "403" in exchange(served.port, page)
    agreeing = (
        f"GET /ws HTTP/1.1\nHost: evil.example:{served.port}\nOrigin: http://evil.example:{served.port}\n{UPGRADE}\n"
    )
    assert "403" in exchange(served.port, agreeing)
    assert "403" in exchange(served.port, f"GET /ws HTTP/1.1\nHost: {own}\nOrigin: http://evil.example\n{UPGRADE}\n")


def answer(port: int, path: str, host: str, *headers: str) -> tuple[str, str]:
    """The first line and the rest of the answer to a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        parts = iter(lambda: connection.recv(65536), b"")
        first, _, rest = b"".join(parts).decode(errors="replace").partition("\r\n")
        return first, rest


def test_an_unknown_address_leads_to_the_pages(served: Any) -> None:
    """Before, it was a line of text. The guard stands before it, and no site may show it in a frame."""
    first, rest = answer(served.port, "/nothere?x=<script>", f"localhost:{served.port}")
    assert "404" in first
    assert "frame-ancestors 'none'" in rest
    for page in PAGES:
        assert f'<a href="{page.path}">{page.title}</a>' in rest
    assert "script" not in rest
    assert "403" in answer(served.port, "/nothere", "evil.example")[0]


def test_a_forwarded_port_is_served_as_its_own(served: Any) -> None:
    """As behind ssh -L 8000:localhost:PORT; before, page and web socket were refused."""
    for host in ("localhost:8000", "127.0.0.1:8000", "localhost"):
        assert "200" in answer(served.port, "/", host)[0]
        assert "101" in exchange(served.port, f"GET /ws HTTP/1.1\nHost: {host}\nOrigin: http://{host}\n{UPGRADE}\n")
    cross = f"GET /ws HTTP/1.1\nHost: localhost:8000\nOrigin: http://localhost:3000\n{UPGRADE}\n"
    assert "403" in exchange(served.port, cross)


def test_the_address_of_ipv6_leads_to_localhost_at_the_same_port(served: Any) -> None:
    """Before, a forwarded port that is opened by [::1] was refused."""
    for host, there in (("[::1]:8000", "localhost:8000"), ("[::1]", "localhost")):
        for path in ("/", "/gap-lab?run=tiny-gp&index=3"):
            first, rest = answer(served.port, path, host)
            assert "307" in first
            assert f"location: http://{there}{path}\r\n" in rest.lower()
    assert "307" in answer(served.port, "//evil.example", "[::1]")[0]
    assert "location: http://localhost/evil.example\r\n" in answer(served.port, "//evil.example", "[::1]")[1].lower()
    for host in ("[::2]:8000", "[::1].evil.example"):
        assert "403" in answer(served.port, "/", host)[0]
    assert "403" in answer(served.port, "/", "[::1]:8000", "Origin: http://evil.example")[0]


def test_other_sites_get_no_pictures_and_no_frames(served: Any) -> None:
    own = f"localhost:{served.port}"
    picture = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")
    for path in ("/", "/gap-lab", "/static/js/bokeh.min.js"):
        assert "403" in answer(served.port, path, own, *picture)[0]
    for path in ("/", "/gap-lab", "/mapa-lab", "/results", "/nothing", "/static/js/bokeh.min.js"):
        assert "content-security-policy: frame-ancestors 'none'" in answer(served.port, path, own)[1].lower()


@pytest.mark.parametrize(
    "path", ["/static/js/%00", "/%00", "/gap-lab/%00", "/components/%2e%2e/%2e%2e/x", "/a/..%5c.."]
)
def test_a_path_that_no_file_has_is_one_line(served: Any, path: str) -> None:
    """Before, they were answered with 500 and a traceback in the log, which is looked for when the server ends."""
    first, rest = answer(served.port, path, f"localhost:{served.port}")
    assert first == "HTTP/1.1 400 Bad Request"
    assert rest.endswith("\r\n\r\n400: there is no such address\n")


def test_a_web_socket_that_is_no_page_is_refused_in_one_line(served: Any) -> None:
    own = f"localhost:{served.port}"
    assert "101" in exchange(served.port, f"GET /ws HTTP/1.1\nHost: {own}\nOrigin: http://{own}\n{UPGRADE}\n")
    line = "a web socket was refused: Subprotocol header is not 'bokeh'"
    for _ in range(50):
        if line in served.log.read_text():
            break
        time.sleep(0.1)
    assert line in served.log.read_text()  # that no traceback stands there is checked when the server ends


def test_the_server_listens_on_loopback_alone(served: Any) -> None:
    addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1"}:
        if not str(address).startswith("127."):
            with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
                socket.create_connection((str(address), served.port), timeout=2).close()


def test_a_port_in_use_is_one_line(served: Any, runs: Path) -> None:
    library = RunLibrary([runs])
    with pytest.raises(UserError, match=rf"port {served.port} is in use; choose another with --port") as caught:
        make_server(library, FirstStart(runs), served.port)
    assert "\n" not in str(caught.value)


def test_with_nothing_trained_the_page_trains_and_fills(
    offline_page: Any, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_server(tmp_path)
    offline_page.goto(server.url)
    offline_page.get_by_text("Nothing is trained on this machine yet").wait_for(timeout=10_000)
    offline_page.get_by_role("progressbar").first.wait_for()
    wait_until_ready(offline_page, 120)
    offline_page.get_by_text("Nothing is trained on this machine yet").wait_for(state="hidden", timeout=60_000)
    offline_page.wait_for_function("() => location.search.includes('run=digits-gp')", timeout=60_000)
    offline_page.wait_for_function("() => window.gpvaePainted.latent_live?.stamp >= 1", timeout=60_000)
    wait_for_choice(offline_page, "with", "digits-vae")
    expect(offline_page.get_by_role("combobox", name="Details of")).to_have_text("digits-gp")
    states = [json.loads(path.read_text()) for path in tmp_path.glob("digits-*/config.json")]
    assert sorted(state["method"] for state in states) == ["gp", "vae"]
