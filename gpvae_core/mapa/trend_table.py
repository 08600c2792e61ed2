"""Agreement of MAPA with the true index posterior over data sets, draws, sample sizes and bandwidths (D.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from torch import Tensor

from gpvae_core.data.base import DATASETS, DataConfig, Dataset, load
from gpvae_core.errors import UserError, clipped, unknown
from gpvae_core.mapa.bandwidth import choose_bandwidth, mapa
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.mapa.ranges import BANDWIDTH_RANGE, is_bandwidth
from gpvae_core.mapa.trend import Trend, concatenated, kl, log_index_likelihood, trend
from gpvae_core.parsing import real_number
from gpvae_core.part import parse_model
from gpvae_core.progress import Progress, silent
from gpvae_core.stats import MeanSE, mean_se
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import GenerativeModel

POINTS = ("training", "test")
RATIO, AROUND, SOUGHT_ON = 1.1, 16, 128
"""Grid for the bandwidth 'best': ratio of neighbouring values, their number on either side of sigma, and the largest
number of points, evenly spaced, at which they are compared."""


@dataclass(frozen=True)
class TrendRow:
    """Agreement of MAPA at one bandwidth with the true index posterior: means over the points of all draws, nats."""

    dataset: str
    n: int
    """Number of training points, N."""
    points: str
    """The points x whose posteriors are compared: 'training' (each is among the indices) or 'test'."""
    bandwidth: str
    """Rule by which the bandwidth was chosen."""
    width: float
    """The bandwidth, mean over the draws, in the units of x."""
    sigma: float
    """Standard deviation of the noise."""
    draws: int
    """Number of draws of the data set."""
    kl: MeanSE
    """KL(p || q)."""
    reverse_kl: MeanSE
    """KL(q || p)."""
    uniform_kl: MeanSE
    """KL(p || uniform)."""
    rank: MeanSE
    """Spearman's correlation over the support."""
    linear: MeanSE
    """Pearson's correlation over the support."""
    rank_of_all: MeanSE
    """Spearman's correlation over all indices."""
    shift: MeanSE
    spread: MeanSE
    effective_p: float
    """Median of exp(H(p))."""
    effective_q: float
    evidence_gap: MeanSE | None
    """log 1/N sum_i p(x|z_i) - log p(x); None at d > 1."""
    evidence_rms: float | None
    """Root mean square of the evidence gap."""

    @property
    def captured(self) -> float | None:
        """1 - KL(p || q) / KL(p || uniform): 1 if q equals p, 0 if q is no better than the uniform."""
        kl, uniform = self.kl["mean"], self.uniform_kl["mean"]
        return None if kl is None or not uniform else 1.0 - kl / uniform


@dataclass(frozen=True)
class SyntheticDraw:
    """A synthetic data set with its generating model, restricted to its first N training points."""

    model: GenerativeModel
    codes: Tensor
    x_train: Tensor
    validation: Tensor
    test: Tensor
    sigma: float

    @staticmethod
    def from_dataset(data: Dataset, n: int) -> SyntheticDraw:
        """Return the draw; raise UserError if its model is unknown or it has fewer than `n` training points."""
        if data.truth is None:
            raise UserError(f"the model behind '{data.name}' is not known: wanted synthetic points such as figure-8")
        if not 2 <= n <= len(data.train):
            raise UserError(f"wanted 2 to {len(data.train)} training points of '{data.name}', got {n}")
        first = slice(n)
        codes = torch.from_numpy(data.truth.train[first]).float()
        model = ground_truth(data.truth, data.event_shape)
        parts = (data.train.pixels(first), data.validation.pixels(), data.test.pixels())
        return SyntheticDraw(model, codes, *parts, data.truth.sigma)


def _best_width(draw: SyntheticDraw, x: Tensor) -> float:
    """Return the bandwidth with the smallest mean KL(p || q), which requires the true posterior p."""
    sample = x[:: max(1, -(-len(x) // SOUGHT_ON))]
    log_p = torch.log_softmax(log_index_likelihood(draw.model, draw.codes, sample), dim=1)
    points = draw.x_train.flatten(1), sample.flatten(1)
    widths = [draw.sigma * RATIO**step for step in range(-AROUND, AROUND + 1)]
    return min(widths, key=lambda width: float(kl(log_p, mapa(*points, width)).mean()))


def _validation_width(draw: SyntheticDraw, x: Tensor) -> float:
    return choose_bandwidth(draw.x_train.flatten(1), draw.validation.flatten(1))


WidthRule = Callable[[SyntheticDraw, Tensor], float]
"""Function from a draw and its compared points to a bandwidth."""
WIDTHS: dict[str, WidthRule] = {
    "sigma_x": lambda draw, x: draw.sigma,
    "validation": _validation_width,
    "best": _best_width,
}
"""Rules for the bandwidth: the noise's standard deviation, the highest validation likelihood, and the smallest KL."""


def parse_width(text: str) -> WidthRule:
    """Return the rule of this name in WIDTHS, or one for a fixed number. Raises UserError on any other text."""
    if text in WIDTHS:
        return WIDTHS[text]
    width = real_number(text)
    if width is None:
        raise unknown("bandwidth (or wanted a number)", text, WIDTHS)
    if not is_bandwidth(width):
        raise UserError(f"wanted a bandwidth above 0 in the units of x, {BANDWIDTH_RANGE}, got {clipped(text)}")
    return partial(_constant, width)


def _constant(width: float, draw: SyntheticDraw, x: Tensor) -> float:
    return width


def trend_table(
    datasets: Sequence[str],
    sizes: Sequence[int] = (1000,),
    widths: Sequence[str] = tuple(WIDTHS),
    points: str = "training",
    draws: Sequence[int] = (0,),
    progress: Progress = silent,
) -> list[TrendRow]:
    """Return a row for each data set, size and bandwidth.

    Raises:
        UserError: a name is unknown (the message suggests the closest one), the model of a data set is unknown, or a
            size or bandwidth is out of range.
    """
    if points not in POINTS:
        raise unknown("points", points, POINTS)
    rules = {name: parse_width(name) for name in widths}
    for name in datasets:
        DATASETS.get(name.partition(":")[0])
    cells = list(product(datasets, sizes))
    rows: list[TrendRow] = []
    for number, (name, n) in enumerate(cells, 1):
        synthetic = [
            SyntheticDraw.from_dataset(load(parse_model(DataConfig, {"name": name, "split_seed": s})), n) for s in draws
        ]
        evidence = _evidence_gaps(synthetic, points)
        rows += [_row(name, n, points, synthetic, width, rule, evidence) for width, rule in rules.items()]
        progress(number, len(cells), "comparing index posteriors")
    return rows


def _points(draw: SyntheticDraw, name: str) -> Tensor:
    return {"training": draw.x_train, "test": draw.test}[name]


def _evidence_gaps(draws: Sequence[SyntheticDraw], points: str) -> list[np.ndarray] | None:
    """Return the evidence gaps of the points of each draw; None at d > 1."""
    if any(draw.model.latent_dim != 1 for draw in draws):
        return None
    return [evidence_gap(draw.model, draw.codes, _points(draw, points)) for draw in draws]


@torch.no_grad()
def evidence_gap(model: GenerativeModel, codes: Tensor, x: Tensor) -> np.ndarray:
    """Return log 1/N sum_i p(x|z_i) - log p(x) of each x, (B,), in nats; d = 1."""
    log_p = torch.logsumexp(log_index_likelihood(model, codes, x), 1) - math.log(len(codes))
    return log_p.numpy() - truth_for(model).log_px(x).log_px


def _over_draws(values: Sequence[np.ndarray]) -> MeanSE:
    """Return the mean with its standard error over draws; for one draw, the standard error over its points."""
    # The points of one draw share their training points, and are therefore not independent.
    if len(values) == 1:
        return mean_se(values[0])
    return mean_se([entry["mean"] for entry in map(mean_se, values) if entry["mean"] is not None])


def _row(
    name: str,
    n: int,
    points: str,
    draws: Sequence[SyntheticDraw],
    width: str,
    rule: WidthRule,
    evidence: Sequence[np.ndarray] | None,
) -> TrendRow:
    trends: list[Trend] = []
    widths: list[float] = []
    for draw in draws:
        x = _points(draw, points)
        widths.append(rule(draw, x))
        trends.append(trend(draw.model, draw.codes, draw.x_train, x, widths[-1]))
    all_points = concatenated(trends)
    return TrendRow(
        dataset=name,
        n=n,
        points=points,
        bandwidth=width,
        width=float(np.mean(widths)),
        sigma=draws[0].sigma,
        draws=len(draws),
        kl=_over_draws([t.kl for t in trends]),
        reverse_kl=_over_draws([t.reverse_kl for t in trends]),
        uniform_kl=_over_draws([t.uniform_kl for t in trends]),
        rank=_over_draws([t.rank for t in trends]),
        linear=_over_draws([t.linear for t in trends]),
        rank_of_all=_over_draws([t.rank_of_all for t in trends]),
        shift=_over_draws([t.shift for t in trends]),
        spread=_over_draws([t.spread for t in trends]),
        effective_p=float(np.median(all_points.effective_p)),
        effective_q=float(np.median(all_points.effective_q)),
        evidence_gap=None if evidence is None else _over_draws(evidence),
        evidence_rms=None if evidence is None else float(np.sqrt(np.mean(np.concatenate(evidence) ** 2))),
    )
