"""Threads beside other work: how they wait is set before torch is imported, and small work has a single one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from gpvae_core import threads
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.threads import SMALL, is_chosen_by_user, one_thread, threads_for
from gpvae_core.training import train
from gpvae_core.training_loop import Training

ROOT = Path(__file__).parents[1]
DATA = DataConfig(name="digits")
DIGITS = load(DATA)
# What the program imports first, at each of its starts: the command, a notebook, a page, a worker of a sweep.
STARTS = ("gpvae_core", "gpvae_core.cli.main", "dashboards.app", "gpvae_core.sweep.worker_start", "gpvae_core.api")
WATCH = """
import importlib, json, os, sys
seen = {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            seen.update({key: os.environ.get(key) for key in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")})
        return None
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
import torch
print(json.dumps([seen, torch.get_num_threads()]))
"""


def seen_by_torch(start: str, **environment: str) -> tuple[dict[str, str | None], int]:
    """The variables at the moment in which torch is imported, and its number of threads."""
    names = (*threads.WAITING, *threads.NUMBER)
    clean = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, "-c", WATCH, start]
    answer = subprocess.run(
        command, check=True, capture_output=True, cwd=ROOT, env={**clean, "PYTHONPATH": str(ROOT), **environment}
    )
    seen, number = json.loads(answer.stdout.splitlines()[-1])
    return seen, number


@pytest.mark.parametrize("start", STARTS)
def test_waiting_threads_sleep_however_the_program_starts(start: str) -> None:
    seen, _ = seen_by_torch(start)
    assert seen == {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": threads.SPINS}


def test_the_users_own_choice_stays() -> None:
    assert seen_by_torch("gpvae_core", OMP_WAIT_POLICY="ACTIVE")[0]["OMP_WAIT_POLICY"] == "ACTIVE"
    of_spins, _ = seen_by_torch("gpvae_core", GOMP_SPINCOUNT="1000")
    assert of_spins == {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "1000"}
    assert seen_by_torch("gpvae_core", OMP_NUM_THREADS="1")[1] == 1


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine with four cores where nobody chose a number of threads."""
    for name in threads.NUMBER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("untouched")
def test_small_work_has_one_thread_and_large_work_all() -> None:
    with threads_for(SMALL / 2):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 4
    with threads_for(SMALL):
        assert torch.get_num_threads() == 4
    with pytest.raises(ValueError, match="anything"), one_thread():
        raise ValueError("anything")
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("untouched")
def test_two_trainings_at_once_leave_the_number_as_it_was() -> None:
    """The second one begins, in a thread of its own, while the first restricts, and ends after it."""
    with ExitStack() as first, ThreadPoolExecutor(1) as pool:
        first.enter_context(one_thread())
        second = one_thread()
        pool.submit(second.__enter__).result()
        first.close()
        pool.submit(second.__exit__, None, None, None).result()
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == 4
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", threads.NUMBER)
def test_a_number_in_the_environment_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_chosen_by_user()
    monkeypatch.setenv(name, "4")
    with threads_for(1):
        assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("untouched")
def test_a_number_that_was_set_in_python_stays() -> None:
    torch.set_num_threads(3)
    with threads_for(1):
        assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("untouched")
def test_a_training_on_small_images_has_one_thread_and_returns_the_others(tmp_path: Path) -> None:
    seen: set[int] = set()
    small = make_config("vae", DATA, DIGITS.event_shape, {"epochs": 1})
    train(small, tmp_path / "run", data=DIGITS, on_epoch=lambda *_: seen.add(torch.get_num_threads()))
    assert seen == {1}
    assert torch.get_num_threads() == 4


def test_the_multiplications_of_a_step_are_those_of_its_networks(tmp_path: Path) -> None:
    """Of two hidden layers of 128 each way: by hand; the networks for 28x28 images are far above the limit."""
    config = make_config("vae", DATA, DIGITS.event_shape, {"train.batch_size": 100, "train.samples": 2})
    training = Training(config, DIGITS, tmp_path / "run", torch.device("cpu"))
    encoder, decoder = 64 * 128 + 128 * 128 + 128 * 4, 2 * 128 + 128 * 128 + 128 * 64
    assert training._multiplications() == 3 * (encoder + 2 * decoder) * 100
    assert training._multiplications() < SMALL
