"""Images of groups that have training images are predicted from these, and those of new groups from their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.data.split import Split
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.group_images import group_images
from gpvae_core.evaluation.instances import instance_measures
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.pseudo_gaps import pseudo_gaps
from gpvae_core.evaluation.views import Smoother
from gpvae_core.inference.conditional import sample
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.progress import silent
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_TIME, CPU, DATA, config, split

WHOLE = split(range(8), 0)
CODES = np.asarray(WHOLE.auxiliary["series"]) if WHOLE.auxiliary is not None else np.zeros(0)
RANK = np.array([np.count_nonzero(CODES[:row] == code) for row, code in enumerate(CODES)])
"""Number of each image within its series."""
CUT = replace(
    DATA,
    train=WHOLE.take(np.flatnonzero((CODES < 6) & (RANK % 4 % 2 == 0))),
    validation=WHOLE.take(np.flatnonzero((CODES < 6) & (RANK % 4 == 1))),
    test=WHOLE.take(np.flatnonzero((CODES >= 6) | (RANK % 4 == 3))),
)
"""Series 0 to 5 are in all parts, and 6 and 7 in the test split alone."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = train(config("gp-vae", BY_TIME), tmp_path_factory.mktemp("cut") / "run", data=CUT, device="cpu")
    found = load_run(out, device="cpu")
    found._data = CUT
    return found


def dense(run: Run, engine: GPPriorInference, given: DeviceSplit, at: DeviceSplit, row: int) -> tuple[float, float]:
    """Mean and variance of the first latent of an image, given those of its series in `given`."""
    assert isinstance(run.model.extra, GPModel)
    kernel, pseudo = run.model.extra.prior.kernel, engine.pseudo_observations(given)
    own = (given.columns["series"] == at.columns["series"][row]).nonzero().squeeze(1)
    times, here = given.columns["time"][own, None], at.columns["time"][row : row + 1, None]
    K = kernel.matrix(times, times) + torch.diag(1 / pseudo.precision[0, own])
    k = kernel.matrix(times, here)[:, 0]
    return (
        float(k @ torch.linalg.solve(K, pseudo.mean[0, own])),
        float(kernel.diagonal(here) - k @ torch.linalg.solve(K, k)),
    )


@torch.no_grad()
def test_known_groups_are_given_their_training_images_and_new_ones_their_own(run: Run) -> None:
    engine, trained, test = inference_of(run), DeviceSplit(CUT.train, CPU), DeviceSplit(CUT.test, CPU)
    new = engine.are_new(test)
    assert new.tolist() == (test.columns["series"] >= 6).tolist()
    q = engine.latents(test)
    for row in range(len(test)):
        mean, variance = dense(run, engine, test if new[row] else trained, test, row)
        assert float(q.mean[row, 0]) == pytest.approx(mean, abs=1e-4)
        assert float(q.variance[row, 0]) == pytest.approx(variance, abs=1e-4)
    validation = DeviceSplit(CUT.validation, CPU)
    assert not engine.are_new(validation).any()
    z = sample(engine.latents(validation), torch.Generator().manual_seed(0)).float()
    fit = run.model.likelihood.log_prob(validation.all(), run.model.decode(z)).double().mean()
    assert engine.score() == pytest.approx(float(fit), rel=1e-5)


def test_the_evaluation_says_what_is_given(run: Run) -> None:
    result = evaluate_conditional(run, "validation", k=2)
    assert result.given == "the training images of the same series"
    assert result.yardsticks.nearest_view is not None
    assert result.yardsticks.nearest_view.n == len(CUT.validation)
    both = evaluate_conditional(run, k=2)
    assert both.given == (
        "the training images of the same series, or of a new one all frames of the same series, themselves among them"
    )


def test_a_score_of_known_and_new_groups_takes_the_kl_of_the_new_ones(tmp_path: Path) -> None:
    mixed = replace(CUT, validation=CUT.test)
    found = load_run(train(config("gp-vae", BY_TIME), tmp_path / "run", data=mixed, device="cpu"), device="cpu")
    found._data = mixed
    engine, split = inference_of(found), DeviceSplit(mixed.validation, CPU)
    with torch.no_grad():
        generator, new = torch.Generator().manual_seed(0), engine.are_new(split).nonzero().squeeze(1)
        terms, _ = engine._terms(found.model, split, new, 1.0, generator)
        z = sample(engine.latents(split), generator).float()
        fit = found.model.likelihood.log_prob(split.all(), found.model.decode(z)).double().sum()
    assert float(terms.kl) > 0.1
    assert engine.score() == pytest.approx(float(fit - terms.kl) / len(split), rel=1e-4)


def column(images: Split, name: str) -> np.ndarray:
    """The values of a column of a split."""
    assert images.auxiliary is not None
    return images.auxiliary[name]


def test_the_lab_shows_all_frames_of_a_known_series_and_gives_it_those_trained_on(run: Run) -> None:
    series = SeriesLab(PriorLab(run))
    engine, test = inference_of(run), DeviceSplit(CUT.test, CPU)
    mean, assigned = engine.latents(test).mean.numpy(), column(WHOLE, "series")
    for position in range(len(series)):
        code, view = series.code(position), series.view(position, "none")
        assert len(view.times) == np.count_nonzero(assigned == code)
        trained = np.isin(view.times, column(CUT.train, "time"))
        assert view.seen.tolist() == (trained if code < 6 else np.ones_like(trained)).tolist()
        here = column(CUT.test, "series") == code
        times = column(CUT.test, "time")[here]
        rows = view.at_frames[np.isin(view.times, times)]
        wanted = series.fit().path(mean[here][np.argsort(times)])
        np.testing.assert_allclose(view.curves.mean[rows], wanted, atol=1e-4)


def test_what_is_measured_of_a_known_group_rests_on_its_training_images(run: Run) -> None:
    found = group_images(run, inference_of(run), CUT.test)
    given = found.of_predictions()
    assert found.images.auxiliary is not None
    assert given.auxiliary is not None
    tested = np.isin(column(WHOLE, "series"), column(CUT.test, "series"))
    assert len(found.images) == np.count_nonzero(tested)
    known = given.auxiliary["series"] < 6
    assert np.isin(given.auxiliary["time"][known], column(CUT.train, "time")).all()
    assert np.count_nonzero(known) == np.isin(column(CUT.train, "series"), column(CUT.test, "series")).sum()
    measures = instance_measures(run, CUT.test, 8, 0, silent)
    assert measures.views is not None
    assert measures.pseudo_gap is not None
    by_hand = pseudo_gaps(run, CUT.train, np.array([2]))
    at = measures.pseudo_gap.index.index(2)
    assert measures.pseudo_gap.values[at] == pytest.approx(float(by_hand.gap[0]), rel=0.2, abs=0.05)
    auxiliary = CUT.test.auxiliary
    assert auxiliary is not None
    views = Smoother(run, given).views(auxiliary, top=1)
    effective = [views[i].effective for i in measures.views.index]
    assert measures.views.effective.mean == pytest.approx(np.mean(effective))


def test_a_group_of_missing_frames_alone_is_left_out_of_what_is_measured(run: Run) -> None:
    test = CUT.test
    assert test.auxiliary is not None
    observed = np.ones((len(test), 4, 4), np.bool_)
    observed[test.auxiliary["series"] == 7] = False
    measures = instance_measures(run, replace(test, observed=observed), len(test), 0, silent)
    assert measures.views is not None
    assert measures.pseudo_gap is not None
    assert 7 not in measures.pseudo_gap.index
    assert not (test.auxiliary["series"][list(measures.views.index)] == 7).any()
