"""What a page opens: the runs its address names, those that are sound, those that are there now."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from gpvae_core.progress import Progress
from gpvae_core.sweep.result_files import ResultFiles
from tests.dashboards.conftest import wait_until


def opened(library: RunLibrary, query: str) -> ExplorerPage:
    page = ExplorerPage(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def message(page: ExplorerPage, card: str) -> str:
    return str(page.session.cards[card].content["message"])


def test_only_the_runs_of_the_address_are_opened(runs: Path) -> None:
    library = RunLibrary([runs])
    page = opened(library, "run=tiny-vae&index=3")
    wait_until(page, lambda: library.is_open("tiny-vae") and page.session.cards["gaps"].figure != "")
    assert [name for name in library.names() if library.is_open(name)] == ["tiny-vae"]


def damaged(runs: Path, folder: Path) -> RunLibrary:
    """A library of two runs, found sound; then the weights of tiny-vae are lost."""
    for name in ("tiny-vae", "tiny-gp"):
        shutil.copytree(runs / name, folder / name)
    library = RunLibrary([folder])
    (folder / "tiny-vae" / "best" / "weights.safetensors").write_bytes(b"junk")
    return library


def test_beside_a_damaged_run_the_sound_one_is_shown(runs: Path, tmp_path: Path) -> None:
    page = opened(damaged(runs, tmp_path), "run=tiny-vae&with=tiny-gp")
    wait_until(page, lambda: page.session.cards["gaps"].figure != "")
    assert (page.state.run, page.state.other) == ("tiny-gp", "")
    assert "is damaged" in page.notice.pane.object
    page.tick()
    assert "loading" not in page.strip.object


def test_a_damaged_run_alone_is_said_in_every_card(runs: Path, tmp_path: Path) -> None:
    page = opened(damaged(runs, tmp_path), "run=tiny-vae&with=")
    wait_until(page, lambda: "is damaged" in message(page, "map"))
    assert all("is damaged" in message(page, card) for card in page.session.cards)
    page.state.run = "tiny-gp"
    wait_until(page, lambda: page.session.cards["gaps"].figure != "" and message(page, "gaps") == "")


def in_order(folder: Path, *runs: str) -> None:
    """Make these runs as old as if they had been written one after another."""
    for age, name in enumerate(reversed(runs)):
        os.utime(folder / name / "config.json", (1e9 - age, 1e9 - age))


@pytest.mark.parametrize("query", ["", "index=3"])
def test_a_page_that_names_no_run_begins_with_the_newest_that_can_be_loaded(
    runs: Path, tmp_path: Path, query: str
) -> None:
    """Before, it began with the newest run: where none was compared with it, every card said that it is damaged."""
    shutil.copytree(runs / "deep-gp", tmp_path / "deep-gp")
    library = damaged(runs, tmp_path)
    in_order(tmp_path, "tiny-gp", "deep-gp", "tiny-vae")
    for _ in range(2):  # another page says it again
        page = ExplorerPage(library, FirstStart(library.root), None, query)
        assert page.state.run == "tiny-vae"
        page.loaded()
        wait_until(page, lambda page=page: page.session.cards["gaps"].figure != "")
        assert (page.state.run, page.state.other, page.state.unasked) == ("deep-gp", "", "")
        assert page.notice.pane.object.count("is damaged") == 1
        assert list(page.controls.run.options.values()) == ["tiny-vae", "deep-gp", "tiny-gp"]
    page.state.run = "tiny-vae"  # who chooses it is told, and gets no other
    wait_until(page, lambda: "is damaged" in message(page, "map"))
    assert page.state.run == "tiny-vae"


def test_beside_the_newest_that_can_be_loaded_stands_the_next(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "tiny-gp", tmp_path / "third")
    library = damaged(runs, tmp_path)
    in_order(tmp_path, "third", "tiny-gp", "tiny-vae")
    page = opened(library, "")
    wait_until(page, lambda: page.session.cards["gaps"].figure != "")
    assert (page.state.run, page.state.other) == ("tiny-gp", "third")


def test_where_no_run_can_be_loaded_each_is_said(runs: Path, tmp_path: Path) -> None:
    library = damaged(runs, tmp_path)
    (tmp_path / "tiny-gp" / "best" / "weights.safetensors").write_bytes(b"junk")
    page = opened(library, "")
    wait_until(page, lambda: "is damaged" in message(page, "map"))
    assert message(page, "map").count("is damaged") == 2


def test_runs_come_and_go_with_a_new_page(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "tiny-vae", tmp_path / "one")
    library = RunLibrary([tmp_path])
    shutil.copytree(runs / "tiny-gp", tmp_path / "two")
    assert set(opened(library, "").controls.run.options) == {"one", "two"}
    shutil.rmtree(tmp_path / "one")
    assert list(opened(library, "").controls.run.options) == ["two"]


def test_two_runs_of_one_name_are_both_there(runs: Path, tmp_path: Path) -> None:
    """Before, one of two runs `vae` in folders `runs` was dropped without a word."""
    for place, run in (("A/runs", "tiny-vae"), ("B/runs", "tiny-gp"), ("C", "tiny-gp")):
        shutil.copytree(runs / run, tmp_path / place / "vae")
    shutil.copytree(runs / "tiny-gp", tmp_path / "C" / "gp")
    library = RunLibrary([tmp_path / place for place in ("A/runs", "B/runs", "C")])
    assert set(library.names()) == {"A/runs/vae", "B/runs/vae", "C/vae", "gp"}
    methods = {name: library.summary(name).method for name in library.names()}
    assert methods == {"A/runs/vae": "vae", "B/runs/vae": "gp", "C/vae": "gp", "gp": "gp"}
    (tmp_path / "link").symlink_to(tmp_path / "C")
    places = [tmp_path / "C", tmp_path / "C" / "gp", tmp_path / "link"]
    assert set(RunLibrary(places).names()) == {"vae", "gp"}, "found twice, counted once"


def test_a_run_opened_from_inside_has_its_name_and_its_views(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "tiny-vae", tmp_path / "sweep" / "runs" / "vae")
    (tmp_path / "sweep" / "runs" / "results.sqlite").write_bytes(b"SQLite")
    monkeypatch.chdir(tmp_path / "sweep" / "runs" / "vae")
    library = RunLibrary([Path(".")])
    assert library.names() == ["vae"]
    page = opened(library, "")
    wait_until(page, lambda: page.session.cards["gaps"].figure != "")
    assert page.state.run == "vae"
    assert set(ResultFiles([Path(".")]).found()) == {"runs"}


def test_a_run_is_not_compared_with_itself(runs: Path) -> None:
    page = opened(RunLibrary([runs]), "run=tiny-vae&with=tiny-vae")
    assert page.state.other == ""
    assert "is not compared with itself" in page.notice.pane.object
    assert "tiny-vae" not in page.controls.other.options
    page = opened(RunLibrary([runs]), "run=tiny-vae&with=tiny-gp")
    page.controls.run.value = "tiny-gp"
    assert (page.state.run, page.state.other) == ("tiny-gp", "tiny-vae"), "both stay compared"
    assert "tiny-gp" not in page.controls.other.options
    assert page.controls.other.value == "tiny-vae"


def test_an_address_holds_the_class(runs: Path) -> None:
    page = opened(RunLibrary([runs]), "run=tiny-vae&class=7")
    wait_until(page, lambda: page.controls.classes.value == "7")
    labels = page.library.run("tiny-vae").data.test.labels
    assert page.state.index == int((labels == 7).argmax())
    page.step(1)
    assert labels[page.state.index] == 7
    assert page.state.of_class == "7"
    other = int((labels == 3).argmax())
    wait_until(page, lambda: not page.session.latest._answering)  # which without a document ends in another thread
    page.state.index = other
    assert (page.state.of_class, page.controls.classes.value) == ("", "all")
    wait_until(page, lambda: not page.session.latest._answering)
    page.controls.classes.value = "5"
    assert (page.state.of_class, labels[page.state.index]) == ("5", 5)
    page = opened(RunLibrary([runs]), f"run=tiny-vae&class=7&index={other}")
    wait_until(page, lambda: f"image {other} is not of class" in page.notice.pane.object)
    assert labels[page.state.index] == 7
    page = opened(RunLibrary([runs]), "run=tiny-vae&class=sevn&index=4")
    wait_until(page, lambda: "unknown class" in page.notice.pane.object)
    assert (page.state.of_class, page.state.index, page.controls.classes.value) == ("", 4, "all")


def test_a_training_that_ends_while_the_page_looks_for_runs_is_found(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def trainer(root: Path, progress: Progress, on_epoch: Any) -> None:
        shutil.copytree(runs / "tiny-vae", root / "tiny-vae")
        assert may_end.wait(60)
        shutil.copytree(runs / "tiny-gp", root / "tiny-gp")

    library, first = RunLibrary([tmp_path]), FirstStart(tmp_path, trainer)
    page = ExplorerPage(library, first, None, "")
    page.loaded()
    wait_until(page, lambda: page.state.run == "tiny-vae")
    look = library.rescan

    def look_slowly(finished_only: bool = False) -> None:
        look(finished_only)
        may_end.set()
        while first.running:
            time.sleep(0.01)

    monkeypatch.setattr(library, "rescan", look_slowly)
    page.tick()
    monkeypatch.setattr(library, "rescan", look)
    page.tick()
    assert (page.state.run, page.state.other) == ("tiny-gp", "tiny-vae")
    page.tick()
    assert page.welcome is not None
    assert not page.welcome.panel.visible
