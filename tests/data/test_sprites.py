"""SPRITES: characters and poses, read character by character."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.data import sprites
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from tests.data.makers import load_set, read

CHARACTERS = 84


@pytest.fixture
def small(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Sixty training and 24 test characters of 8x8, written to a file; a frame shows its character and its pose."""
    for name, value in (("TRAINING", 60), ("TEST", 24), ("SIDE", 8)):
        monkeypatch.setattr(sprites, name, value)
    number = np.arange(CHARACTERS)
    frames = np.zeros((CHARACTERS, 72, 8, 8, 3), np.uint8)
    frames[:, :, 0, 0, 0], frames[:, :, 0, 1, 2] = number[:, None], np.arange(72)
    arrays = {
        "frames": frames,
        "attributes": np.stack(np.unravel_index(number, (6, 6, 6, 6)), 1).astype(np.uint8),
        "character_order": np.random.default_rng(0).permutation(CHARACTERS).astype(np.int32),
    }
    np.savez_compressed(home / sprites.FILE, **arrays)
    return arrays


def assert_shown(split: Split) -> None:
    """Assert that each image shows its character and its pose, and its class is the action and direction."""
    assert split.auxiliary is not None
    np.testing.assert_array_equal(split.auxiliary["character"], split.images[:, 0, 0, 0])
    np.testing.assert_array_equal(split.auxiliary["pose"], split.images[:, 2, 0, 1])
    for label, pose in zip(split.labels, split.auxiliary["pose"], strict=True):
        assert sprites.POSES[pose].startswith(sprites.GAITS[label])


def test_a_part_of_the_characters(small: dict[str, Any]) -> None:
    raw, order = read("sprites:51"), small["character_order"]
    assert (len(raw.train), len(raw.test)) == (51 * 50, 20 * 72)
    for split, characters, poses in ((raw.train, order[:51], 50), (raw.test, order[60:80], 72)):
        assert_shown(split)
        assert split.auxiliary is not None
        np.testing.assert_array_equal(split.auxiliary["character"], np.repeat(characters, poses))
        assert all(len(set(row)) == poses for row in split.auxiliary["pose"].reshape(-1, poses).tolist())
    assert raw.note == "a subset: 51 of 60 training characters and 20 of 24 test characters"


def test_all_characters(small: dict[str, Any]) -> None:
    data = load_set("sprites")
    assert (len(data.train), len(data.validation), len(data.test)) == (2700, 300, 24 * 72)
    for split in (data.train, data.validation, data.test):
        assert_shown(split)
    assert data.columns[0].names[7] == "0-0-1-1"
    assert data.columns[1].names[8] == "walk left 0"
    assert data.note == ""


def test_the_poses_of_a_character_depend_on_the_seed_alone(small: dict[str, Any]) -> None:
    few, more, other = read("sprites:3"), read("sprites:30"), read("sprites:3", split_seed=1)
    np.testing.assert_array_equal(few.train.images, more.train.images[:150])
    assert not np.array_equal(few.train.images, other.train.images)


def test_numbers_of_characters(home: Path) -> None:
    for wrong in ("0", "1001", "all", "1.5", "-3"):
        with pytest.raises(UserError, match=f"wanted 1 to 1000 training characters .*, got 'sprites:{wrong}'"):
            read(f"sprites:{wrong}")
    with pytest.raises(UserError, match="the images of 'sprites' are not there: compose"):
        read("sprites:3")


@pytest.mark.parametrize(
    "odd",
    [
        {"frames": np.zeros((84, 72, 4, 4, 3), np.uint8)},
        {"frames": np.zeros((83, 72, 8, 8, 3), np.uint8)},
        {"frames": np.zeros((85, 72, 8, 8, 3), np.uint8)},
        {"frames": np.zeros((84, 72, 8, 8, 3), np.float32)},
        {"frames": np.zeros((84, 72, 8, 8, 3), np.uint8, order="F")},
        {"frames": np.zeros(0, np.uint8)},
        {"frames": np.array(7)},
        {"attributes": np.zeros((84, 4), np.uint8)},
        {"attributes": np.zeros((7, 4), np.uint8)},
        {"character_order": np.zeros(84, np.int32)},
    ],
    ids=lambda odd: " ".join(f"{name} {array.shape} {array.dtype}" for name, array in odd.items()),
)
def test_other_files_of_its_name(odd: dict[str, Any], small: dict[str, Any], home: Path) -> None:
    np.savez(home / sprites.FILE, **small | odd)
    with pytest.raises(UserError, match=r"sprites\.npz' is not an \.npz of plain numbers, is damaged or truncated"):
        read("sprites:3")


MEASURED = """
import json
from pathlib import Path
from gpvae_core.data.base import DataConfig, load
data = load(DataConfig(name="sprites"))
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps([len(data.train), len(data.validation), len(data.test), int(peak.split()[1]) * 1024]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads its memory from /proc")
def test_the_published_frames_are_read_within_two_gigabytes(data_dir: Path) -> None:
    path = data_dir / "sprites" / sprites.FILE
    if not path.is_file():
        pytest.skip("no sprites in GPVAE_DATA_DIR")
    done = subprocess.run([sys.executable, "-c", MEASURED], check=True, capture_output=True, text=True)
    *counts, peak = json.loads(done.stdout)
    assert counts == [45000, 5000, 296 * 72]
    assert peak < 2e9
    raw = read("sprites:30")
    with np.load(path) as published:
        frames, is_train = published["frames"], published["is_train_character"]
    for split, trained in ((raw.train, True), (raw.test, False)):
        assert split.auxiliary is not None
        character, pose = split.auxiliary["character"], split.auxiliary["pose"]
        assert (is_train[character] == trained).all()
        np.testing.assert_array_equal(split.images, frames[character, pose].transpose(0, 3, 1, 2))


@pytest.mark.slow
def test_a_vae_trains_on_them(data_dir: Path, tmp_path: Path) -> None:
    if not (data_dir / "sprites").is_dir():
        pytest.skip("no sprites in GPVAE_DATA_DIR")
    options = ["--method", "vae", "--dataset", "sprites:20", "--epochs", "1", "--out", str(tmp_path / "run")]
    subprocess.run([sys.executable, "-m", "gpvae_core.cli", "train", *options], check=True)
    assert (tmp_path / "run" / "best").exists()
