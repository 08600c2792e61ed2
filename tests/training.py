"""One short training of any method: it is finite, it moves all it should, and it resumes to the same weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from gpvae_core.data.base import Dataset
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_metrics, read_tensors
from gpvae_core.train import resume, train


def assert_trains_and_resumes(folder: Path, config: RunConfig, data: Dataset, stop_at: int = 8) -> None:
    """Two epochs at once, and the same stopped within the second and gone on with."""

    def stop(done: int, total: int, what: str) -> None:
        if done == stop_at:
            raise Cancelled

    whole = train(config, folder / "whole", data=data)
    with pytest.raises(Cancelled):
        train(config, folder / "stopped", data=data, progress=stop)
    resume(folder / "stopped")
    for which in ("last", "best"):
        left, right = (read_tensors(folder / run / which / "weights.safetensors") for run in ("whole", "stopped"))
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)
        assert all(bool(value.isfinite().all()) for value in left.values())
    rows = read_metrics(whole / "metrics.jsonl")
    assert all(math.isfinite(row["train_bound"]) for row in rows)
    assert rows[-1]["validation_elbo"] > rows[0]["validation_elbo"]
