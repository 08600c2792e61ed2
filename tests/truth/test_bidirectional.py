"""Both bounds on simulated images against the linear-Gaussian evidence and the grid; HMC of many against moments."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.bidirectional import Bidirectional, bidirectional
from gpvae_core.truth.by_image import infer_each
from gpvae_core.truth.estimators.ais import Annealing
from gpvae_core.truth.estimators.base import AT_ONCE
from gpvae_core.truth.evidence import Array
from gpvae_core.truth.grid import true_posteriors
from gpvae_core.truth.many_posteriors import many_posteriors
from gpvae_core.truth.posterior_samples import HMCSettings
from tests.oracles import LinearGaussianVAE, curved

SHAPE = (1, 4, 4)
FEW = AISSettings(steps=3, chains=4, leapfrog=2)
MODEL = LinearGaussianVAE.make(3, SHAPE, 0.3)
N = 2 * AT_ONCE + 6
SIGMA = 0.6


def mean_and_error(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def assert_between(actual: Bidirectional, exact: Array) -> None:
    """log p(x) lies between the means of the bounds, within three standard errors of each difference."""
    for difference in (exact - actual.lower, actual.upper - exact):
        mean, error = mean_and_error(difference)
        assert mean > -3 * error - 1e-4


@pytest.fixture(scope="module")
def linear() -> Bidirectional:
    return bidirectional(MODEL.vae(), N, FEW, seed=4)


def test_the_closed_form_lies_between_and_the_gap_is_what_they_leave(linear: Bidirectional) -> None:
    assert_between(linear, MODEL.log_px(linear.x).numpy())
    mean, error = mean_and_error(linear.gap)
    assert mean > 3 * error, "three temperatures must leave a gap, or the order is not tested"
    assert (linear.gap == linear.upper - linear.lower).all()
    many = bidirectional(MODEL.vae(), N, seed=4)
    assert torch.equal(many.x, linear.x)
    assert mean_and_error(many.gap)[0] < 0.5 * mean
    assert_between(many, MODEL.log_px(many.x).numpy())


def test_the_images_are_draws_of_the_model(linear: Bidirectional) -> None:
    """E[log p(x)] of p(x) = N(bias, S) is -1/2 log det(2 pi e S), and Var[log p(x)] is half the number of pixels."""
    covariance = MODEL.w @ MODEL.w.T + MODEL.sigma_x**2 * torch.eye(16, dtype=torch.float64)
    entropy = 0.5 * (torch.logdet(covariance).item() + 16 * math.log(2 * math.pi * math.e))
    assert MODEL.log_px(linear.x).mean().item() == pytest.approx(-entropy, abs=3.5 * (8 / N) ** 0.5)
    other = bidirectional(MODEL.vae(), 4, FEW, seed=5)
    assert not torch.equal(other.x, linear.x[:4])


def test_a_latent_that_did_not_make_the_image_gives_no_upper_bound() -> None:
    """The oracle sees it: latents of other images put the 'upper' bound below log p(x)."""
    vae = MODEL.vae()
    x, z = MODEL.images(20), torch.randn(20, 3, generator=torch.Generator().manual_seed(8))
    wrong = Annealing(vae, FEW).upper_bound(x, z)
    mean, error = mean_and_error(wrong - MODEL.log_px(x).numpy())
    assert mean < -3 * error


def test_the_grid_lies_between_where_posteriors_are_no_gaussians() -> None:
    vae = curved(SIGMA)
    actual = bidirectional(vae, 60, AISSettings(steps=6, chains=4, leapfrog=3), seed=1)
    grids = true_posteriors(vae, Atlas.build(vae), actual.x)
    assert max(grid.negentropy() for grid in grids) > 0.3, "one posterior at least must be far from Gaussian"
    assert all(grid.passed for grid in grids)
    assert_between(actual, np.array([grid.log_px for grid in grids]))
    mean, error = mean_and_error(actual.gap)
    assert mean > 3 * error


def test_it_repeats_with_the_seed_and_the_lower_bound_is_the_evaluations_own(linear: Bidirectional) -> None:
    vae = MODEL.vae()
    again = bidirectional(vae, N, FEW, seed=4)
    assert (again.lower == linear.lower).all()
    assert (again.upper == linear.upper).all()
    seed = int(np.random.SeedSequence(4).generate_state(3)[1])
    own = Annealing(vae, FEW).log_px(linear.x, seed, best=best_gaussians(vae, linear.x, 4))
    assert (own.log_px == linear.lower).all()


def test_fewer_than_two_images_are_refused() -> None:
    with pytest.raises(UserError, match="at least 2 simulated images, got 1"):
        bidirectional(MODEL.vae(), 1)


def test_its_progress_is_named_counts_all_images_and_can_stop_it() -> None:
    reports: dict[str, tuple[int, int]] = {}

    def note(done: int, total: int, what: str) -> None:
        reports[what] = done, total

    bidirectional(MODEL.vae(), N, FEW, progress=note)
    assert reports == {
        "simulated images: best Gaussians": (N, N),
        "simulated images: log p(x) by annealed importance sampling": (N, N),
        "simulated images: log p(x) by annealed importance sampling, backwards": (N, N),
    }

    def stop(done: int, total: int, what: str) -> None:
        if what.endswith("backwards"):
            raise Cancelled

    with pytest.raises(Cancelled):
        bidirectional(MODEL.vae(), 4, FEW, progress=stop)


def test_posteriors_in_parts_have_each_instances_own_moments() -> None:
    """More images than are sampled at a time, in the units of their best Gaussian."""
    n = AT_ONCE + 3
    x, vae, exact = MODEL.images(n), MODEL.vae(), MODEL.posterior_covariance
    scale = torch.linalg.cholesky(exact).float().expand(n, 3, 3)
    actual = many_posteriors(
        vae, x, partial(infer_each, vae), scale, HMCSettings(warmup=80, draws=250, leapfrog=4), seed=2
    )
    assert actual.z.shape == (250, 4, n, 3)
    assert actual.step.shape == actual.acceptance.shape == (n,)
    assert (actual.r_hat < 1.1).all()
    assert (actual.r_hat < 1.05).mean() > 0.97
    draws = actual.z.double().flatten(0, 1)
    error = torch.tensor(actual.ess).rsqrt() * exact.diagonal().sqrt()
    z = (draws.mean(0) - MODEL.posterior_mean(x)) / error
    assert z.abs().max() < 4.5
    assert z.square().mean().sqrt() == pytest.approx(1.0, abs=0.3)
    torch.testing.assert_close(draws.var(0).mean(0), exact.diagonal(), rtol=0.05, atol=0)
