"""Prior recovery by a flow: known densities recovered, beside kernel density; codes that are no good."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.fitting import FitSettings, encoder_means
from gpvae_core.mapa.recovery.flow import compare, fit_flow, mean_log_density, recover_by_flow
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.priors.flow import SplineFlow
from gpvae_core.priors.pushforward import Pushforward
from gpvae_core.progress import silent
from tests.mapa.recovery_models import log_mixture, model, noise, points_with_codes

CENTRES = torch.tensor([[4.0, 1.0], [6.0, 2.0]])
SPREAD = 0.3


def flow(d: int) -> SplineFlow:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SplineFlow(d, 4, 8, 32)


def two_clusters(n: int, seed: int) -> Tensor:
    which = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    return CENTRES[which.long()] + SPREAD * noise(n, 2, seed + 1)


def log_two_clusters(z: Tensor) -> Tensor:
    return log_mixture(z, CENTRES, torch.full((2,), math.log(0.5)), SPREAD)


def ring(n: int, seed: int) -> Tensor:
    angle = 2 * math.pi * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed))
    return torch.cat([angle.cos(), angle.sin()], 1) * (1 + 0.1 * noise(n, 1, seed + 1))


def fit(epochs: int = 30, lr: float = 5e-3) -> FitSettings:
    return FitSettings(epochs, 200, lr, 0, "a test")


def test_it_recovers_a_known_mixture() -> None:
    h, codes = flow(2), two_clusters(1500, 0)
    actual = fit_flow(h, codes, fit(), silent)
    fresh = two_clusters(4000, 9)
    truth = float(log_two_clusters(fresh).mean())
    assert -0.02 < truth - mean_log_density(h, fresh) < 0.12
    assert actual["flow"] > actual["kernel_density"] - 0.1
    assert actual["kernel_density"] > actual["one_gaussian"] + 0.2
    assert actual["one_gaussian"] > actual["normal"] + 5
    with torch.no_grad():
        z = h(noise(4000, 2, 3))
    near = torch.cdist(z, CENTRES).argmin(1)
    assert float(near.double().mean()) == pytest.approx(0.5, abs=0.06)
    assert float((torch.cdist(z, CENTRES).amin(1) > 4 * SPREAD).double().mean()) < 0.06


def test_it_is_no_worse_than_a_kernel_density_on_a_ring() -> None:
    actual = fit_flow(flow(2), ring(1500, 0), fit(), silent)
    assert actual["flow"] > actual["kernel_density"] - 0.1
    assert actual["flow"] > actual["one_gaussian"] + 0.3


def test_one_dimension_too() -> None:
    z = torch.cat([noise(600, 1) * 0.2 - 2, noise(600, 1, 1) * 0.2 + 1])
    actual = fit_flow(flow(1), z, fit(80), silent)
    assert actual["flow"] > actual["kernel_density"] - 0.05


def test_what_it_is_compared_with_against_direct_sums() -> None:
    """One Gaussian and N(0, I) by torch's densities; the kernel density at its own width by a sum over the codes."""
    h, codes = flow(2), two_clusters(320, 0)
    fitted, held = codes[:300].double(), codes[300:].double()
    actual = compare(h, codes[:300], codes[300:])
    mean, covariance = fitted.mean(0), fitted.T.cov(correction=0)
    gaussian = MultivariateNormal(mean, covariance)
    assert actual["one_gaussian"] == pytest.approx(float(gaussian.log_prob(held).mean()), abs=1e-4)
    standard = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    assert actual["normal"] == pytest.approx(float(standard.log_prob(held).mean()), abs=1e-6)
    width = actual["kernel_width"]
    kernels = MultivariateNormal(fitted[:, None], width**2 * covariance)
    log_kernels = torch.stack([kernels.log_prob(x[None, None])[:, 0] for x in held])
    direct = torch.logsumexp(log_kernels, 1).mean() - math.log(300)
    assert actual["kernel_density"] == pytest.approx(float(direct), abs=1e-3)
    assert actual["held_codes"] == 20


def test_codes_on_a_line_and_equal_ones_have_a_finite_answer() -> None:
    line = torch.cat([noise(100, 1), noise(100, 1)], 1).repeat(2, 1)
    h = flow(2)
    actual = fit_flow(h, line, fit(5), silent)
    assert all(math.isfinite(value) for value in actual.values())
    z = h(noise(500, 2, 1)).detach()
    assert float((z[:, 0] - z[:, 1]).abs().mean()) < 0.1


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(50, 2) + 0.3, "collapsed"),
        (noise(9, 2), "at least 10 finite codes, got 9, 9 of them finite"),
        (torch.full((50, 2), math.nan), "got 50, 0 of them finite"),
    ],
)
def test_codes_that_are_no_good_are_refused(codes: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit_flow(flow(2), codes, fit(1), silent)


def test_ten_codes_are_enough() -> None:
    actual = fit_flow(flow(2), noise(10, 2), fit(2), silent)
    assert actual["held_codes"] == 1
    assert math.isfinite(actual["flow"])


def test_the_model_keeps_its_decoder_and_its_reconstructions() -> None:
    vae, points = model(2, flow=True), points_with_codes(CENTRES[0] - 3.0 + 0.8 * noise(600, 2))
    assert isinstance(vae.decoder, Pushforward)
    before = {name: value.clone() for name, value in vae.decoder.f.state_dict().items()}
    codes = encoder_means(vae, points)
    actual = recover_by_flow(vae, points, RecoverySettings(recovery_epochs=80, recovery_lr=3e-3), 0, silent)
    assert all(torch.equal(before[name], value) for name, value in vae.decoder.f.state_dict().items())
    with torch.no_grad():
        u = encoder_means(vae, points)
        back = vae.decoder.h(u)
    np.testing.assert_allclose(u.mean(0).numpy(), 0.0, atol=0.15)
    np.testing.assert_allclose(u.std(0).numpy(), 1.0, atol=0.15)
    assert actual["mean_error"] < 0.2
    assert float((back - codes).square().mean().sqrt()) < 0.2
