"""Runs on points beside runs on images: the pages of images leave them out, and say so where one is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dashboards.first_start import FirstStart
from dashboards.gap_lab.labs import Labs
from dashboards.gap_lab.page import LabPage
from dashboards.library import RunLibrary
from dashboards.page import Page
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.train import train


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
    assert both.only_points() == ""
    with pytest.raises(UserError, match=r"run 'line-vae' is on points \(linear-gaussian\), not on images"):
        both.image_summary("line-vae")


def test_the_explorer_offers_images_alone_and_says_why_the_other_is_not_shown(both: RunLibrary) -> None:
    page = Page(both, FirstStart(both.root), None, "run=line-vae&with=tiny-vae")
    page.loaded()
    assert page.state.run == "tiny-vae"
    assert page.controls.run.options == ["tiny-vae"]
    assert "is on points (linear-gaussian)" in page.notice.pane.object


def test_the_gap_lab_groups_images_alone(both: RunLibrary) -> None:
    labs = Labs(both)
    labs.refresh(finished_only=False)
    assert [decoder.runs for decoder in labs.decoders] == [("tiny-vae",)]
    assert labs.complaints == []


def test_points_alone_are_said_on_the_pages_of_images(points_run: Path) -> None:
    library = RunLibrary([points_run])
    first = FirstStart(library.root)
    for page in (Page(library, first, None, ""), LabPage(library, first, None, "")):
        page.loaded()
        assert "the runs here are on points: the MAPA Lab shows them" in page.notice.pane.object
    assert not first.running
    assert sorted(path.name for path in points_run.iterdir() if path.is_dir()) == ["best", "last"]
