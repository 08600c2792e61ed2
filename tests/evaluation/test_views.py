"""The views behind predictions of runs: what their weights give, for each method, with groups and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.views import Smoother, views_behind
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.gp_prior.gppvae import LowRank
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.missing_data import HOLED, on, seen
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, COLUMNS, CPU, DATA, trained

VIEWS = {**BY_VIEW, "inference.points": 4}
BY_TIME_ALONE = {"prior.kernel": "matern(time, nu=1.5)", "train.batch_size": len(DATA.train)}


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("svgp", VIEWS),
        ("titsias", VIEWS | {"train.batch_size": 100}),
        ("gp-vae", BY_TIME_ALONE),
        ("markov", BY_TIME_ALONE),
        ("gppvae", BY_VIEW),
    ],
)
def test_weights_times_observations_are_the_predicted_means(method: str, settings: dict, tmp_path: Path) -> None:
    run = trained(method, settings, tmp_path / "run")
    engine, train, test = inference_of(run), DeviceSplit(DATA.train, CPU), DeviceSplit(DATA.test, CPU)
    y, expected = engine.pseudo_observations(train).mean, engine.latents(test).mean
    assert DATA.test.auxiliary is not None
    found = Smoother(run).weights(DATA.test.auxiliary)
    assert len(found) == len(DATA.test)
    for (w, index), mean in zip(found, expected, strict=True):
        assert index.tolist() == list(range(len(train)))
        torch.testing.assert_close((w * y).sum(1), mean, atol=1e-8, rtol=1e-8)


def test_weights_of_a_low_rank_prior_are_those_of_a_dense_gp_with_its_noise(tmp_path: Path) -> None:
    """k_s' (K + alpha I)^-1 over the images that are no missing frames, for every channel; others have no weight."""
    with on(HOLED):
        run = trained("gppvae", {**BY_VIEW, "prior.jitter": 1e-12}, tmp_path / "run")
    model, at = run.model.extra, HOLED.test.auxiliary
    assert isinstance(model, GPModel)
    assert isinstance(model.family, LowRank)
    assert at is not None
    there = torch.from_numpy(seen(HOLED.train))
    x = model.prior.at(columns_of(DeviceSplit(HOLED.train, CPU), there))
    s = model.prior.at(columns_of(DeviceSplit(HOLED.test, CPU)))
    K = model.prior.kernel.matrix(x, x.clone()) + model.family.alpha() * torch.eye(len(x)).double()
    expected = torch.linalg.solve(K, model.prior.kernel.matrix(x, s)).T
    for (w, index), row in zip(Smoother(run).weights(at), expected, strict=True):
        assert w.shape == (2, len(index)) == (2, len(HOLED.train))
        torch.testing.assert_close(w[:, there], row.expand(2, -1), atol=1e-8, rtol=1e-8)
        assert int((w != 0).any(0).sum()) == len(there)
    found = evaluate_conditional(run, k=2, instances=3).instances
    assert found is not None
    assert found.views is not None
    assert (found.views.effective.n, found.pseudo_gap) == (3, None)


def test_markov_and_exact_weights_are_the_same(tmp_path: Path) -> None:
    exact, markov = (trained(method, BY_TIME_ALONE, tmp_path / method) for method in ("gp-vae", "markov"))
    markov.model.load_state_dict(exact.model.state_dict())
    at = DATA.test.auxiliary
    assert at is not None
    for (a, _), (b, _) in zip(Smoother(exact).weights(at), Smoother(markov).weights(at), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


def test_views_are_in_order_of_their_shares(tmp_path: Path) -> None:
    run, at = trained("svgp", VIEWS, tmp_path / "run"), DATA.test.auxiliary
    assert at is not None
    w, _ = Smoother(run).weights(at)[2]
    views = views_behind(run, at.take(np.array([2])), top=3)[0]
    share = w.abs().sum(0) / w.abs().sum()
    assert views.index.tolist() == share.argsort(descending=True)[:3].tolist()
    assert views.share == pytest.approx(share.sort(descending=True).values[:3].numpy())
    assert views.weight.shape == (3, 2)
    assert views.weight == pytest.approx(w[:, views.index].T.numpy())
    assert views.effective == pytest.approx(1 / float(share.square().sum()))
    everything = views_behind(run, at.take(np.array([2])), top=10**6)[0]
    assert (len(everything.index), everything.share.sum()) == (len(DATA.train), pytest.approx(1.0))


def test_with_groups_a_prediction_rests_on_its_own_group(tmp_path: Path) -> None:
    run, at = trained("gp-vae", BY_TIME, tmp_path / "run"), DATA.test.auxiliary
    assert at is not None
    for row, views in enumerate(views_behind(run, at, given=DATA.test)):
        assert set(at["series"][views.index]) == {at["series"][row]}
    with pytest.raises(UserError, match="none of the images that predictions are given is of series series 8"):
        views_behind(run, at)


def test_what_has_no_views_is_refused_in_one_line(tmp_path: Path) -> None:
    run, at = trained("hensman", VIEWS, tmp_path / "run"), DATA.test.auxiliary
    assert at is not None
    with pytest.raises(UserError, match="method 'hensman' has no pseudo-observations"):
        views_behind(run, at)
    with pytest.raises(UserError, match="at least 1 view"):
        views_behind(run, at, top=0)
    columns = tuple(replace(column, period=None) for column in COLUMNS)
    with pytest.raises(UserError, match="column 'angle' is not that of the data"):
        views_behind(run, Auxiliary(columns, at.values))
