"""What stands at the address of --scheduler and is not a Dask scheduler."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gpvae_core.errors import UserError
from gpvae_core.sweep.cluster import LOOPBACK, check_scheduler, local_client, quiet, remote_client

TIMEOUT = 0.5


def test_no_logger_of_dask_speaks() -> None:
    """Before, `distributed.client`, whose level is its own, printed the traceback of a lost scheduler."""
    importlib.import_module("distributed")
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "distributed.core")]
    levels = [log.level for log in loggers]
    with quiet():
        assert not any(log.isEnabledFor(logging.ERROR) for log in loggers)
    assert [log.level for log in loggers] == levels


class Silent(BaseHTTPRequestHandler):
    """A web server without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server() -> Iterator[str]:
    server = HTTPServer((LOOPBACK, 0), Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"tcp://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def greeter() -> Iterator[str]:
    """Speaks first, as a mail server; to Dask the greeting is an enormous length."""

    def greet() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            peer.sendall(b"220 mail.example.org ESMTP\r\n" * 8)
            peers.append(peer)

    peers: list[socket.socket] = []
    with socket.create_server((LOOPBACK, 0)) as server:
        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield f"tcp://{LOOPBACK}:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in peers:
                peer.close()


@contextmanager
def silent_socket() -> Iterator[str]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield f"tcp://{LOOPBACK}:{server.getsockname()[1]}"


@pytest.mark.parametrize("server", [web_server, greeter, silent_socket])
def test_another_server_is_one_clear_line_in_time(server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("distributed")  # seconds, which are not the connection's
    monkeypatch.setattr("gpvae_core.sweep.cluster.CONNECT_SECONDS", TIMEOUT)
    with server() as address:  # pyright: ignore
        started = time.monotonic()
        with (
            pytest.raises(UserError, match=r"no Dask scheduler answers|is not a Dask scheduler") as error,
            remote_client(address),
        ):
            pass
        assert time.monotonic() - started < 5.0
    assert "\n" not in str(error.value)
    assert address in str(error.value)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal's program has it; one that a shell started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_wait() -> None:
    with silent_socket() as address:
        started = time.monotonic()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            check_scheduler(address)
        assert time.monotonic() - started < 3.0


def test_a_scheduler_is_told_from_its_workers() -> None:
    with local_client(1) as client:
        check_scheduler(client.cluster.scheduler_address)  # pyright: ignore
        (worker,) = client.scheduler_info(n_workers=-1)["workers"]
        with pytest.raises(UserError, match=r"is not a Dask scheduler \(TypeError\)"):
            check_scheduler(worker)
