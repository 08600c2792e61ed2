"""The bound of eq. 10 against S under the ground-truth model, for each proposal, and its network passes (Fig. 2-5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gpvae_core.inspection.embedding import seeded_sample
from gpvae_core.inspection.gap_lab.scores import value
from gpvae_core.inspection.mapa_lab.curve_views import BoundCurve, BoundView, PassCurve, PassesView
from gpvae_core.inspection.mapa_lab.models import PointModel
from gpvae_core.inspection.mapa_lab.posteriors import log_kernels, sparse_of
from gpvae_core.inspection.mapa_lab.views import MapaSettings
from gpvae_core.inspection.views import Array, Value
from gpvae_core.mapa.batches import RandomBatches
from gpvae_core.mapa.bound import mapa_bound
from gpvae_core.mapa.draws import IndexDraw, draw_dense, draw_sparse, draw_uniform
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import find_neighbours
from gpvae_core.mapa.passes import Passes, iwae_passes, k_from_percent, mapa_passes, max_passes
from gpvae_core.mapa.proposals import MapaProposal
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.progress import Progress, silent

DRAWS = (1, 2, 5, 10, 20, 50, 100, 200)
PASS_DRAWS = (1, 10, 25, 50, 100, 150, 200)
PERCENTS = (10, 90)
POINTS, REPEATS = 100, 10
BATCH, BATCHES = 100, 10
STORED = 1000
"""Number of neighbours stored per point for counting passes; other points of a larger set are drawn uniformly."""

Drawer = Callable[[int, int, torch.Generator], IndexDraw]
"""Function from k, S and a generator to the indices of all points."""


@dataclass(frozen=True)
class Rule:
    """A rule for k as a function of S."""

    words: str
    k: Callable[[int], int]


def rules(k: int) -> tuple[Rule, ...]:
    """Return the rules for k: 10 % and 90 % of S, as in the paper (C.2), and the constant `k`."""
    shares = tuple(
        Rule(f"k = {percent} % of S", lambda s, percent=percent: k_from_percent(s, percent)) for percent in PERCENTS
    )
    return (*shares, Rule(f"k = {k}", lambda s: k))


def _drawers(log_p: Float64[Tensor, "B N"], mapa: SparsePosterior) -> dict[str, Drawer]:
    b, n = log_p.shape
    return {
        "MAPA": lambda k, s, generator: draw_sparse(mapa, k, s, generator),
        "MAPA-GT": lambda k, s, generator: draw_dense(log_p, k, s, generator),
        "MAPA-naive": lambda k, s, generator: draw_uniform(b, n, k, s, generator),
    }


def _bounds(
    log_p: Float64[Tensor, "B N"], draw: Drawer, k: int, s: int, repeats: int, generator: torch.Generator
) -> Array:
    """Return the mean bound of each point over `repeats` draws, (B,), nats."""
    bounds = []
    for _ in range(repeats):
        index = draw(k, s, generator)
        head, tail = log_p.gather(1, index.head), log_p.gather(1, index.tail)
        bounds.append(mapa_bound(head, tail, index.log_q, log_p.shape[1]))
    return torch.stack(bounds).mean(0).numpy()


def bound_view(model: PointModel, points: Array, settings: MapaSettings, progress: Progress = silent) -> BoundView:
    """Return the mean bound over a seeded sample of training points and REPEATS draws for each, against S.

    Standard errors are over the points' means, which vary by the points and by the draws.
    """
    n = len(points)
    x = points[seeded_sample(n, POINTS, settings.seed)]
    log_p = model.log_likelihood(x)
    mapa = sparse_of(log_kernels(points, x, settings.bandwidth))
    exact = (torch.logsumexp(log_p, 1) - math.log(n)).numpy()
    cases = [(name, draw, rule) for name, draw in _drawers(log_p, mapa).items() for rule in rules(settings.k)]
    curves = []
    for number, (name, draw, rule) in enumerate(cases):
        # Common random numbers: every curve starts with the same seed, which reduces the noise of their differences.
        generator = torch.Generator().manual_seed(settings.seed)
        pairs = [(s, rule.k(s)) for s in DRAWS if rule.k(s) < n]
        rows = []
        for j, (s, k) in enumerate(pairs):
            progress(number * len(DRAWS) + j, len(cases) * len(DRAWS), "bounds")
            rows.append(_bounds(log_p, draw, k, s, REPEATS, generator))
        curves.append(_curve(name, rule, pairs, rows, exact))
    progress(1, 1, "bounds")
    return BoundView(tuple(curves), value(exact), value(model.log_px(x)), len(x), REPEATS, settings.bandwidth)


def _curve(name: str, rule: Rule, pairs: list[tuple[int, int]], rows: list[Array], exact: Array) -> BoundCurve:
    return BoundCurve(
        method=name,
        rule=rule.words,
        draws=np.array([s for s, _ in pairs], dtype=np.float64),
        k=np.array([k for _, k in pairs], dtype=np.int64),
        bound=tuple(value(row) for row in rows),
        gap=tuple(value(exact - row) for row in rows),
    )


def passes_view(points: Array, bandwidth: float, seed: int = 0, progress: Progress = silent) -> PassesView:
    """Return the network passes per point of a random batch: measured over BATCHES batches for MAPA, else exact."""
    n = len(points)
    kernel = GaussianKernel(bandwidth)
    table = find_neighbours(torch.from_numpy(points).float(), kernel, min(n, STORED))
    proposal, batching = MapaProposal(table.posterior(kernel)), RandomBatches(n)
    curves = []
    for number, percent in enumerate(PERCENTS):
        measured = []
        for j, s in enumerate(PASS_DRAWS):
            progress(number * len(PASS_DRAWS) + j, len(PERCENTS) * len(PASS_DRAWS), "counting passes")
            if (k := k_from_percent(s, percent)) < n:
                measured.append(mapa_passes(proposal, batching, s, k, n, BATCH, BATCHES, seed))
        curves.append(_pass_curve(f"MAPA, k = {percent} % of S", measured))
    curves.append(_pass_curve("IWAE", [iwae_passes(s) for s in PASS_DRAWS]))
    curves.append(_pass_curve("MAPA max", [max_passes(s, n, BATCH) for s in PASS_DRAWS]))
    progress(1, 1, "counting passes")
    return PassesView(tuple(curves), min(BATCH, n), n, bandwidth)


def _pass_curve(method: str, passes: list[Passes]) -> PassCurve:
    return PassCurve(
        method,
        np.array([p.samples for p in passes], dtype=np.float64),
        tuple(Value(p.decoder) for p in passes),
        tuple(Value(p.both) for p in passes),
    )
