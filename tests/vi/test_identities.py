"""The Fisher information in closed form, and each line of the GP encoder's bound against samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from gpvae_core import ToyGPEncoder, UserError, fisher_information


def test_the_information_of_a_mean_field_gaussian_is_in_closed_form() -> None:
    """Diag(1 / s^2) in the means and 2 in each log s."""
    information = fisher_information("mean-field", mean=(0.3, -1.0), sd=0.7)
    assert information.score_products == pytest.approx(np.diag([1 / 0.49] * 2 + [2.0] * 2), abs=1e-9)
    assert information.largest_difference < 1e-9


@pytest.mark.parametrize("family", ["full", "block:2"])
def test_four_ways_to_the_information_agree(family: str) -> None:
    information = fisher_information(family, mean=(0.3, -1.0, 0.2), sd=0.7)
    assert information.largest_difference < 1e-8
    assert information.kl.shape == (15, 15)
    assert information.kl[:3, :3] == pytest.approx(np.eye(3) / 0.49, abs=1e-9)  # the means have the precision


@pytest.mark.parametrize("bend", [0.0, 0.4])
def test_each_line_of_the_proof_gives_the_same_kl(bend: float) -> None:
    """Eq. 19, 21 and 22 are separate integrals: over w and u, of L, and of z over the marginalised encoder."""
    toy = ToyGPEncoder(bend=bend)
    assert toy.kl == pytest.approx(toy.kl_by_surrogates, abs=1e-9)
    assert toy.kl == pytest.approx(toy.log_evidence - toy.elbos.sum(), abs=1e-8)
    assert toy.kl > 0


def test_the_elbo_is_that_of_samples() -> None:
    toy, rng, n = ToyGPEncoder(bend=0.4), np.random.default_rng(0), 400_000
    w, u = toy.mu + toy.sigma * rng.standard_normal(n), toy.eta + toy.gamma * rng.standard_normal(n)
    kl_to_prior = norm.logpdf(w, toy.mu, toy.sigma) + norm.logpdf(u, toy.eta, toy.gamma)
    kl_to_prior -= norm.logpdf(w) + norm.logpdf(u)
    for x, elbo in zip(toy.x, toy.elbos, strict=True):
        s = toy.c + u * toy.psi
        z = (toy.b + w) * x + s * rng.standard_normal(n)
        log_q = norm.logpdf(z, (toy.b + w) * x, s)
        values = norm.logpdf(x, z + toy.bend * z**2, toy.noise) + norm.logpdf(z) - log_q - kl_to_prior / len(toy.x)
        assert elbo == pytest.approx(values.mean(), abs=4 * values.std() / n**0.5)


def test_the_gaussian_of_eq_13_is_exact_for_a_linear_decoder_alone() -> None:
    linear, bent = ToyGPEncoder(), ToyGPEncoder(bend=0.4, gamma=1.0)
    assert linear.matched_elbos == pytest.approx(linear.elbos, abs=1e-8)
    assert np.abs(bent.matched_elbos - bent.elbos).max() > 1e-4
    z = np.linspace(-8, 8, 4001)
    q = bent.marginalised(0.9, z)
    mean = (q * z).sum() * (z[1] - z[0])
    assert mean == pytest.approx((bent.b + bent.mu) * 0.9)
    variance = (bent.c + bent.eta * bent.psi) ** 2 + (bent.sigma * 0.9) ** 2 + (bent.gamma * bent.psi) ** 2
    assert (q * (z - mean) ** 2).sum() * (z[1] - z[0]) == pytest.approx(variance)


def test_what_the_grid_cannot_hold_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"wanted c above 7 \|psi\|"):
        ToyGPEncoder(psi=0.2)
    with pytest.raises(UserError, match=r"wanted sigma and gamma of at least 0\.1"):
        ToyGPEncoder(sigma=0.01)
    with pytest.raises(UserError, match="wanted 1 to 3 latents, for quadrature, got 4"):
        fisher_information("full", mean=(0.0,) * 4)
    with pytest.raises(UserError, match="wanted a Gaussian family"):
        fisher_information("mixture:2", mean=(0.0,))
