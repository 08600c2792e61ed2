"""Small tables with columns, and runs with a GP prior on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.training import train

SIDE = 6
SMALL: dict[str, Any] = {
    "net.kind": "fc", "net.hidden": 16, "latent_dim": 3, "train.epochs": 3, "train.batch_size": 64, "train.lr": 5e-3,
    "likelihood.kind": "gaussian",
}  # fmt: skip
BY_TIME: dict[str, Any] = {"prior.kernel": "matern(time, nu=1.5, length_scale=3)", "prior.group": "film"}
BY_PAIR: dict[str, Any] = {"prior.kernel": "linear(character, dim=2) * linear(pose, dim=2)"}
BY_ANGLE: dict[str, Any] = {"prior.kernel": "periodic(angle) * linear(object, dim=2)"}


def spot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Images (N, SIDE, SIDE) of a soft spot at x and y in [-1, 1]."""
    grid = np.linspace(-1, 1, SIDE)
    square = (grid[None, None] - x[:, None, None]) ** 2 + (grid[None, :, None] - y[:, None, None]) ** 2
    return np.exp(-4 * square).astype(np.float32)


def films(path: Path, with_place: bool = True, missing: bool = False) -> Path:
    """A table of 10 films of 6 or 7 frames at irregular times, four of them in the test split.

    With `missing` the second frame of each film is missing, and of the first its left half.
    """
    rng = np.random.default_rng(0)
    lengths = [6 + film % 2 for film in range(10)]
    film = np.repeat(np.arange(10), lengths)
    time = np.concatenate([np.sort(rng.uniform(0, 10, length)) for length in lengths])
    x, y = np.sin(time + film), np.cos(0.7 * time - film)
    split = np.where(film < 4, "train", np.where(film < 6, "validation", "test"))
    arrays: dict[str, Any] = {
        "images": spot(x, y), "time:number(unit=s)": time, "film:category": np.array([f"film {f}" for f in film]),
        "split": split,
    }  # fmt: skip
    if missing:
        first = np.flatnonzero(np.diff(film, prepend=-1))
        arrays["images"][first + 1] = np.nan
        arrays["images"][first, :, : SIDE // 2] = np.nan
    if with_place:
        arrays["place:vector"] = np.stack([x, y], 1)
    np.savez(path, **arrays)
    return path


def views(path: Path) -> Path:
    """A table of 6 objects at 8 angles, one of which is in the test split."""
    thing, step = (part.reshape(-1) for part in np.meshgrid(np.arange(6), np.arange(8), indexing="ij"))
    angle, far = 45.0 * step, 0.3 + 0.1 * thing
    images = spot(far * np.cos(np.deg2rad(angle)), far * np.sin(np.deg2rad(angle)))
    split = np.where(step == 3, "test", np.where((step == 5) & (thing < 3), "validation", "train"))
    np.savez(
        path, images=images, split=split,
        **{"angle:number(period=360 unit=degrees)": angle, "object:category": np.array([f"thing {t}" for t in thing])},
    )  # fmt: skip
    return path


def run_on(table: Path, out: Path, method: str, settings: dict[str, Any]) -> Path:
    """A run of a few epochs on a table."""
    data = DataConfig(name=f"table:{table}")
    return train(make_config(method, data, load(data).event_shape, SMALL | settings), out, device="cpu")


def write_heroes(path: Path, images: np.ndarray, split: np.ndarray, who: np.ndarray, pose: np.ndarray) -> Path:
    """Write a table of images of characters in poses."""
    arrays: dict[str, Any] = {
        "images": images, "split": split, "character:category": np.array([f"hero {w}" for w in who]),
        "pose:category": np.array([f"pose {p}" for p in pose]),
    }  # fmt: skip
    np.savez(path, **arrays)
    return path


def pairs(path: Path) -> Path:
    """A table of 7 characters in 9 poses, some of which are in the validation and test splits."""
    who, pose = (part.reshape(-1) for part in np.meshgrid(np.arange(7), np.arange(9), indexing="ij"))
    images = spot(-0.9 + 0.3 * who, -0.8 + 0.2 * pose)
    left = (3 * who + pose) % 9
    split = np.where(left == 0, "test", np.where(left == 4, "validation", "train"))
    return write_heroes(path, images, split, who, pose)


def heroes(path: Path) -> Path:
    """A table of 9 characters in 9 poses, three of which are in the test split alone, with all of their poses."""
    who, pose = (part.reshape(-1) for part in np.meshgrid(np.arange(9), np.arange(9), indexing="ij"))
    images = spot(-0.9 + 0.2 * who, -0.8 + 0.2 * pose)
    split = np.where(who >= 6, "test", np.where((3 * who + pose) % 9 == 4, "validation", "train"))
    return write_heroes(path, images, split, who, pose)


BY_CONTEXT: dict[str, Any] = BY_PAIR | {"inference.representation": "character", "inference.context": 4}
