"""The trend's numbers against sums written out, and on the data sets whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from gpvae_core.errors import UserError
from gpvae_core.mapa.trend import SUPPORT, compare, trend
from gpvae_core.vae import GenerativeModel
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 1, 3)


def random_posteriors(seed: int, b: int = 4, n: int = 40, sharpness: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(b, n, generator=generator, dtype=torch.float64)).log_softmax(1)


def test_every_number_is_the_sum_it_stands_for() -> None:
    log_p, log_q = random_posteriors(0), random_posteriors(1)
    found = compare(log_p, log_q)
    for b in range(len(log_p)):
        p, q = log_p[b].exp().tolist(), log_q[b].exp().tolist()
        assert found.kl[b] == pytest.approx(sum(a * math.log(a / c) for a, c in zip(p, q, strict=True)))
        assert found.reverse_kl[b] == pytest.approx(sum(c * math.log(c / a) for a, c in zip(p, q, strict=True)))
        assert found.uniform_kl[b] == pytest.approx(sum(a * math.log(a * len(p)) for a in p))
        assert found.effective_p[b] == pytest.approx(math.exp(-sum(a * math.log(a) for a in p)))
        assert found.effective_q[b] == pytest.approx(math.exp(-sum(c * math.log(c) for c in q)))
        order, held, support = sorted(range(len(p)), key=lambda i: -p[i]), 0.0, []
        for i in order:
            if held < SUPPORT:
                support.append(i)
                held += p[i]
        a, c = log_p[b, support].numpy(), log_q[b, support].numpy()
        assert found.rank[b] == pytest.approx(spearmanr(a, c)[0])
        assert found.linear[b] == pytest.approx(pearsonr(a, c)[0])
        assert found.shift[b] == pytest.approx((c - a).mean())
        assert found.spread[b] == pytest.approx((c - a).std())


def test_a_posterior_against_itself_is_perfect() -> None:
    log_p = random_posteriors(2)
    found = compare(log_p, log_p)
    assert np.allclose(found.kl, 0.0, atol=1e-12)
    assert np.allclose(found.rank, 1.0)
    assert np.allclose(found.linear, 1.0)
    assert np.allclose(found.spread, 0.0)


def test_a_tempered_posterior_keeps_the_ranks_and_has_a_spread() -> None:
    log_p = random_posteriors(3)
    found = compare(log_p, (0.5 * log_p).log_softmax(1))
    assert np.allclose(found.rank, 1.0)
    assert (found.kl > 0.01).all()
    assert (found.spread > 0.1).all()


def test_no_mass_costs_nothing_where_the_truth_has_none_and_everything_where_it_has() -> None:
    log_p = torch.tensor([[math.log(0.5), math.log(0.5), -math.inf]], dtype=torch.float64)
    log_q = torch.tensor([[math.log(0.25), math.log(0.75), -math.inf]], dtype=torch.float64)
    found = compare(log_p, log_q)
    assert found.kl[0] == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    assert math.isnan(found.rank[0]), "two points make no correlation"
    missed = compare(log_q, log_q.flip(1))
    assert (missed.kl[0], missed.shift[0]) == (math.inf, -math.inf)


def test_posteriors_over_other_points_are_refused() -> None:
    with pytest.raises(UserError, match="over the same points"):
        compare(random_posteriors(0), random_posteriors(0, n=39))


def test_the_truth_is_eq_7_and_mapa_eq_8_by_double_loops() -> None:
    of = LinearGaussianVAE.make(1, SHAPE, 0.3, seed=2)
    model, generator = of.vae(), torch.Generator().manual_seed(0)
    codes = torch.randn(12, 1, generator=generator)
    noise = 0.3 * torch.randn(12, 3, generator=generator)
    x_train = (codes @ of.w.T.float() + of.bias.float() + noise).reshape(-1, *SHAPE)
    x, bandwidth = x_train[:3], 0.4
    found = trend(model, codes, x_train, x, bandwidth)
    for b in range(3):
        weights, kernels = [], []
        for i in range(12):
            g = codes[i].double() * of.w[:, 0] + of.bias
            weights.append(math.exp(-0.5 * float((x[b].flatten().double() - g).square().sum()) / 0.3**2))
            apart = float((x[b].flatten().double() - x_train[i].flatten().double()).square().sum())
            kernels.append(math.exp(-0.5 * apart / bandwidth**2))
        p, q = np.array(weights) / sum(weights), np.array(kernels) / sum(kernels)
        assert found.kl[b] == pytest.approx((p * np.log(p / q)).sum(), abs=1e-5)
    with pytest.raises(UserError, match="a code for each of 12"):
        trend(model, codes[:5], x_train, x, bandwidth)


def test_a_generative_model_without_an_encoder_will_do() -> None:
    vae = LinearGaussianVAE.make(1, SHAPE, 0.3).vae()
    model = GenerativeModel(vae.decoder, vae.likelihood, 1, SHAPE)
    codes = torch.linspace(-2, 2, 9)[:, None]
    x = model.decode(codes).detach()
    found = trend(model, codes, x, x, 1e-3)
    assert np.allclose(found.effective_q, 1.0), "at a bandwidth of almost 0 each point is its own neighbour alone"
