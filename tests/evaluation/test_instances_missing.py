"""The measures of instances where frames are missing: those of the same data without the missing frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.evaluation.batch_bias import batch_bias
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.pseudo_gaps import pseudo_gaps
from gpvae_core.evaluation.views import Smoother
from gpvae_core.runs import Run, load_run
from tests.inference.gp_prior.missing_data import DROPPED, HOLED, on, seen
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, trained

VIEWS = {**BY_VIEW, "inference.points": 4, "train.batch_size": 7}


def pair(method: str, settings: dict, out: Path) -> tuple[Run, Run]:
    """A run on the data with missing frames, and the same weights on those without."""
    with on(HOLED):
        run = trained(method, settings, out)
    other = load_run(run.dir, device="cpu")
    other._data = DROPPED
    return run, other


def test_missing_frames_are_no_views_and_in_no_batch(tmp_path: Path) -> None:
    holed, dropped = pair("svgp", VIEWS, tmp_path / "run")
    at, there = HOLED.test.auxiliary, seen(HOLED.train)
    assert at is not None
    for (w, _), (other, _) in zip(Smoother(holed).weights(at), Smoother(dropped).weights(at), strict=True):
        torch.testing.assert_close(w[:, there], other)
        assert float(w.abs().sum()) == pytest.approx(float(w[:, there].abs().sum()))
    with pytest.raises(UserError, match="a missing frame is in no batch"):
        batch_bias(holed, np.array([0]))
    a = batch_bias(holed, there[:3])
    b = batch_bias(dropped, np.arange(3))
    assert a.kl == pytest.approx(b.kl)
    assert evaluate_conditional(holed, k=1, instances=3).instances is not None


def test_gaps_are_of_observed_pixels(tmp_path: Path) -> None:
    holed, dropped = pair("svgp", VIEWS, tmp_path / "images")
    a, b = pseudo_gaps(holed, HOLED.test, seen(HOLED.train)[:3]), pseudo_gaps(dropped, DROPPED.test, np.arange(3))
    for gap, other, error in zip(a.gap, b.gap, a.error + b.error, strict=True):
        assert gap == pytest.approx(other, abs=4 * error + 0.02)
    holed, dropped = pair("gp-vae", BY_TIME, tmp_path / "groups")
    codes = np.array([9, 11])
    a, b = pseudo_gaps(holed, HOLED.test, codes), pseudo_gaps(dropped, DROPPED.test, codes)
    for gap, other, error in zip(a.gap, b.gap, a.error + b.error, strict=True):
        assert gap == pytest.approx(other, abs=4 * error + 0.02)
    assert (a.gap > 0).all()
