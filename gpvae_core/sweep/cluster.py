"""The cluster of a sweep: worker processes on this machine by default, or a running Dask scheduler.

Dask's protocol executes code sent by its peers. The local cluster therefore listens only on the loopback address, which
excludes other machines but not other users of this one; a scheduler given by --scheduler is trusted. Importing Dask
takes a second, so that functions import it when they need it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpvae_core.device import available_devices, pick_device
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""Extra time in which the thread that asks a scheduler can report its own timeout."""
FIRST_WORKER_SECONDS = 60.0
"""Time to wait for the first worker."""
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx", "ucxx")
LOOPBACK = "127.0.0.1"
NO_DASHBOARD = {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}
"""Settings against Dask's dashboard. Dask still serves its health page, on a free port of the loopback address."""
LOCAL_SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 5,  # workers that may die with one job before it counts as failed
    "distributed.scheduler.worker-ttl": None,  # a worker that reads a large data set may not answer for minutes
    "distributed.comm.timeouts.connect": "60s",
}


def cores() -> int:
    """Return the number of cores that this process may use, also inside a container."""
    from dask.system import CPU_COUNT

    return CPU_COUNT


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the processes that do a sweep's jobs."""

    scheduler: str | None = None
    """Address of a Dask scheduler; None for a cluster on this machine."""
    workers: int | None = None
    """Number of local worker processes; None for one per GPU or core. There is at most one per GPU."""
    device: str | None = None
    """'cpu', 'cuda', ...; None for the fastest on each worker."""

    def local(self) -> tuple[int, int]:
        """Return the numbers of workers and GPUs of the local cluster.

        Raises:
            UserError: this machine does not have the device.
        """
        if self.device is not None and self.scheduler is None:
            pick_device(self.device)
        devices = ["cpu"] if self.device == "cpu" else available_devices()
        gpus = sum(name.startswith("cuda") for name in devices)
        if gpus:
            return min(self.workers or gpus, gpus), gpus
        return self.workers or (1 if "mps" in devices else cores()), 0


def worker_specs(workers: int, gpus: int) -> dict[int, dict[str, Any]]:
    """Return the specification of each worker, a process with one thread; with GPUs, each worker sees only its own."""
    from distributed import Nanny

    options = {
        "host": LOOPBACK,
        "nthreads": 1,
        "memory_limit": None,
        **NO_DASHBOARD,
        "silence_logs": logging.CRITICAL,
        "preload": ["gpvae_core.sweep.worker_start"],
    }
    if gpus:
        return {
            i: {
                "cls": Nanny,
                "options": {**options, "resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": str(i)}},
            }
            for i in range(min(workers, gpus))
        }
    return {i: {"cls": Nanny, "options": options} for i in range(workers)}


@contextmanager
def local_client(workers: int, gpus: int = 0) -> Iterator[Client]:
    """Start worker processes on this machine and yield their client; they end when this process ends or dies."""
    from dask import config
    from distributed import Client, Scheduler, SpecCluster

    scheduler = {"cls": Scheduler, "options": {"host": LOOPBACK, "port": 0, **NO_DASHBOARD}}
    with config.set(LOCAL_SETTINGS), quiet(), ExitStack() as stack:
        with without_signals_of_the_terminal():
            specs = worker_specs(workers, gpus)
            cluster = stack.enter_context(SpecCluster(workers=specs, scheduler=scheduler, name="gpvae"))
        yield stack.enter_context(Client(cluster))


@contextmanager
def without_signals_of_the_terminal() -> Iterator[None]:
    """Let SIGINT and SIGHUP wait until the block ends, and never reach the threads and processes that it starts.

    Ctrl-C and a terminal that closes reach every process of the terminal; a worker that is ended while it starts would
    print its traceback.
    """
    if os.name == "nt":  # it has no such mask
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        # NOTE: with the first process of multiprocessing comes a tracker, which unblocks SIGINT in this thread.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """Yield a client of the scheduler at `address`.

    Raises:
        UserError: the address is malformed, nothing answers there, or what answers is not a Dask scheduler.
    """
    check_scheduler(address)
    from distributed import Client

    with quiet():
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise _no_answer(address, error) from None
        with client:
            yield client


def check_scheduler(address: str) -> None:
    """Check within CONNECT_SECONDS that a Dask scheduler answers at `address`; Ctrl-C ends the wait.

    Raises:
        UserError: the address is malformed, nothing answers there, or what answers is not a Dask scheduler.
    """
    # NOTE: `Client` retries for longer, and interprets the first bytes of another kind of server as a message length.
    # The question is therefore asked in a thread, so that this one can time out and react to Ctrl-C.
    check_address(address)
    importlib.import_module("distributed")  # may take seconds, which must not count as waiting for the scheduler
    result: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    with quiet():
        threading.Thread(target=_ask, args=(address, result), daemon=True).start()
        try:
            error = result.get(timeout=CONNECT_SECONDS + GRACE_SECONDS)
        except queue.Empty:
            error = TimeoutError()
    if isinstance(error, OSError):  # TimeoutError is one
        raise _no_answer(address, error)
    if error is not None:
        raise UserError(
            f"what answers at '{address}' is not a Dask scheduler ({type(error).__name__}): "
            "is it another server's port?"
        )


def _ask(address: str, result: queue.SimpleQueue[Exception | None]) -> None:
    """Put None into the queue if a scheduler answers, else the error."""
    try:
        asyncio.run(asyncio.wait_for(_identify(address), CONNECT_SECONDS))
        result.put(None)
    except Exception as error:  # of any kind, because any server may answer
        result.put(error)


async def _identify(address: str) -> None:
    """Raise TypeError if another part of Dask answers, such as a worker."""
    from distributed import Security, rpc

    security = Security().get_connection_args("client")
    async with rpc(address, timeout=CONNECT_SECONDS, connection_args=security) as peer:
        identity: Any = await peer.identity()
    if identity["type"] != "Scheduler":
        raise TypeError(identity["type"])


def _no_answer(address: str, error: Exception) -> UserError:
    return UserError(
        f"no Dask scheduler answers at '{address}' within {CONNECT_SECONDS:.0f} s "
        f"({type(error).__name__}): does it run, and can this machine reach it?"
    )


def check_address(address: str) -> None:
    """Raise UserError if `address` is malformed."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        valid = parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:  # the port is not a number
        valid = False
    if not valid:
        raise UserError(f"wanted the address of a Dask scheduler like tcp://host:8786, got '{address}'")


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Dask's log; the sweep itself reports what a user should know.

    After Ctrl-C it stays suppressed, as Dask's threads still close what they have open.
    """
    importlib.import_module("distributed")  # which gives its loggers, as `distributed.client`, levels of their own
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    levels = {log: log.level for log in map(logging.getLogger, names)}
    for log in levels:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    except KeyboardInterrupt:
        levels = {}
        raise
    finally:
        for log, level in levels.items():
            log.setLevel(level)


@contextmanager
def client_of(scheduler: str | None, workers: int, gpus: int) -> Iterator[Client]:
    """Yield a client of `scheduler`, or of a cluster on this machine if it is None, with at least one worker.

    Raises:
        UserError: nothing answers at `scheduler`, or no worker registers within FIRST_WORKER_SECONDS.
    """
    with remote_client(scheduler) if scheduler else local_client(workers, gpus) as client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        except TimeoutError:
            where = f"the scheduler at '{scheduler}'" if scheduler else "the local cluster"
            raise UserError(
                f"{where} has no worker after {FIRST_WORKER_SECONDS:.0f} s: start one (dask worker)"
            ) from None
        yield client


def slots(client: Client) -> tuple[int, dict[str, float]]:
    """Return the number of jobs to run at a time, and the resources of each: a GPU if any worker offers one."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    with_gpu = sum(int(worker["resources"].get("GPU", 0)) for worker in workers)
    return (with_gpu, {"GPU": 1.0}) if with_gpu else (len(workers), {})
