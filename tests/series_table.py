"""A small table of series of images with a time, a series and a known place, as users have: tables of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

FRAMES, SIDE = 5, 6
PARTS = {"train": 12, "validation": 4, "test": 4}
"""Series of each part."""
TEST_IMAGES = FRAMES * PARTS["test"]
KERNEL = "rbf(time, length_scale=1.5)"
BY_SERIES: dict[str, Any] = {"prior.kernel": KERNEL, "prior.group": "series"}
"""Settings of a GP prior over each series."""
SMALL: dict[str, Any] = {"net.kind": "fc", "net.hidden": 4, "net.depth": 1, "train.keep_every": 1}


def write_series(folder: Path) -> str:
    """Write the table, a bright column of pixels at a place that moves with time, and return its name as a data set."""
    rng = np.random.default_rng(0)
    series = np.repeat(np.arange(sum(PARTS.values())), FRAMES)
    time = np.tile(np.arange(float(FRAMES)), sum(PARTS.values()))
    place = np.column_stack([np.sin(time + rng.uniform(0, 6, sum(PARTS.values()))[series]), np.cos(time)])
    x = np.linspace(-1, 1, SIDE)
    images = np.exp(-4 * np.square(x - place[:, :1]))[:, None].repeat(SIDE, 1).astype(np.float32)
    part = np.repeat([name for name, count in PARTS.items() for _ in range(count)], FRAMES)
    columns: dict[str, Any] = {
        "images": images,
        "time:number(unit=s)": time,
        "series:category": series,
        "place:vector": place,
        "split": part,
    }
    np.savez(folder / "series.npz", **columns)
    return f"table:{folder / 'series.npz'}"
