"""Short trainings and evaluations of any method, with what must hold of each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from gpvae_core.data.base import Dataset
from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.result import Evaluation
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_metrics, read_tensors
from gpvae_core.runs import Run
from gpvae_core.training import resume, train


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


def evaluated(run: Run, **settings: Any) -> dict[str, Any]:
    """The JSON of an evaluation, which reads back as the evaluation."""
    found = evaluate(run, EvaluationSettings(**settings))
    assert Evaluation.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    return found.to_json()
