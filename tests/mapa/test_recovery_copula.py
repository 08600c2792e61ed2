"""Prior recovery in one dimension: ranks by hand, a known quantile map, p(x) by quadrature before and after."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.copula import gaussian_copula, recover_by_copula
from gpvae_core.mapa.recovery.fitting import encoder_means
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.progress import silent
from gpvae_core.vae import VAE
from tests.mapa.recovery_models import SIGMA, Points, log_mixture, model, noise, points_with_codes

Recovered = tuple[VAE, Points, dict[str, float]]
SETTINGS = RecoverySettings(recovery_epochs=150, recovery_lr=2e-3)


def quantile_map(u: Tensor) -> Tensor:
    """A skewed, increasing h."""
    return torch.nn.functional.softplus(2.0 * u) + 0.1 * u


def test_ranks_by_hand() -> None:
    """Ranks 2.5, 1, 2.5, 5, 4 of 5 points, less one half, over 5."""
    u = norm.ppf(np.array([0.4, 0.1, 0.4, 0.9, 0.7]))
    expected = (u - u.mean()) / u.std()
    np.testing.assert_allclose(gaussian_copula(torch.tensor([1.0, -3.0, 1.0, 70.0, 2.0])).numpy(), expected)


def test_the_recovered_codes_are_standard_normal_whatever_they_were() -> None:
    u = noise(1000, 1)[:, 0]
    z = gaussian_copula(quantile_map(u))
    torch.testing.assert_close(z, gaussian_copula(u.double().exp()))
    assert bool(z.isfinite().all())
    np.testing.assert_allclose([float(z.mean()), float(z.std(correction=0))], [0.0, 1.0], atol=1e-12)
    assert kstest(z.numpy(), "norm").statistic < 0.002
    assert kstest(quantile_map(u).numpy(), "norm").statistic > 0.2


def test_duplicate_codes_share_a_value() -> None:
    z = gaussian_copula(torch.tensor([0.0] * 50 + [1.0] * 50))
    assert z.unique().tolist() == pytest.approx([-1.0, 1.0])


@pytest.mark.parametrize("codes", [[0.3] * 20, [1.0], []])
def test_collapsed_codes_are_refused(codes: list[float]) -> None:
    with pytest.raises(UserError, match=r"codes g\(x_n\) that differ.*collapsed"):
        gaussian_copula(torch.tensor(codes))


def test_codes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="finite codes"):
        gaussian_copula(torch.tensor([0.0, math.nan, 1.0]))


@pytest.fixture(scope="module")
def recovered() -> Recovered:
    vae, points = model(1), points_with_codes(quantile_map(noise(800, 1)))
    return vae, points, recover_by_copula(vae, points, SETTINGS, 0, silent)


@torch.no_grad()
def log_px(decoder: torch.nn.Module, h: bool, x: Tensor) -> Tensor:
    """log p(x) by the trapezium rule over u, of a decoder of u or (with h) of h(u)."""
    u = torch.linspace(-7, 7, 4001)
    centres = decoder((quantile_map(u) if h else u)[:, None]).reshape(len(u), -1)
    log_weights = -0.5 * u.double().square() - 0.5 * math.log(2 * math.pi) + math.log(14 / 4000)
    return log_mixture(x.flatten(1), centres, log_weights, SIGMA)


def test_the_new_decoder_is_the_old_one_at_the_quantile_map(recovered: Recovered) -> None:
    vae, points, actual = recovered
    u = torch.linspace(-1.8, 1.8, 50)[:, None]
    with torch.no_grad():
        off = (vae.decoder(u) - model(1).decoder(quantile_map(u))).flatten(1).norm(dim=1)
    assert float(off.mean()) < SIGMA
    assert actual["mean_error"] < 0.05
    assert actual["decoder_kl"] < 0.2
    requested = gaussian_copula(encoder_means(model(1), points)[:, 0]).float()
    assert float((encoder_means(vae, points)[:, 0] - requested).square().mean().sqrt()) == pytest.approx(
        actual["mean_error"]
    )


def test_p_of_x_stays_what_it_was(recovered: Recovered) -> None:
    """Against the truth, whose u ~ N(0, 1), and against the empiricalized model of eq. 4; fresh points."""
    vae, points, _ = recovered
    fresh = points_with_codes(quantile_map(noise(2000, 1, seed=5))).images
    x = fresh + SIGMA * noise(2000, 2, seed=6).reshape(fresh.shape)
    after, truth = log_px(vae.decoder, False, x), log_px(model(1).decoder, True, x)
    n = len(points)
    empirical = log_mixture(x.flatten(1), points.images.flatten(1), torch.full((n,), -math.log(n)), SIGMA)
    raw = log_px(model(1).decoder, False, x)
    assert float((truth - after).mean()) < 0.03
    assert abs(float((empirical - after).mean())) < 0.03
    assert float((truth - raw).mean()) > 0.5, "without recovery the prior N(0, 1) is not that of the codes"
