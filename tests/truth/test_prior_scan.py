"""Samples of the prior: their estimate of log p(x), the modes that they find, the estimates that they contradict."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpvae_core.evaluation.sample import count_untrusted
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.evidence import DISAGREEMENT, MIN_ESS, Evidence
from gpvae_core.truth.prior_scan import PriorScan
from gpvae_core.truth.settings import EstimatorName, TruthSettings
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import VAE
from tests.oracles import LinearEncoder, LinearGaussianVAE

SHAPE = (1, 2, 2)
X = torch.ones(1, 1, 1, 1)
DECOY, MAIN = torch.tensor([1.5, 1.0]), torch.tensor([-1.0, -0.5])


class TwoBumps(nn.Module):
    """g(z) is 0.95 at DECOY and falls slowly from there, and is 1 at MAIN, from where it falls quickly."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = nn.Parameter(torch.tensor(width))

    def forward(self, z: Tensor) -> Tensor:
        wide = 0.95 * torch.exp(-(z - DECOY).square().sum(-1) / (2 * 0.5**2))
        return (wide + torch.exp(-(z - MAIN).square().sum(-1) / (2 * self.width**2))).reshape(-1, 1, 1, 1)


def two_bumps(width: float, sigma_x: float = 0.01) -> VAE:
    """The encoder answers with the decoy."""
    encoder = LinearEncoder(torch.zeros(2, 1), torch.zeros(1), DECOY, torch.full((2,), 0.05))
    return VAE(TwoBumps(width), GaussianLikelihood(sigma_x, learn=False), encoder, 2, (1, 1, 1)).eval()


def log_px(vae: VAE) -> float:
    """log p(x = 1) by the rectangle rule on a fine grid over the plane, in numpy."""
    axis = torch.linspace(-4, 4, 2001)
    z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        g = torch.cat([vae.decoder(part) for part in z.split(1 << 18)]).flatten().double().numpy()
    sigma = vae.likelihood.noise_scale()
    assert sigma is not None
    f = -0.5 * ((1 - g) / sigma) ** 2 - math.log(sigma) - 0.5 * z.square().sum(1).double().numpy()
    return float(np.log(np.exp(f - f.max()).sum()) + f.max() + 2 * math.log(0.004) - 1.5 * math.log(2 * math.pi))


def at(mean: Tensor, std: float) -> BestGaussians:
    """A wrong answer about X: the Gaussian N(mean, std^2 I), as the best one."""
    m, s, none = mean[None], torch.full((1, 2), std), torch.zeros(1)
    return BestGaussians(m, s, none, m, torch.diag_embed(s), none, none)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_mean_of_the_likelihood_is_the_evidence(d: int) -> None:
    model = LinearGaussianVAE.make(d, SHAPE, 0.5)
    x = model.images(4)
    scans = [PriorScan.of(model.vae(), x, seed) for seed in range(20)]
    estimates = torch.stack([scan.log_px for scan in scans])
    ratio = (estimates - model.log_px(x)).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / math.sqrt(20)).all()
    assert (ratio.std(0) < 0.5).all(), "the test can tell"
    alone = PriorScan.of(model.vae(), x[2:3], 3).log_likelihood[:, 0]
    assert torch.equal(alone, scans[3].log_likelihood[:, 2]), "whatever the batch"


def test_peaks_are_higher_than_what_is_near_and_come_in_falling_order() -> None:
    vae = two_bumps(0.3)
    peaks = PriorScan.of(vae, X, 0).peaks(0, 4).float()
    assert 2 <= len(peaks) <= 4
    log_joint = vae.log_joint(X, peaks[:, None])[:, 0]
    assert (log_joint.diff() < 0).all()
    for mode in (DECOY, MAIN):
        assert (peaks - mode).norm(dim=1).min() < 0.3


@pytest.mark.parametrize("seed", range(4))
def test_the_best_gaussian_covers_the_main_mode_that_no_start_but_samples_of_the_prior_leads_to(seed: int) -> None:
    vae = two_bumps(0.15)
    best = best_gaussians(vae, X, seed)
    known = best_gaussians(vae, X, seed, starts=[MAIN[None]])
    assert (best.full_mean[0] - MAIN).norm() < 0.05
    assert float(best.full_elbo[0]) == pytest.approx(float(known.full_elbo[0]), abs=0.05)
    assert float(best.full_elbo[0]) > float(best.encoder_elbo[0]) + 5
    assert float(best.full_elbo[0]) < log_px(vae)


@pytest.mark.parametrize("name", ["ais", "iwae"])
def test_an_estimate_that_lacks_the_main_mode_is_not_trusted(name: EstimatorName) -> None:
    vae = two_bumps(0.3)
    # Few temperatures, so that no chain from the prior comes to the main mode.
    settings = TruthSettings(name=name, annealing=AISSettings(steps=10, chains=64, leapfrog=2))
    truth, exact = truth_for(vae, settings), log_px(vae)
    wrong, right = truth.log_px(X, best=at(DECOY, 0.05)), truth.log_px(X)
    assert wrong.log_px[0] < exact - 2 * DISAGREEMENT, "the start hides the main mode"
    assert wrong.se is not None
    assert wrong.se[0] < 0.3, "and the error does not show it"
    assert wrong.lacks_mode.tolist() == wrong.untrusted.tolist() == [True]
    assert count_untrusted(wrong).lacks_mode == 1
    assert "a mode is missing" in " ".join(count_untrusted(wrong).warnings(name))
    assert right.log_px[0] == pytest.approx(exact, abs=0.5)
    assert right.lacks_mode.tolist() == [False]
    assert count_untrusted(right).lacks_mode is None


@pytest.mark.parametrize("name", ["ais", "iwae"])
@pytest.mark.parametrize("sigma_x", [0.03, 0.05])
def test_an_estimate_from_the_lesser_mode_is_not_trusted_where_the_errors_of_both_show_it(
    name: EstimatorName, sigma_x: float
) -> None:
    """The lesser mode has a quarter or a tenth of the main one: samples of the prior give less than 100 times."""
    vae = two_bumps(0.3, sigma_x)
    settings = TruthSettings(name=name, annealing=AISSettings(steps=10, chains=64, leapfrog=2))
    wrong, exact = truth_for(vae, settings).log_px(X, best=at(DECOY, 0.1)), log_px(vae)
    assert wrong.se is not None
    assert wrong.prior_log_px is not None
    assert exact - DISAGREEMENT < wrong.log_px[0] < exact - max(1.0, 10 * wrong.se[0]), "wrong by many of its errors"
    assert wrong.ess is not None
    assert wrong.ess[0] > MIN_ESS
    assert wrong.prior_log_px[0] == pytest.approx(exact, abs=0.3)
    assert wrong.lacks_mode.tolist() == wrong.untrusted.tolist() == [True]
    many = TruthSettings(name=name, annealing=AISSettings(steps=100, chains=64, leapfrog=3))
    right = truth_for(vae, many).log_px(X)
    assert right.log_px[0] == pytest.approx(exact, abs=0.3)
    assert right.lacks_mode.tolist() == [False]


def test_what_samples_of_the_prior_contradict() -> None:
    """Against an estimate of 0 nats: n samples of equal weight have a standard error of n^-1/2."""

    def contradicted(prior_log_px: float, prior_se: float | None, se: float = 0.0) -> bool:
        error = None if prior_se is None else np.array([prior_se])
        evidence = Evidence(
            "ais", np.zeros(1), se=np.array([se]), prior_log_px=np.array([prior_log_px]), prior_se=error
        )
        return bool(evidence.lacks_mode[0])

    assert [contradicted(v, None) for v in (4.5, 4.7)] == [False, True], "an error that is not known"
    assert [contradicted(v, math.nan) for v in (4.5, 4.7)] == [False, True]
    assert [contradicted(v, 1.0) for v in (4.5, 4.7)] == [False, True], "one sample: Markov's inequality alone"
    assert [contradicted(v, 0.1) for v in (0.38, 0.39)] == [False, True], "3.5 (0.1 + 0.1^2)"
    assert [contradicted(v, 0.1, 0.2) for v in (0.79, 0.81)] == [False, True], "the root of the sum of squares"
    assert not contradicted(0.04, 0.0), "rounding"
    assert not contradicted(-5.0, 0.1), "samples of the prior are a lower bound"


@pytest.mark.parametrize("d", [2, 4, 8])
def test_no_estimate_is_contradicted_where_nothing_is_missing(d: int) -> None:
    """Against the closed form, over 20 seeds: rarer than the 1 % of Markov's inequality."""
    model = LinearGaussianVAE.make(d, (1, 4, 4), 0.3)
    x = model.images(20)
    exact = model.log_px(x).numpy()
    scans = [PriorScan.of(model.vae(), x, seed) for seed in range(20)]
    for known in (False, True):
        wrong = [
            Evidence(
                "ais",
                exact,
                se=np.zeros(20),
                prior_log_px=scan.log_px.numpy(),
                prior_se=scan.se.numpy() if known else None,
            )
            for scan in scans
        ]
        assert sum(evidence.lacks_mode.sum() for evidence in wrong) <= 4
