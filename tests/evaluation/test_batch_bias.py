"""How far q(z_i) moves with its batch: by eq. 9's own formulas, and not at all where the batch is everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from gpvae_core.errors import UserError
from gpvae_core.evaluation.batch_bias import batch_bias, divergence
from gpvae_core.evaluation.process import inference_of
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, trained

SETTINGS = {**BY_VIEW, "inference.points": 4, "train.batch_size": 7}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return trained("svgp", SETTINGS, tmp_path / "run")


def test_a_batch_of_everything_moves_nothing(run: Run) -> None:
    found = batch_bias(run, np.arange(5), batches=3, batch_size=len(DATA.train))
    assert np.abs([found.kl, found.kl_spread, found.bias, found.bias_by_chance]).max() < 1e-6


def test_what_is_to_be_expected_by_chance_falls_with_the_root_of_the_number_of_batches(run: Run) -> None:
    few, many = (batch_bias(run, np.arange(20), batches=count, seed=1).bias_by_chance.mean() for count in (20, 320))
    assert few / many == pytest.approx(4.0, rel=0.15)


def test_the_distance_is_that_of_eq_9(run: Run) -> None:
    """By the matrices of the paper: Sigma_b = K_mm + N/b K_mb diag(sigma~^-2) K_bm."""
    index, batches, count = np.array([3, 11]), 4, len(DATA.train)
    found = batch_bias(run, index, batches=batches, seed=2)
    engine, train = inference_of(run), DeviceSplit(DATA.train, CPU)
    assert isinstance(run.model.extra, GPModel)
    prior, U = run.model.extra.prior, run.model.get_parameter("extra.family.inducing.inputs")
    X, pseudo = prior.at(train.columns), engine.pseudo_observations(train)
    K_mm = prior.kernel.matrix(U, U)
    K_mm = K_mm + prior.config.jitter * K_mm.diagonal().mean() * torch.eye(4).double()
    K_mn, k_nn = prior.kernel.matrix(U, X), prior.kernel.diagonal(X)

    def marginals(batch: torch.Tensor, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        means, variances = [], []
        k_i = torch.linalg.solve(K_mm, K_mn[:, i])
        for y, p in zip(pseudo.mean[:, batch], pseudo.precision[:, batch], strict=True):
            scale, K_mb = count / len(batch), K_mn[:, batch]
            Sigma = K_mm + scale * K_mb @ torch.diag(p) @ K_mb.T
            mu = scale * K_mm @ torch.linalg.solve(Sigma, K_mb @ (p * y))
            A = K_mm @ torch.linalg.solve(Sigma, K_mm)
            means.append(k_i @ mu)
            variances.append(k_nn[i] - k_i @ K_mn[:, i] + k_i @ A @ k_i)
        return torch.stack(means), torch.stack(variances)

    generator = torch.Generator().manual_seed(2)
    orders = [torch.randperm(count, generator=generator).split(7) for _ in range(batches)]
    for row, i in enumerate(index.tolist()):
        mean, variance = marginals(torch.arange(count), i)
        of_batches = [marginals(next(b for b in order if i in b), i) for order in orders]
        kl = torch.stack(
            [kl_divergence(Normal(m, v.sqrt()), Normal(mean, variance.sqrt())).sum() for m, v in of_batches]
        )
        assert found.kl[row] == pytest.approx(float(kl.mean()), rel=1e-4)
        assert found.kl_spread[row] == pytest.approx(float(kl.std()), rel=1e-4)
        off = (torch.stack([m for m, _ in of_batches]).mean(0) - mean) / variance.sqrt()
        assert found.bias[row] == pytest.approx(float(off.square().mean().sqrt()), rel=1e-4)
    assert (found.kl > 0).all()


def test_the_divergence_is_that_of_normal_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c, d = torch.rand(4, 2, 5, generator=generator, dtype=torch.float64) + 0.1
    expected = kl_divergence(Normal(a, b.sqrt()), Normal(c, d.sqrt()))
    torch.testing.assert_close(divergence(Marginals(a, b), Marginals(c, d)), expected)


def test_other_methods_and_too_few_batches_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 2 batches of at least 1 image, got 1 of 7"):
        batch_bias(run, np.arange(2), batches=1)
    for method, settings in (("svgp", BY_TIME), ("hensman", SETTINGS)):
        with pytest.raises(UserError, match="'svgp' without groups"):
            batch_bias(trained(method, settings, tmp_path / f"{method}-2"), np.arange(2))
