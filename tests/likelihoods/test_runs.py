"""Runs with every registered likelihood: trained, evaluated, and each of the Explorer's views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.likelihoods import LIKELIHOODS
from gpvae_core.mapa import BANDWIDTHS
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from tests.short_training import evaluated
from tests.tidy import tidy

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
FEW = replace(DIGITS, test=DIGITS.test.take(np.arange(20)), fingerprint="a few of the digits")
VIEWS = ("map", "posterior", "uncertainty", "traces", "reconstructions", "gaps", "figure_one")


def trained(folder: Path, kind: str, **more: int | bool) -> Run:
    settings = {"likelihood.kind": kind, "epochs": 3, "net.hidden": 32, "latent_dim": 2, "lr": 2e-3, **more}
    run = load_run(train(make_config("gp", DATA, DIGITS.event_shape, settings), folder, data=DIGITS), device="cpu")
    run._data = FEW
    return run


@pytest.fixture(scope="module", params=list(LIKELIHOODS.summaries()))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / request.param, request.param)


@pytest.fixture(scope="module")
def explorer(run: Run) -> Explorer:
    explorer = Explorer(run, gap_sample=4)
    explorer.prepare()
    return explorer


def test_evaluation_orders_its_bounds(run: Run) -> None:
    actual = evaluated(run, instances=6, k=20)
    assert actual["elbo"]["mean"] <= actual["iwae"]["mean"] <= actual["log_px"]["mean"] + 0.05
    assert actual["checks"]["grid"]["failed"] == 0
    assert actual["gaps"]["amortization"]["mean"] >= 0
    assert actual["best_gaussian_elbo"]["diagonal"]["mean"] <= actual["best_gaussian_elbo"]["full"]["mean"]
    assert 0.1 < actual["reconstruction_rmse"] < 0.5
    assert actual["sigma_x"] == run.model.likelihood.noise_scale()
    with_sigma_x = actual["sigma_x"] is not None
    assert (actual["mapa"]["source"] == "sigma_x of the likelihood") is with_sigma_x
    assert actual["mapa"]["bandwidth"] > 0


def test_every_view_has_numbers(explorer: Explorer) -> None:
    instance = explorer.instance(3)
    for view in VIEWS:
        assert all(tidy(text) for text in explorer.to_csv(view, instance).values()), view


def test_log_px_and_the_gap_are_those_of_importance_sampling(run: Run, explorer: Explorer) -> None:
    """20,000 samples from a widened encoder, weighed by hand with the likelihood."""
    index = int(np.flatnonzero(np.isfinite(explorer.map_view().gap))[0])  # pyright: ignore[reportArgumentType, reportCallIssue]
    view = explorer.gap_view(explorer.instance(index))
    x = FEW.test.pixels([index])
    with torch.no_grad():
        q = run.posterior(x)
        wide = torch.distributions.Normal(q.mean, 1.5 * q.variance.sqrt() + 0.05)
        torch.manual_seed(0)
        z = wide.sample((20_000,))
        log_p = run.model.likelihood.log_prob(x, run.model.decode(z)).double()
        log_w = log_p + (torch.distributions.Normal(0.0, 1.0).log_prob(z) - wide.log_prob(z)).sum(-1).double()
    estimate = float(torch.logsumexp(log_w, 0)) - np.log(len(z))
    assert view.log_px == pytest.approx(estimate, abs=0.1)
    assert view.best_full_elbo is not None
    assert view.encoder_elbo <= view.best_full_elbo + 0.05
    assert view.best_full_elbo <= view.log_px + 0.05


def test_reconstructions_are_the_likelihoods_means(run: Run, explorer: Explorer) -> None:
    instance = explorer.instance(1)
    view = explorer.reconstruction_view(instance)
    items = {item.name: item for item in view.items}
    with torch.no_grad():
        g = run.model.decode(run.posterior(torch.as_tensor(instance.image)).mean)
        expected = run.model.likelihood.mean(g)[0].numpy()
    shown = items["GP encoder (marginalised)"]
    np.testing.assert_allclose(shown.image, expected, atol=1e-5)
    assert shown.rmse == pytest.approx(float(np.sqrt(((expected - instance.image) ** 2).mean())), abs=1e-5)
    assert items["posterior mode"].rmse < 0.5
    assert view.samples.shape[1:] == FEW.event_shape


def test_traces_weigh_the_codes_by_the_likelihood(run: Run, explorer: Explorer) -> None:
    """Eq. 7 of Yacoby et al. 2024 over all training codes, by hand; in another order, so they are sorted."""
    instance = explorer.instance(2)
    view = explorer.traces_view(instance)
    with torch.no_grad():
        codes = run.posterior(FEW.train.pixels()).mean
        log_p = run.model.likelihood.log_prob(torch.as_tensor(instance.image), run.model.decode(codes)).double()
        shift = np.log(len(codes)) + run.model.log_prior(codes).double()
    expected = np.sort((torch.log_softmax(log_p, 0) + shift).numpy())[::-1][:10]
    shown = view.traces[0].empirical
    np.testing.assert_allclose(np.sort(shown[np.isfinite(shown)])[::-1][:10], expected, atol=0.01)
    assert (view.bandwidth_source == "sigma_x of the likelihood") is (explorer.bandwidths == BANDWIDTHS)
    assert (run.model.likelihood.noise_scale() is None) is (explorer.bandwidths == ("validation",))


def test_above_two_dimensions_the_views_have_a_slice(run: Run, tmp_path: Path) -> None:
    explorer = Explorer(trained(tmp_path / "run", run.config.likelihood.kind, latent_dim=3), gap_sample=3)
    instance = explorer.instance(0)
    explorer.best_gaussian(instance)
    view = explorer.posterior_view(instance)
    assert view.plane.is_slice
    assert np.isfinite(view.log_density).any()
    gaps = explorer.gap_view(instance)
    assert gaps.best_full_elbo is not None
    assert gaps.best_full_elbo <= gaps.log_px + 0.1
    assert len(explorer.traces_view(instance).traces) == 3


def test_it_trains_in_bfloat16(run: Run, tmp_path: Path) -> None:
    coarse = trained(tmp_path / "run", run.config.likelihood.kind, bfloat16=True)
    x = FEW.test.pixels()
    with torch.no_grad():
        fine, rough = (one.model.log_weights(x, 20, torch.Generator().manual_seed(0)).mean() for one in (run, coarse))
    assert float(rough) == pytest.approx(float(fine), rel=0.05, abs=3.0)
