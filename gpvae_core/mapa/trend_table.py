"""The trend of D.3 over data sets, draws, sample sizes and bandwidths, as rows of a table."""

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
from gpvae_core.errors import UserError, unknown
from gpvae_core.mapa.bandwidth import choose_bandwidth, mapa
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.mapa.trend import Trend, joined, kl, log_index_likelihood, trend
from gpvae_core.part import parse_model
from gpvae_core.progress import Progress, silent
from gpvae_core.stats import MeanSE, mean_se
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import GenerativeModel

POINTS = ("training", "test")
RATIO, AROUND, SOUGHT_ON = 1.1, 16, 128
"""'best' is sought among bandwidths of this ratio, so many on either side of sigma, on so many points evenly spaced."""


@dataclass(frozen=True)
class TrendRow:
    """MAPA with one bandwidth against the true index posterior: means over the points of all draws, nats."""

    dataset: str
    n: int
    """Training points, N."""
    points: str
    """The points x whose posteriors are compared: 'training' (each is among the indices) or 'test'."""
    bandwidth: str
    """How the bandwidth was chosen."""
    width: float
    """The bandwidth, mean over the draws, in the units of x."""
    sigma: float
    """Standard deviation of the noise."""
    draws: int
    kl: MeanSE
    """KL(p || q)."""
    reverse_kl: MeanSE
    """KL(q || p)."""
    uniform_kl: MeanSE
    """KL(p || uniform)."""
    rank: MeanSE
    """Spearman's correlation over the support."""
    linear: MeanSE
    """Pearson's."""
    rank_of_all: MeanSE
    """Spearman's over all indices."""
    shift: MeanSE
    spread: MeanSE
    effective_p: float
    """Median of exp(H(p))."""
    effective_q: float
    evidence_gap: MeanSE | None
    """log 1/N sum_i p(x|z_i) - log p(x): red against black; None at d > 1."""
    evidence_rms: float | None
    """Root mean square of the evidence gap."""

    @property
    def captured(self) -> float | None:
        """1 - KL(p || q) / KL(p || uniform): 1 is the truth, 0 no better than knowing nothing."""
        kl, uniform = self.kl["mean"], self.uniform_kl["mean"]
        return None if kl is None or not uniform else 1.0 - kl / uniform


@dataclass(frozen=True)
class DrawOfKnownTruth:
    """A draw with known truth, cut to its first N training points."""

    model: GenerativeModel
    codes: Tensor
    x_train: Tensor
    validation: Tensor
    test: Tensor
    sigma: float

    @staticmethod
    def of(data: Dataset, n: int) -> DrawOfKnownTruth:
        """Raises UserError where the truth is not known, or there are fewer than `n` training points."""
        if data.truth is None:
            raise UserError(f"the model behind '{data.name}' is not known: wanted synthetic points such as figure-8")
        if not 2 <= n <= len(data.train):
            raise UserError(f"wanted 2 to {len(data.train)} training points of '{data.name}', got {n}")
        first = slice(n)
        codes = torch.from_numpy(data.truth.train[first]).float()
        model = ground_truth(data.truth, data.event_shape)
        parts = (data.train.pixels(first), data.validation.pixels(), data.test.pixels())
        return DrawOfKnownTruth(model, codes, *parts, data.truth.sigma)


def _best_width(known: DrawOfKnownTruth, x: Tensor) -> float:
    """Return the bandwidth with the least mean KL(p || q): what could be had by one who knows the truth."""
    some = x[:: max(1, -(-len(x) // SOUGHT_ON))]
    log_p = torch.log_softmax(log_index_likelihood(known.model, known.codes, some), dim=1)
    points = known.x_train.flatten(1), some.flatten(1)
    widths = [known.sigma * RATIO**step for step in range(-AROUND, AROUND + 1)]
    return min(widths, key=lambda width: float(kl(log_p, mapa(*points, width)).mean()))


def _validation_width(known: DrawOfKnownTruth, x: Tensor) -> float:
    return choose_bandwidth(known.x_train.flatten(1), known.validation.flatten(1))


WIDTHS: dict[str, Callable[[DrawOfKnownTruth, Tensor], float]] = {
    "sigma_x": lambda known, x: known.sigma,
    "validation": _validation_width,
    "best": _best_width,
}
"""Ways to a bandwidth: the noise's, the best on validation points, and (with the truth) the best there is."""


def parse_width(text: str) -> Callable[[DrawOfKnownTruth, Tensor], float]:
    """Return a name of WIDTHS, or a number. Raises UserError on anything else, and on one that is not positive."""
    if text in WIDTHS:
        return WIDTHS[text]
    try:
        width = float(text)
    except ValueError:
        raise unknown("bandwidth (or wanted a number)", text, WIDTHS) from None
    if not (width > 0 and math.isfinite(width)):
        raise UserError(f"wanted a bandwidth above 0 in the units of x, got {text}")
    return partial(_given, width)


def _given(width: float, known: DrawOfKnownTruth, x: Tensor) -> float:
    return width


def known_sets() -> list[str]:
    """Return the data sets whose points are synthetic, by name."""
    return [name for name in DATASETS.summaries() if not DATASETS.get(name).is_images]


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
        UserError: unknown names (with the nearest right ones), data of unknown truth, sizes or bandwidths that cannot
            be.
    """
    if points not in POINTS:
        raise unknown("points", points, POINTS)
    rules = {name: parse_width(name) for name in widths}
    for name in datasets:
        DATASETS.get(name.partition(":")[0])
    cells = list(product(datasets, sizes))
    rows: list[TrendRow] = []
    for number, (name, n) in enumerate(cells, 1):
        of_draws = [
            DrawOfKnownTruth.of(load(parse_model(DataConfig, {"name": name, "split_seed": s})), n) for s in draws
        ]
        evidence = _evidence_gaps(of_draws, points)
        rows += [_row(name, n, points, of_draws, width, rule, evidence) for width, rule in rules.items()]
        progress(number, len(cells), "comparing index posteriors")
    return rows


def _asked(known: DrawOfKnownTruth, points: str) -> Tensor:
    return {"training": known.x_train, "test": known.test}[points]


def _evidence_gaps(of_draws: Sequence[DrawOfKnownTruth], points: str) -> np.ndarray | None:
    if any(known.model.latent_dim != 1 for known in of_draws):
        return None
    return np.concatenate([evidence_gap(known.model, known.codes, _asked(known, points)) for known in of_draws])


@torch.no_grad()
def evidence_gap(model: GenerativeModel, codes: Tensor, x: Tensor) -> np.ndarray:
    """Return log 1/N sum_i p(x|z_i) - log p(x) in nats of each x, (B,); d = 1."""
    log_p = torch.logsumexp(log_index_likelihood(model, codes, x), 1) - math.log(len(codes))
    return log_p.numpy() - truth_for(model).log_px(x).log_px


def _over_draws(of_draws: Sequence[np.ndarray]) -> MeanSE:
    """The mean with its error over draws, as the points of one share their training points; of one, over its points."""
    if len(of_draws) == 1:
        return mean_se(of_draws[0])
    return mean_se([entry["mean"] for entry in map(mean_se, of_draws) if entry["mean"] is not None])


def _row(
    name: str,
    n: int,
    points: str,
    of_draws: Sequence[DrawOfKnownTruth],
    width: str,
    way: Callable[[DrawOfKnownTruth, Tensor], float],
    evidence: np.ndarray | None,
) -> TrendRow:
    found: list[Trend] = []
    chosen: list[float] = []
    for known in of_draws:
        x = _asked(known, points)
        chosen.append(way(known, x))
        found.append(trend(known.model, known.codes, known.x_train, x, chosen[-1]))
    all_points = joined(found)
    return TrendRow(
        dataset=name,
        n=n,
        points=points,
        bandwidth=width,
        width=float(np.mean(chosen)),
        sigma=of_draws[0].sigma,
        draws=len(of_draws),
        kl=_over_draws([one.kl for one in found]),
        reverse_kl=_over_draws([one.reverse_kl for one in found]),
        uniform_kl=_over_draws([one.uniform_kl for one in found]),
        rank=_over_draws([one.rank for one in found]),
        linear=_over_draws([one.linear for one in found]),
        rank_of_all=_over_draws([one.rank_of_all for one in found]),
        shift=_over_draws([one.shift for one in found]),
        spread=_over_draws([one.spread for one in found]),
        effective_p=float(np.median(all_points.effective_p)),
        effective_q=float(np.median(all_points.effective_q)),
        evidence_gap=None if evidence is None else mean_se(evidence),
        evidence_rms=None if evidence is None else float(np.sqrt(np.mean(evidence**2))),
    )
