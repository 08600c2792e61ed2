"""The moving ball against direct formulas: the kernel of its paths, its pixels, its independent videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.cli.main import main
from gpvae_core.data.moving_ball import FRAMES, draw_frames, draw_paths
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from tests.data.makers import load_set


def paths_of(split: Split) -> np.ndarray:
    """(videos, frames, 2)"""
    assert split.auxiliary is not None
    return split.auxiliary["position"].reshape(-1, FRAMES, 2)


def test_the_covariance_of_the_paths_is_the_kernel() -> None:
    videos = 20_000
    paths = draw_paths(videos, np.random.default_rng(0))
    expected = np.array([[np.exp(-((s - t) ** 2) / (2 * 2.0**2)) for s in range(30)] for t in range(30)])
    for coordinate in range(2):
        z = paths[:, :, coordinate]
        # Var of an entry of the empirical covariance: (k_ss k_tt + k_st^2) / V <= 2 / V.
        assert np.abs(z.T @ z / videos - expected).max() < 5 * np.sqrt(2 / videos)
        assert np.abs(z.mean(0)).max() < 5 / np.sqrt(videos)
    across = paths[:, :, 0].T @ paths[:, :, 1] / videos
    assert np.abs(across).max() < 5 / np.sqrt(videos)


def test_pixels_are_those_within_three_of_the_centre() -> None:
    position = np.random.default_rng(0).standard_normal((20, 2))
    for (x, y), frame in zip(position, draw_frames(position), strict=True):
        expected = [
            [(column - (6.4 * x + 16)) ** 2 + (row - (6.4 * y + 16)) ** 2 < 9 for column in range(32)]
            for row in range(32)
        ]
        np.testing.assert_array_equal(frame, expected)


def test_the_data_set_is_its_positions() -> None:
    data = load_set("moving-ball")
    assert data.event_shape == (1, 32, 32)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1050, 1050, 10500]
    for split in (data.train, data.validation, data.test):
        assert split.auxiliary is not None
        np.testing.assert_array_equal(split.images[:, 0], draw_frames(split.auxiliary["position"]))
        videos = split.auxiliary["video"].reshape(-1, FRAMES)
        assert (videos == videos[:, :1]).all()
        assert (split.auxiliary["time"].reshape(-1, FRAMES) == np.arange(1, 31)).all()
        assert set(np.unique(split.pixels()).tolist()) == {0.0, 1.0}
    assert data.train.auxiliary is not None
    names = data.train.auxiliary.column("video").names
    assert (names[0], names[35], names[70], len(names)) == ("training 1", "validation 1", "test 1", 420)


def test_no_video_is_in_two_splits_and_seeds_tell_them_apart() -> None:
    data, other = load_set("moving-ball"), load_set("moving-ball", split_seed=1)
    codes = [np.unique(s.auxiliary["video"]) for s in (data.train, data.validation, data.test) if s.auxiliary]
    assert np.array_equal(np.concatenate(codes), np.arange(420))
    paths = np.concatenate([paths_of(s) for d in (data, other) for s in (d.train, d.validation, d.test)])
    assert len(np.unique(paths[:, 0], axis=0)) == 840
    # Independent standard normal starts: 350 pairs correlate by at most 5 / sqrt(350).
    start = {part: paths_of(getattr(data, part))[:, 0].ravel() for part in ("train", "validation")}
    assert abs(float(np.corrcoef(start["train"], start["validation"])[0, 1])) < 5 / np.sqrt(70)
    assert load_set("moving-ball").fingerprint == data.fingerprint != other.fingerprint


DEFAULT = "ea9afef6e1df7bcb6c98d6e72e65663e750ae6728fc8f226eeae68010621ae52"
"""Fingerprint of the version before the number of videos could be told."""


def test_the_number_of_training_videos_can_be_told() -> None:
    """The default stays, fewer or more begin with the same videos, and the other splits are the same."""
    data = load_set("moving-ball")
    assert data.fingerprint == DEFAULT == load_set("moving-ball:35").fingerprint
    for number in (5, 60):
        other = load_set(f"moving-ball:{number}")
        assert len(other.train) == number * FRAMES
        both = min(number, 35) * FRAMES
        np.testing.assert_array_equal(other.train.images[:both], data.train.images[:both])
        for part in ("validation", "test"):
            np.testing.assert_array_equal(getattr(other, part).images, getattr(data, part).images)
        assert len(np.unique(paths_of(other.train)[:, 0], axis=0)) == number
        assert other.columns[1].names[number] == "validation 1"
    for wrong in ("0", "10001", "many", "-3", "1.5"):
        with pytest.raises(UserError, match=f"wanted 1 to 10,000 training videos as in 'moving-ball:350', .*{wrong}'"):
            load_set(f"moving-ball:{wrong}")


def test_it_has_its_own_validation_videos() -> None:
    with pytest.raises(UserError, match="'moving-ball' has 35 validation videos of its own: leave out validation_frac"):
        load_set("moving-ball", validation_fraction=0.2)


def test_a_vae_trains_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--epochs", "1", "--set", "net.kind=fc", "--set", "net.hidden=16"]
    with pytest.raises(SystemExit) as stop:
        main(["train", "--method", "vae", "--dataset", "moving-ball", "--out", str(tmp_path / "run"), *settings])
    assert stop.value.code == 0, capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["likelihood"]["kind"] == "bernoulli"
