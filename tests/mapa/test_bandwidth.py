"""Index posteriors against a double loop, and what they tend to as the training set grows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa import bandwidth as bandwidth_module
from gpvae_core.mapa import distances, empirical
from gpvae_core.mapa.bandwidth import choose_bandwidth, log_density, mapa
from gpvae_core.mapa.empirical import DecodedCodes, index_posterior
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 4, 4)


def images(n: int, seed: int) -> Tensor:
    return torch.rand(n, 16, generator=torch.Generator().manual_seed(seed))


def gaussian(x: Tensor, centre: Tensor, scale: float) -> float:
    """log N(x; centre, scale^2 I), pixel by pixel in Python."""
    return sum(
        -0.5 * ((float(a) - float(b)) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)
        for a, b in zip(x, centre, strict=True)
    )


@pytest.mark.parametrize("bandwidth", [0.05, 0.4])
def test_mapa_against_a_double_loop(bandwidth: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "TRAIN_CHUNK", 7)
    x_train, x = images(30, 0), images(4, 1)
    expected = np.empty((4, 30))
    for n in range(4):
        k = [gaussian(x[n], x_train[i], bandwidth) for i in range(30)]
        expected[n] = np.array(k) - np.logaddexp.reduce(k)
    np.testing.assert_allclose(mapa(x_train, x, bandwidth).numpy(), expected, atol=5e-3)


def test_a_training_image_is_nearest_to_itself() -> None:
    x_train = images(50, 0)
    assert torch.equal(mapa(x_train, x_train, 0.05).argmax(1), torch.arange(50))


def test_index_posterior_against_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empirical, "decodes_at_once", lambda _: 7)
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.5)
    vae, x = oracle.vae(), oracle.images(3)
    codes = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    expected = np.empty((3, 20))
    for n in range(3):
        p = [gaussian(x[n].flatten(), oracle.w @ z.double() + oracle.bias, 0.5) for z in codes]
        expected[n] = np.array(p) - np.logaddexp.reduce(p)
    np.testing.assert_allclose(index_posterior(vae, codes, x).numpy(), expected, atol=1e-3)


def test_many_codes_from_the_prior_give_the_true_posterior() -> None:
    """sum_i p(i|n) z_i -> E[z|x], for the eq. 6 model as N grows."""
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.7)
    x = oracle.images(3)
    codes = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0))
    p = DecodedCodes.build(oracle.vae(), codes).log_index_posterior(x).exp()
    torch.testing.assert_close(p @ codes.double(), oracle.posterior_mean(x), atol=0.03, rtol=0)


def test_mapa_needs_no_model() -> None:
    """Yacoby et al., 6: MAPA has the trend of the true posterior, from training images and the noise scale alone."""
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.15)
    codes = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = 0.15 * torch.randn(20_000, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x_train = (codes @ oracle.w.T + oracle.bias + noise).float()
    x = oracle.images(5)
    mean = mapa(x_train, x.flatten(1), 0.15).exp() @ codes
    torch.testing.assert_close(mean, oracle.posterior_mean(x), atol=0.35, rtol=0)
    assert float((mean - oracle.posterior_mean(x)).norm()) < 0.25 * float(oracle.posterior_mean(x).norm())


def test_log_density_against_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth_module, "QUERY_CHUNK", 3)
    x_train, x = images(12, 0), images(7, 1)
    actual = log_density(x_train, x, [0.1, 0.6])
    for s, bandwidth in enumerate((0.1, 0.6)):
        for n in range(7):
            k = [gaussian(x[n], x_train[i], bandwidth) for i in range(12)]
            assert float(actual[s, n]) == pytest.approx(np.logaddexp.reduce(k) - math.log(12), abs=5e-3)


def test_the_best_bandwidth_is_chosen() -> None:
    """At the maximum over a continuum s^2 P is the mean of E_q |x - x_i|^2; and no coarser or finer one is better."""
    x_train, x = images(200, 0), images(60, 1)
    chosen = choose_bandwidth(x_train, x)
    scores = log_density(x_train, x, [chosen / 1.15, chosen, chosen * 1.15]).mean(1)
    assert int(scores.argmax()) == 1
    q = mapa(x_train, x, chosen).exp()
    square = torch.cdist(x.double(), x_train.double()).square()
    assert chosen**2 == pytest.approx(float((q * square).sum(1).mean()) / 16, rel=0.2)
    grid = [0.05 * 1.3**i for i in range(16)]
    best = max(grid, key=lambda s: float(log_density(x_train, x, [s]).mean()))
    assert choose_bandwidth(x_train, x, grid) == best


def test_a_copied_validation_split_still_gives_a_bandwidth() -> None:
    x = images(20, 0)
    assert choose_bandwidth(x, x) > 0


def test_reports_progress() -> None:
    calls: list[tuple[int, int]] = []
    choose_bandwidth(images(20, 0), images(30, 1), [0.2], lambda done, total, what: calls.append((done, total)))
    assert calls[-1] == (30, 30)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_bandwidth_must_be_positive(bandwidth: float) -> None:
    with pytest.raises(UserError, match="bandwidth above 0"):
        mapa(images(3, 0), images(1, 1), bandwidth)
    with pytest.raises(UserError, match="bandwidth above 0"):
        choose_bandwidth(images(3, 0), images(1, 1), [0.1, bandwidth])


def test_bad_input_is_named() -> None:
    with pytest.raises(UserError, match="16 pixels"):
        mapa(images(3, 0), images(1, 1)[:, :9], 0.1)
    with pytest.raises(UserError, match="training images"):
        mapa(images(0, 0), images(1, 1), 0.1)
    with pytest.raises(UserError, match="validation images"):
        choose_bandwidth(images(3, 0), images(0, 1))
    with pytest.raises(UserError, match="at least one bandwidth"):
        choose_bandwidth(images(3, 0), images(2, 1), [])
    with pytest.raises(UserError, match=r"\(N, 2\)"):
        DecodedCodes.build(LinearGaussianVAE.make(2, SHAPE, 0.5).vae(), torch.zeros(4, 3))
