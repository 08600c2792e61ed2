"""A training that has not ended is marked as partial wherever runs are listed, and nowhere chosen by itself."""

from __future__ import annotations

import html
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.jobs import JobSlot
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.lab.progress import ProgressLine
from dashboards.mapa_lab.page import MapaLabPage
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.inspection.gap_lab import teaching
from gpvae_core.progress import Cancelled, Progress
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from tests.commands import gpvae
from tests.dashboards.conftest import wait_until


def after_two_epochs(done: int, total: int, what: str) -> None:
    if what.endswith(("training", "step")) and 9 * done >= 2.5 * total:
        raise Cancelled


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """'vae' and 'early', which stopped early, are finished; 'vae-full' on the decoder of 'vae' and 'newest' are not."""
    root = tmp_path_factory.mktemp("mixed")
    settings = {"latent_dim": 2, "train.epochs": 9, "train.lr": 2e-3, "hidden": 16}
    config = lambda more: make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings | more)  # noqa: E731
    train(config({}), root / "vae", device="cpu")
    train(config({"patience": 1, "train.lr": 0.05}), root / "early", device="cpu")
    vae = load_run(root / "vae", device="cpu")
    with pytest.raises(Cancelled):
        teaching.train_planned(root, [teaching.planned(vae, "full", 9)], vae, after_two_epochs)
    with pytest.raises(Cancelled):
        train(config({"keep_every": 1}), root / "newest", device="cpu", progress=after_two_epochs)
    return root


def test_a_stopped_training_is_told_from_one_that_ended_early(mixed: Path, tmp_path: Path) -> None:
    assert summarize(mixed / "vae").partial == ""
    early = summarize(mixed / "early")
    assert early.epochs < 9
    assert early.partial == ""
    for name in ("newest", "vae-full"):
        assert summarize(mixed / name).partial == "partial, 2 of 9 epochs"
    for name in ("early", "newest"):  # only the best weights were copied
        shutil.copytree(mixed / name, tmp_path / name)
        shutil.rmtree(tmp_path / name / "last")
        assert bool(summarize(tmp_path / name).partial) == (name == "newest")
    shutil.copytree(mixed / "vae", tmp_path / "vae")
    with pytest.raises(Cancelled):
        resume(tmp_path / "vae", epochs=30, device="cpu", progress=after_two_epochs)
    assert summarize(tmp_path / "vae").partial == "partial, 9 of 30 epochs"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_was_interrupted_or_killed_is_listed_as_partial(number: int, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "gpvae_core.cli", "train", "--epochs", "9000", "--out", str(run)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "200"}) as training:
        deadline = time.monotonic() + 120
        while not (run / "config.json").is_file():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        training.send_signal(number)
    assert summarize(run).partial.startswith("partial, ")
    listed = gpvae("runs", tmp_path, cwd=tmp_path).stdout
    assert "partial" in listed
    assert f"gpvae train --resume {run}" in listed


def test_commands_say_it(mixed: Path, tmp_path: Path) -> None:
    listed = gpvae("runs", mixed, cwd=mixed).stdout.splitlines()
    row = lambda name: next(line for line in listed if f"{mixed / name} " in line)  # noqa: E731
    assert [word in row(name) for name in ("vae", "early", "newest") for word in ("yes", "partial")] == [
        *(True, False), *(True, False), *(False, True),
    ]  # fmt: skip
    few = ("--instances", "2", "--truths", "2", "--k", "2")
    assert "is partial, 2 of 9 epochs" in gpvae("evaluate", mixed / "newest", *few, cwd=mixed).stderr
    start = ("train", "--epochs", "1", "--latent-dim", "2", "--set", "hidden=16", "--out", "of")
    assert "is partial, 2 of 9 epochs" in gpvae(*start, "--init-from", mixed / "newest", cwd=tmp_path).stderr
    assert "partial" not in gpvae("evaluate", mixed / "early", *few, cwd=mixed).stderr


def opened(kind: type[Page], library: RunLibrary, query: str = "") -> Any:
    page = kind(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def notice(page: Any) -> str:
    return html.unescape(str(page.notice.pane.object))


def test_the_pages_choose_no_partial_run_and_mark_those_that_are_chosen(mixed: Path) -> None:
    library = RunLibrary([mixed])
    assert set(library.names()[:2]) == {"newest", "vae-full"}
    page = opened(ExplorerPage, library)
    assert {page.state.run, page.state.other} == {"vae", "early"}
    assert page.controls.run.options["newest (partial, 2 of 9 epochs)"] == "newest"
    wait_until(page, lambda: page.session.request is not None)
    assert "partial" not in notice(page)
    page.state.param.update(run="newest", other="vae")
    wait_until(page, lambda: "newest (partial, 2 of 9 epochs)" in notice(page))
    page.state.index = 3
    wait_until(page, lambda: page.session.request.focal.instance.index == 3)
    assert "gpvae train --resume" in notice(page)
    page.close()
    page = opened(MapaLabPage, library, "tab=images")
    wait_until(page, lambda: page.session.request is not None)
    assert page.state.run in ("vae", "early")
    assert "newest" in page.controls.run.options["newest (partial, 2 of 9 epochs)"]
    page.close()


def test_the_gap_lab_offers_a_partial_run_marked_and_unchosen(mixed: Path) -> None:
    library = RunLibrary([mixed])
    page = opened(GapLabPage, library)
    wait_until(page, lambda: page.session.request is not None)
    assert page.state.decoder == "vae"
    assert page.state.methods == ("vae",)
    chips = {item["label"]: item["checked"] for item in page.controls.chips.items}
    assert chips == {"vae": True, "full (partial)": False}
    assert list(page.controls.decoder.options) == ["vae", "early", "newest (partial)"]
    assert page.state.epochs_of == "newest"  # the only run that kept its epochs
    wait_until(page, lambda: page.session.cards["lab_epochs"].content["visible"])
    assert page.session.cards["lab_epochs"].content["selects"][0]["options"] == (
        ("newest", "newest (partial, 2 of 9 epochs)"),
    )
    page.state.show(("vae", "vae-full"))
    wait_until(page, lambda: "vae-full (partial, 2 of 9 epochs)" in notice(page))
    page.close()


def test_a_partial_run_alone_is_shown_and_marked(mixed: Path) -> None:
    library = RunLibrary([mixed / "newest"])
    assert library.default_choice() == ("newest", "")


def test_cancel_answers_at_once() -> None:
    slot, ticking = JobSlot(), [True]

    def work(progress: Progress) -> None:
        progress(1, 9, "training")
        while ticking:  # a long step
            time.sleep(0.01)
        progress(2, 9, "training")

    line = ProgressLine(slot)
    slot.begin("test", work)
    line.follow()
    line.cancel.clicks += 1
    assert "Cancelled" in str(line.words.object)
    assert line.cancel.disabled
    assert slot.running
    ticking.clear()
    deadline = time.monotonic() + 10
    while slot.running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert slot.report().outcome == "cancelled"
