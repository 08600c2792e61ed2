"""The cluster of a sweep: worker processes on this machine by default, or a Dask scheduler that is there already.

Dask's own protocol runs code that its peers send. The local cluster therefore listens on the loopback address alone,
which keeps out other machines but not other users of this one; a scheduler named by --scheduler is trusted by whoever
names it. Dask and what it imports take a second, so they are imported here where they are needed.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gpvae_core.device import available_devices, pick_device
from gpvae_core.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""For the thread that asks a scheduler to say that it waited in vain."""
FIRST_WORKER_SECONDS = 60.0
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx", "ucxx")
LOOPBACK = "127.0.0.1"
NO_DASHBOARD = {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}
"""Dask serves its health page all the same: on any free port, to this machine alone."""
LOCAL_SETTINGS: dict[str, Any] = {
    "distributed.scheduler.allowed-failures": 5,  # workers that may die under one job before it counts as failed
    "distributed.scheduler.worker-ttl": None,  # reading a large data set keeps a worker from answering for minutes
    "distributed.comm.timeouts.connect": "60s",
}


def cores() -> int:
    """Cores this process may use, also inside a container."""
    from dask.system import CPU_COUNT

    return CPU_COUNT


@dataclass(frozen=True)
class ClusterSettings:
    """The processes that do a sweep's jobs."""

    scheduler: str | None = None
    """Address of a Dask scheduler; None for a cluster on this machine."""
    workers: int | None = None
    """Processes of the local cluster; None for one a core. On GPUs at most one each."""
    device: str | None = None
    """cpu, cuda, ...; None for the best a worker has."""

    def local(self) -> tuple[int, int]:
        """Return the numbers of workers and GPUs of the local cluster.

        Raises:
            UserError: a device that this machine does not have.
        """
        if self.device is not None and self.scheduler is None:
            pick_device(self.device)
        there = ["cpu"] if self.device == "cpu" else available_devices()
        gpus = sum(name.startswith("cuda") for name in there)
        if gpus:
            return min(self.workers or gpus, gpus), gpus
        return self.workers or (1 if "mps" in there else cores()), 0


def worker_specs(workers: int, gpus: int) -> dict[int, dict[str, Any]]:
    """Return one process a worker, each with one thread; with GPUs, one worker a GPU, which sees that GPU alone."""
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
    """A client of worker processes on this machine. They end with this process, however it ends."""
    from dask import config
    from distributed import Client, Scheduler, SpecCluster

    scheduler = {"cls": Scheduler, "options": {"host": LOOPBACK, "port": 0, **NO_DASHBOARD}}
    with (
        config.set(LOCAL_SETTINGS),
        quiet(),
        SpecCluster(workers=worker_specs(workers, gpus), scheduler=scheduler, name="gpvae") as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """A client of the scheduler at `address`.

    Raises:
        UserError: it is no address, nothing answers there, or what answers is not a Dask scheduler.
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
    """Ask the scheduler at `address` who it is, for CONNECT_SECONDS at most; Ctrl-C ends the wait.

    A client asks for longer, and takes what another kind of server says for the length of a message.

    Raises:
        UserError: it is no address, nothing answers there, or what answers is not a Dask scheduler.
    """
    check_address(address)
    importlib.import_module("distributed")  # seconds on a busy machine, which are not the scheduler's
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    with quiet():
        threading.Thread(target=_ask, args=(address, ended), daemon=True).start()
        try:
            error = ended.get(timeout=CONNECT_SECONDS + GRACE_SECONDS)
        except queue.Empty:
            error = TimeoutError()
    if isinstance(error, OSError):  # TimeoutError is one
        raise _no_answer(address, error)
    if error is not None:
        raise UserError(
            f"what answers at '{address}' is not a Dask scheduler ({type(error).__name__}): is it another server's port?"
        )


def _ask(address: str, ended: queue.SimpleQueue[Exception | None]) -> None:
    """Puts None for a scheduler, else what went wrong: any error at all, for anything may answer."""
    try:
        asyncio.run(asyncio.wait_for(_identify(address), CONNECT_SECONDS))
        ended.put(None)
    except Exception as error:
        ended.put(error)


async def _identify(address: str) -> None:
    """Raises TypeError where another part of Dask answers, such as a worker."""
    from distributed import Security, rpc

    security = Security().get_connection_args("client")
    async with rpc(address, timeout=CONNECT_SECONDS, connection_args=security) as peer:
        who: Any = await peer.identity()
    if who["type"] != "Scheduler":
        raise TypeError(who["type"])


def _no_answer(address: str, error: Exception) -> UserError:
    return UserError(
        f"no Dask scheduler answers at '{address}' within {CONNECT_SECONDS:.0f} s "
        f"({type(error).__name__}): does it run, and can this machine reach it?"
    )


def check_address(address: str) -> None:
    """Raises UserError where `address` cannot be one."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        there = parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:  # a port that is no number
        there = False
    if not there:
        raise UserError(f"wanted the address of a Dask scheduler like tcp://host:8786, got '{address}'")


@contextmanager
def quiet() -> Iterator[None]:
    """Dask's log kept from the terminal: what a user should know is said by the sweep."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


@contextmanager
def client_of(scheduler: str | None, workers: int, gpus: int) -> Iterator[Client]:
    """The cluster at `scheduler`, or one on this machine for None, with at least one worker.

    Raises:
        UserError: nothing answers at `scheduler`, or no worker comes.
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
    """Return how many jobs to give out at a time, and the needs of each: a GPU where any worker offers one."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    with_gpu = sum(int(worker["resources"].get("GPU", 0)) for worker in workers)
    return (with_gpu, {"GPU": 1.0}) if with_gpu else (len(workers), {})
