"""The terms of the bound over the epochs of a training, from a run's metrics or from those of one that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpvae_core.inspection.prior_lab.views import TrainingCurve

TERMS = ("reconstruction", "kl", "validation_elbo", "mse", "constraint", "multiplier")


def training_curve(run: str, rows: Sequence[Mapping[str, Any]]) -> TrainingCurve:
    """Return the terms of the epochs whose metrics these rows are."""
    terms = {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in TERMS}
    epochs = np.array([row["epoch"] for row in rows], np.float64)
    return TrainingCurve(run, epochs, terms, float(rows[-1]["seconds"]) if rows else 0.0)
