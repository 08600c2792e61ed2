"""Runs on points beside runs on images: the pages of images leave them out, and say so where one is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.mapa_lab.labs import MapaLabs
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.training import train


@pytest.fixture(scope="module")
def points_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run on the linear-Gaussian points."""
    config = make_config("vae", DataConfig(name="linear-gaussian"), (1, 1, 2), {"epochs": 1})
    return train(config, tmp_path_factory.mktemp("points") / "line-vae")


@pytest.fixture
def both(runs: Path, points_run: Path, tmp_path: Path) -> RunLibrary:
    shutil.copytree(points_run, tmp_path / "line-vae")
    shutil.copytree(runs / "tiny-vae", tmp_path / "tiny-vae")
    return RunLibrary([tmp_path])


def test_the_library_tells_points_from_images(both: RunLibrary) -> None:
    assert set(both.names()) == {"line-vae", "tiny-vae"}
    assert both.image_names() == ["tiny-vae"]
    assert both.default_choice() == ("tiny-vae", "")
    assert both.image_summary("tiny-vae").dataset == "digits"
    assert both.without_images() == ""
    with pytest.raises(UserError, match=r"run 'line-vae' is on points \(linear-gaussian\), not on images"):
        both.image_summary("line-vae")


def test_the_explorer_offers_images_alone_and_says_why_the_other_is_not_shown(both: RunLibrary) -> None:
    page = ExplorerPage(both, FirstStart(both.root), None, "run=line-vae&with=tiny-vae")
    page.loaded()
    assert page.state.run == "tiny-vae"
    assert list(page.controls.run.options) == ["tiny-vae"]
    assert "is on points (linear-gaussian)" in page.notice.pane.object


def test_the_gap_lab_groups_images_alone(both: RunLibrary) -> None:
    labs = GapLabs(both)
    labs.refresh(finished_only=False)
    assert [lab.decoder.runs for lab in labs.labs.values()] == [("tiny-vae",)]
    assert labs.complaints == []


def test_points_alone_are_said_on_the_pages_of_images(points_run: Path) -> None:
    library = RunLibrary([points_run])
    first = FirstStart(library.root)
    for page in (ExplorerPage(library, first, None, ""), GapLabPage(library, first, None, "")):
        page.loaded()
        assert "the runs here are on points: the MAPA Lab shows them" in page.notice.pane.object
    assert not first.running
    assert sorted(path.name for path in points_run.iterdir() if path.is_dir()) == ["best", "last"]


@pytest.fixture
def half(runs: Path, tmp_path: Path) -> RunLibrary:
    """A finished run and, newest, one whose inference has not finished its weights: no best/, but last/."""
    shutil.copytree(runs / "tiny-vae", tmp_path / "tiny-vae")
    shutil.copytree(runs / "tiny-gp", tmp_path / "half")
    shutil.move(tmp_path / "half" / "best", tmp_path / "half" / "unfinished")
    (tmp_path / "half" / "config.json").touch()
    return RunLibrary([tmp_path])


def test_a_run_without_finished_weights_is_shown_only_when_it_has_them(half: RunLibrary) -> None:
    assert half.names()[0] == "half"
    assert half.image_names() == half.ready_names() == ["tiny-vae"]
    assert half.default_choice() == ("tiny-vae", "")
    with pytest.raises(UserError, match=r"run 'half' has no weights to show before it is finished"):
        half.image_summary("half")
    page = ExplorerPage(half, FirstStart(half.root), None, "")
    page.loaded()
    assert (page.state.run, list(page.controls.run.options), page.notice.pane.visible) == (
        "tiny-vae",
        ["tiny-vae"],
        False,
    )
    named = ExplorerPage(half, FirstStart(half.root), None, "run=half")
    named.loaded()
    assert named.state.run == "tiny-vae"
    assert "before it is finished" in named.notice.pane.object
    shutil.move(half.root / "half" / "unfinished", half.root / "half" / "best")
    half.rescan()
    assert half.image_names() == ["half", "tiny-vae"]


def test_the_mapa_lab_leaves_such_a_run_out_and_says_why_where_it_is_named(half: RunLibrary) -> None:
    labs = half.shared(MapaLabs)
    offered = tuple(labs.library.image_names())
    assert offered == ("tiny-vae",)
    assert "before it is finished" in labs.why_not("half", "run on images", offered)
    assert "did you mean 'tiny-vae'" in labs.why_not("tiny-vea", "run on images", offered)


def test_runs_of_which_none_is_finished_are_said(half: RunLibrary) -> None:
    shutil.rmtree(half.root / "tiny-vae")
    half.rescan()
    assert half.without_images().startswith("no run on images is finished yet: half")
