"""The trend's numbers against sums written out, and on the data sets whose truth is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.mapa.trend import SUPPORT, compare, log_index_likelihood, trend
from gpvae_core.mapa.trend_table import SyntheticDraw, TrendRow, evidence_gap, trend_table
from gpvae_core.truth.line import Line
from gpvae_core.vae import GenerativeModel
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 1, 3)


def random_posteriors(seed: int, b: int = 4, n: int = 40, sharpness: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(b, n, generator=generator, dtype=torch.float64)).log_softmax(1)


def test_every_number_is_the_sum_it_stands_for() -> None:
    log_p, log_q = random_posteriors(0), random_posteriors(1)
    actual = compare(log_p, log_q)
    for b in range(len(log_p)):
        p, q = log_p[b].exp().tolist(), log_q[b].exp().tolist()
        assert actual.kl[b] == pytest.approx(sum(a * math.log(a / c) for a, c in zip(p, q, strict=True)))
        assert actual.reverse_kl[b] == pytest.approx(sum(c * math.log(c / a) for a, c in zip(p, q, strict=True)))
        assert actual.uniform_kl[b] == pytest.approx(sum(a * math.log(a * len(p)) for a in p))
        assert actual.effective_p[b] == pytest.approx(math.exp(-sum(a * math.log(a) for a in p)))
        assert actual.effective_q[b] == pytest.approx(math.exp(-sum(c * math.log(c) for c in q)))
        order, held, support = sorted(range(len(p)), key=lambda i: -p[i]), 0.0, []
        for i in order:
            if held < SUPPORT:
                support.append(i)
                held += p[i]
        a, c = log_p[b, support].numpy(), log_q[b, support].numpy()
        assert actual.rank[b] == pytest.approx(spearmanr(a, c)[0])
        assert actual.linear[b] == pytest.approx(pearsonr(a, c)[0])
        assert actual.rank_of_all[b] == pytest.approx(spearmanr(log_p[b].numpy(), log_q[b].numpy())[0])
        assert actual.shift[b] == pytest.approx((c - a).mean())
        assert actual.spread[b] == pytest.approx((c - a).std())


def test_a_posterior_against_itself_is_perfect() -> None:
    log_p = random_posteriors(2)
    actual = compare(log_p, log_p)
    assert np.allclose(actual.kl, 0.0, atol=1e-12)
    assert np.allclose(actual.rank, 1.0)
    assert np.allclose(actual.linear, 1.0)
    assert np.allclose(actual.spread, 0.0)


def test_a_tempered_posterior_keeps_the_ranks_and_has_a_spread() -> None:
    log_p = random_posteriors(3)
    actual = compare(log_p, (0.5 * log_p).log_softmax(1))
    assert np.allclose(actual.rank, 1.0)
    assert (actual.kl > 0.01).all()
    assert (actual.spread > 0.1).all()


def test_no_mass_costs_nothing_where_the_truth_has_none_and_everything_where_it_has() -> None:
    log_p = torch.tensor([[math.log(0.5), math.log(0.5), -math.inf]], dtype=torch.float64)
    log_q = torch.tensor([[math.log(0.25), math.log(0.75), -math.inf]], dtype=torch.float64)
    actual = compare(log_p, log_q)
    assert actual.kl[0] == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    assert math.isnan(actual.rank[0]), "two points make no correlation"
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
    actual = trend(model, codes, x_train, x, bandwidth)
    for b in range(3):
        weights, kernels = [], []
        for i in range(12):
            g = codes[i].double() * of.w[:, 0] + of.bias
            weights.append(math.exp(-0.5 * float((x[b].flatten().double() - g).square().sum()) / 0.3**2))
            distance = float((x[b].flatten().double() - x_train[i].flatten().double()).square().sum())
            kernels.append(math.exp(-0.5 * distance / bandwidth**2))
        p, q = np.array(weights) / sum(weights), np.array(kernels) / sum(kernels)
        assert actual.kl[b] == pytest.approx((p * np.log(p / q)).sum(), abs=1e-5)
    with pytest.raises(UserError, match="a code for each of 12"):
        trend(model, codes[:5], x_train, x, bandwidth)


def test_a_generative_model_without_an_encoder_will_do() -> None:
    vae = LinearGaussianVAE.make(1, SHAPE, 0.3).vae()
    model = GenerativeModel(vae.decoder, vae.likelihood, 1, SHAPE)
    codes = torch.linspace(-2, 2, 9)[:, None]
    x = model.decode(codes).detach()
    actual = trend(model, codes, x, x, 1e-3)
    assert np.allclose(actual.effective_q, 1.0), "at a bandwidth of almost 0 each point is its own neighbour alone"


@pytest.fixture(scope="module")
def rows() -> list[TrendRow]:
    return trend_table(["circle", "circle-fold"], [50, 200], ["sigma_x", "best", "0.5"], draws=(0, 1))


def test_mapa_beats_knowing_nothing_and_more_points_make_the_empirical_posterior_the_continuous_one(
    rows: list[TrendRow],
) -> None:
    of = {(row.dataset, row.n, row.bandwidth): row for row in rows}
    assert len(rows) == 2 * 2 * 3
    for name, n in product(["circle", "circle-fold"], [50, 200]):
        row = of[name, n, "sigma_x"]
        assert row.width == row.sigma
        assert row.captured is not None
        assert row.captured > 0.3
        assert (of[name, n, "best"].kl["mean"] or 0.0) < (row.kl["mean"] or 0.0)
        assert (of[name, n, "0.5"].kl["mean"] or 0.0) > (of[name, n, "best"].kl["mean"] or 0.0)
        assert row.kl["n"] == 2  # draws
        gaps = [of[name, size, "sigma_x"].evidence_rms or 0.0 for size in (50, 200)]
        assert gaps[1] < 0.75 * gaps[0], "it falls as 1 / sqrt(N)"


def test_the_error_of_the_evidence_gap_is_over_draws(rows: list[TrendRow]) -> None:
    """The points of a draw share its codes, so that they move together."""
    row = next(row for row in rows if (row.dataset, row.n, row.bandwidth) == ("circle", 50, "sigma_x"))
    means = []
    for seed in (0, 1):
        known = SyntheticDraw.from_dataset(load(DataConfig(name="circle", split_seed=seed)), 50)
        means.append(float(evidence_gap(known.model, known.codes, known.x_train).mean()))
    assert row.evidence_gap is not None
    assert row.evidence_gap["mean"] == pytest.approx(np.mean(means), abs=1e-6)
    assert row.evidence_gap["se"] == pytest.approx(np.std(means, ddof=1) / math.sqrt(2), abs=1e-6)
    assert row.evidence_gap["n"] == row.draws == 2


def test_mapa_does_not_know_which_of_two_decoders_made_the_points(rows: list[TrendRow]) -> None:
    """The points of circle and circle-fold are the same, and so is q; the two truths are almost the same."""
    of = {(row.dataset, row.n, row.bandwidth): row for row in rows}
    one, two = of["circle", 200, "sigma_x"], of["circle-fold", 200, "sigma_x"]
    assert one.effective_q == pytest.approx(two.effective_q)
    assert one.kl["mean"] == pytest.approx(two.kl["mean"], rel=0.1)


def test_the_evidence_gap_is_red_against_black() -> None:
    """log(N p(i|x)) - log(p(z_i|x) / p(z_i)) is that number whatever the i."""
    known = SyntheticDraw.from_dataset(load(DataConfig(name="figure-8")), 60)
    x = known.x_train[:4]
    red = torch.log_softmax(log_index_likelihood(known.model, known.codes, x), 1) + math.log(60)
    z, log_posterior = Line.build(known.model).posterior(x)
    log_ratio = log_posterior - known.model.log_prior(z[:, None])
    gap = evidence_gap(known.model, known.codes, x)
    for b in range(4):
        black = np.interp(known.codes[:, 0].numpy(), z.numpy(), log_ratio[b].numpy())
        near = red[b].numpy() > red[b].max().item() - 5.0
        assert np.allclose(black[near] - red[b].numpy()[near], gap[b], atol=2e-3)


def test_bad_input_of_the_table_is_one_line() -> None:
    for expected, given in [
        ("did you mean 'figure-8'", {"datasets": ["figure8"]}),
        ("is not known", {"datasets": ["digits"], "sizes": [10]}),
        ("2 to 1000 training points", {"datasets": ["figure-8"], "sizes": [1001]}),
        ("unknown bandwidth", {"datasets": ["figure-8"], "widths": ["sigmax"]}),
        ("above 0", {"datasets": ["figure-8"], "widths": ["0"]}),
        ("did you mean 'test'", {"datasets": ["figure-8"], "points": "tests"}),
    ]:
        with pytest.raises(UserError, match=expected):
            trend_table(**given)
