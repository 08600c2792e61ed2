"""log p(x) by the mixture proposal against closed forms, and the KL to a known truth against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gpvae_core.data.base import DataConfig, Dataset, load
from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.mapa.density import kl_from_truth, line_density, mixture_density, true_log_px
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.truth import mixture_proposal
from gpvae_core.truth.mixture_proposal import (
    MixtureProposalSettings,
    fit_mixture_proposal,
    mixture_log_px,
    stratified_bound,
)
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import GenerativeModel
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 2, 2)
NET = FullyConnectedConfig(hidden=16, depth=2)
SMALL = MixtureProposalSettings(components=10, samples=50, epochs=30, batch_size=16, lr=5e-3)


def off_mixture(b: int, d: int, components: int = 3) -> GaussianMixture:
    """Something wide that covers the prior and is nobody's posterior."""
    generator = torch.Generator().manual_seed(4)
    log_w = torch.randn(b, components, generator=generator).log_softmax(1)
    return GaussianMixture(
        log_w, 0.5 * torch.randn(b, components, d, generator=generator), torch.ones(b, components, d)
    )


@pytest.mark.parametrize("d", [1, 3])
def test_the_stratified_bound_is_unbiased_for_the_evidence_and_below_its_logarithm(d: int) -> None:
    of = LinearGaussianVAE.make(d, SHAPE, 0.5)
    x, n = of.images(4), 1000
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        actual = torch.stack(
            [stratified_bound(of.vae(), x, off_mixture(4, d), 15, generator) for _ in range(n)]
        ).double()
    expected = of.log_px(x)
    ratio = (actual - expected).exp()
    assert ((ratio.mean(0) - 1.0).abs() < 4 * ratio.std(0) / math.sqrt(n)).all()
    assert (ratio.std(0) / math.sqrt(n) < 0.05).all(), "the test can tell"
    assert (actual.mean(0) < expected).all()


@pytest.mark.parametrize("d", [1, 2])
def test_the_bound_is_the_evidence_of_a_linear_model(d: int) -> None:
    of = LinearGaussianVAE.make(d, SHAPE, 0.2)
    vae, x = of.vae(), of.images(40)
    encoder = fit_mixture_proposal(vae, x, NET, SMALL)
    actual = mixture_log_px(vae, x, encoder, 4000)
    distance = actual.log_px - of.log_px(x)
    assert (distance < 4 * actual.se).all()
    assert float(distance.mean()) == pytest.approx(0.0, abs=0.03)
    assert ((distance / actual.se).square().mean() < 3.0).all(), "the stated standard errors hold"


def test_fitting_makes_better_proposals() -> None:
    of = LinearGaussianVAE.make(2, SHAPE, 0.1)
    vae, x = of.vae(), of.images(40)
    ess = []
    for epochs in (0, 60):
        encoder = fit_mixture_proposal(vae, x, NET, SMALL.model_copy(update={"epochs": epochs, "samples": 10}))
        ess.append(float(mixture_log_px(vae, x, encoder, 2000).ess.mean()))
    assert ess[1] > 1.5 * ess[0]


def test_the_model_stays_as_it_is_and_the_fit_is_seeded() -> None:
    of = LinearGaussianVAE.make(1, SHAPE, 0.2)
    vae, x = of.vae(), of.images(20)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    state = torch.get_rng_state()
    a, b = (fit_mixture_proposal(vae, x, NET, SMALL.model_copy(update={"epochs": 2}), seed=3) for _ in range(2))
    assert all(torch.equal(value, vae.state_dict()[name]) for name, value in before.items())
    assert all(p.grad is None for p in vae.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_a_step_in_parts_is_the_step_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """With so few floats at once every point has its own part; the noise differs, the mean gradient does not."""
    of = LinearGaussianVAE.make(1, SHAPE, 0.5)
    vae, x = of.vae(), of.images(30)
    settings = SMALL.model_copy(update={"epochs": 15, "batch_size": 30, "samples": 50})
    whole = mixture_log_px(vae, x, fit_mixture_proposal(vae, x, NET, settings), 2000)
    monkeypatch.setattr(mixture_proposal, "FLOATS_AT_ONCE", 10)
    encoder = fit_mixture_proposal(vae, x, NET, settings)
    monkeypatch.setattr(mixture_proposal, "FLOATS_AT_ONCE", 4000)
    parts = mixture_log_px(vae, x, encoder, 2000)
    assert float(parts.ess.mean()) == pytest.approx(float(whole.ess.mean()), rel=0.2)
    assert float(parts.log_px.mean()) == pytest.approx(float(whole.log_px.mean()), abs=0.03)


def test_bad_input_of_the_mixture_is_one_line() -> None:
    of = LinearGaussianVAE.make(1, SHAPE, 0.5)
    with pytest.raises(UserError, match="wanted points"):
        fit_mixture_proposal(of.vae(), of.images(1)[:0], NET, SMALL)
    encoder = fit_mixture_proposal(of.vae(), of.images(2), NET, SMALL.model_copy(update={"epochs": 0}))
    with pytest.raises(UserError, match="at least 1 sample"):
        mixture_log_px(of.vae(), of.images(2), encoder, 0)


# -- the KL from a known truth -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def circle() -> Dataset:
    return load(DataConfig(name="circle"))


def truth_of(data: Dataset, sigma: float | None = None) -> GenerativeModel:
    """The true model, or the same with another noise."""
    assert data.truth is not None
    model = ground_truth(data.truth, data.event_shape)
    likelihood = GaussianLikelihood(data.truth.sigma if sigma is None else sigma, learn=False)
    return GenerativeModel(model.decoder, likelihood, 1, data.event_shape)


def test_the_truth_is_at_no_distance_from_itself_and_another_noise_is(circle: Dataset) -> None:
    x = circle.test.pixels()
    true = true_log_px(circle, x)
    assert true is not None
    assert kl_from_truth(true, line_density(truth_for(truth_of(circle)), x).log_px)["mean"] == pytest.approx(
        0.0, abs=1e-9
    )
    for sigma in (0.05, 0.2):
        actual = kl_from_truth(true, line_density(truth_for(truth_of(circle, sigma)), x).log_px)
        assert actual["mean"] is not None
        assert actual["se"] is not None
        assert actual["mean"] > 10 * actual["se"]


def test_the_kl_is_that_of_two_gaussians_in_closed_form() -> None:
    """Linear models with equal W and other noise: KL of N(b, WW' + s^2 I) and N(b, WW' + t^2 I), by sampling x."""
    of, wider = (LinearGaussianVAE.make(1, SHAPE, sigma) for sigma in (0.3, 0.4))
    x = of.images(4000)
    actual = kl_from_truth(line_density(truth_for(of.vae()), x).log_px, line_density(truth_for(wider.vae()), x).log_px)
    first, second = (one.w @ one.w.T + one.sigma_x**2 * torch.eye(4, dtype=torch.float64) for one in (of, wider))
    of_first, of_second = (torch.distributions.MultivariateNormal(of.bias, cov) for cov in (first, second))
    expected = float(torch.distributions.kl_divergence(of_first, of_second))
    assert actual["se"] is not None
    assert actual["mean"] == pytest.approx(expected, abs=4 * actual["se"])
    assert actual["se"] < 0.1 * expected


def test_the_mixture_is_near_quadrature_and_never_above_it(circle: Dataset) -> None:
    x = circle.test.pixels(slice(60))
    exact = line_density(truth_for(truth_of(circle)), x).log_px
    settings = MixtureProposalSettings(components=20, samples=100, epochs=20, lr=5e-3, bound_samples=10_000)
    actual = mixture_density(truth_for(truth_of(circle)), x, NET, settings)
    distance = actual.log_px - exact
    assert actual.ess is not None
    assert (distance < 4 / np.sqrt(actual.ess)).all()
    assert distance.mean() == pytest.approx(0.0, abs=0.02)
    assert actual.summary()["bound"] == "lower"


def test_where_there_is_no_truth_there_is_no_kl() -> None:
    digits = load(DataConfig(name="digits"))
    assert true_log_px(digits, digits.test.pixels(slice(3))) is None
    with pytest.raises(UserError, match="1 latent dimension"):
        line_density(truth_for(LinearGaussianVAE.make(2, SHAPE, 0.3).vae()), torch.zeros(1, *SHAPE))
