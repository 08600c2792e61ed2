"""MAPA of one point over the training points, and its comparison with a model's own posterior (D.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gpvae_core.inspection.gap_lab.scores import value
from gpvae_core.inspection.mapa_lab.models import PointModel
from gpvae_core.inspection.mapa_lab.views import (
    GAP_DRAWS,
    ChosenPoint,
    MapaSettings,
    PointComparison,
    TraceView,
    check_counts,
)
from gpvae_core.inspection.traces import SHOWN_NATS
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.mapa.bound import mapa_bound
from gpvae_core.mapa.draws import IndexDraw, draw_sparse
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.mapa.trend import compare

LINE_POINTS = 600
"""Number of points of a displayed posterior; a finer line is thinned, uniformly along its length in the figure."""


@dataclass(frozen=True)
class PointMapa:
    """q(i|n) of one point, its k most probable training points and S draws of the others, without any model."""

    log_q: Array
    """(N,) log q(i|n)."""
    draw: IndexDraw
    """One draw of the indices of the bound."""
    more: IndexDraw
    """GAP_DRAWS further draws: a single bound may exceed log p(x), but their mean is below it in expectation."""


def check_settings(settings: MapaSettings, n: int) -> None:
    """Raise UserError if the bandwidth is not positive, or if k, S and N = n do not define a bound."""
    GaussianKernel(settings.bandwidth)
    check_counts(settings.k, settings.draws, n)


def log_kernels(points: Array, x: Array, bandwidth: float) -> Float64[Tensor, "B N"]:
    """Return log k(x_b | x_i) up to a constant, in nats, from differences in float64."""
    square = ((x[:, None, :] - points[None, :, :]) ** 2).sum(-1)
    return GaussianKernel(bandwidth).log_kernel(torch.from_numpy(square))


def sparse_of(log_kernel: Float64[Tensor, "B N"]) -> SparsePosterior:
    """Return the dense index posterior of eq. 8 (K = N); indices with equal probability are in ascending order."""
    b, n = log_kernel.shape
    order = torch.sort(log_kernel, dim=1, descending=True, stable=True)
    return SparsePosterior.normalized(order.indices, order.values, torch.full((b,), -torch.inf, dtype=torch.float64), n)


def mapa_of(points: Array, x: Array, settings: MapaSettings) -> PointMapa:
    """Return q(i|n) of eq. 8 and draws of eq. 9 for one point (2,). Raises UserError as `check_settings` does."""
    check_settings(settings, len(points))
    posterior = sparse_of(log_kernels(points, x[None], settings.bandwidth))
    generator = torch.Generator().manual_seed(settings.seed)
    draw = draw_sparse(posterior, settings.k, settings.draws, generator)
    more = draw_sparse(posterior, settings.k, settings.draws, generator, torch.zeros(GAP_DRAWS, dtype=torch.int64))
    return PointMapa(posterior.dense()[0].numpy(), draw, more)


def numbers(log_likelihood: Float64[Tensor, " N"], log_px: float, mapa: PointMapa) -> PointComparison:
    """Compare MAPA with the model for one point, from log p(x|f(z_i)) of every code and log p(x)."""
    n = len(log_likelihood)
    log_p, log_q = torch.log_softmax(log_likelihood, 0), torch.from_numpy(mapa.log_q)
    trend, draw = compare(log_p[None], log_q[None]), mapa.draw
    bound, bounds = (mapa_bound(log_likelihood[d.head], log_likelihood[d.tail], d.log_q, n) for d in (draw, mapa.more))
    exact = float(torch.logsumexp(log_likelihood, 0)) - math.log(n)
    return PointComparison(
        kl=float(trend.kl[0]),
        kl_reverse=float(trend.reverse_kl[0]),
        kl_uniform=float(trend.uniform_kl[0]),
        rank=float(trend.rank[0]),
        spread=float(trend.spread[0]),
        effective=float(trend.effective_p[0]),
        effective_mapa=float(trend.effective_q[0]),
        head_mass=float(log_q[draw.head].exp().sum()),
        head_mass_true=float(log_p[draw.head].exp().sum()),
        bound=float(bound[0]),
        gap=value((exact - bounds).numpy()),
        log_px_empirical=exact,
        log_px=log_px,
        n=n,
    )


def _thinned(z: Array, line: Array, floor: float) -> Indices:
    """Return the nodes from the first to the last one above the floor, thinned to about LINE_POINTS."""
    above = np.flatnonzero(line >= floor)
    nodes = np.arange(above[0], above[-1] + 1)
    if len(nodes) <= LINE_POINTS:
        return nodes
    # Take nodes at equal steps of the line's length, measured with both axes scaled to the figure's extent.
    width, height = np.ptp(z[nodes]), SHOWN_NATS
    steps = np.abs(np.diff(z[nodes])) / width + np.abs(np.diff(np.maximum(line[nodes], floor))) / height
    length = np.concatenate([[0.0], np.cumsum(steps)])
    return nodes[np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], LINE_POINTS)))]


def trace_of(model: PointModel, chosen: ChosenPoint, mapa: PointMapa) -> TraceView:
    """Return the true posterior of x, the empiricalized one and MAPA against the model's codes."""
    log_likelihood = model.log_likelihood(chosen.x[None])[0]
    comparison = numbers(log_likelihood, float(model.log_px(chosen.x[None])[0]), mapa)
    z, line = model.posterior(chosen.x)
    floor = float(line.max()) - SHOWN_NATS
    # log(N p(i|n)) + log p(z_i) is on the scale of log p(z|x), see `inspection/traces.py`.
    shift = math.log(comparison.n) + model.log_prior
    points = (torch.log_softmax(log_likelihood, 0).numpy() + shift, mapa.log_q + shift)
    empirical, own = (np.where(values >= floor, values, np.nan) for values in points)
    shown = z[_thinned(z, line, floor)]
    # The quadrature has few nodes where the decoder is straight; a uniform grid in addition makes the line smooth.
    line_z = np.union1d(shown, np.linspace(shown[0], shown[-1], LINE_POINTS))
    line = model.log_posterior_at(chosen.x, line_z, comparison.log_px)
    return TraceView(
        title=chosen.title,
        latent=model.latent,
        line_z=line_z,
        line=np.where(line >= floor, line, np.nan),
        z=model.codes,
        empirical=empirical,
        mapa=own,
        head=mapa.draw.head[0].numpy(),
        drawn=mapa.draw.tail[0].numpy(),
        numbers=comparison,
    )
