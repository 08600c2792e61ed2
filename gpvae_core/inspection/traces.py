"""View 3: log posterior against each latent coordinate, after Yacoby et al. 2024, D.3.

The two index posteriors are sums over N training images, p(z|x) is an integral. They share a scale because, for codes
z_i distributed as the prior, p(i|n) = p(x|z_i) / sum_j p(x|z_j) tends to p(x|z_i) / (N p(x)), so that

    log(N p(i|n)) + log N(z_i; 0, I)  ->  log p(x|z_i) - log p(x) + log p(z_i) = log p(z_i|x)      (eq. 7)

and MAPA's log(N q(i|n)) + log N(z_i; 0, I) estimates the same without any model (eq. 8). Where the encoder's codes are
not distributed as the prior, both are off by a constant for the instance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.inspection.contours import evaluate
from gpvae_core.inspection.local import LocalPosterior
from gpvae_core.inspection.views import Array, CoordinateTrace, Plane
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.vae import VAE

SHOWN_NATS = 30.0
MAX_POINTS = 400
LINE_POINTS = 161

Line = tuple[Array, Array]
"""z_j (L,) and log density (L,) in nats."""


def kl(log_p: Array, log_q: Array) -> float:
    """KL(p || q) in nats of two distributions over the same indices, from log probabilities (N,)."""
    inside = log_p > -np.inf
    return float(np.sum(np.exp(log_p[inside]) * (log_p[inside] - log_q[inside])))


def profile_lines(atlas: Atlas, x: Float[Tensor, "1 C H W"], truth: GridPosterior) -> tuple[Line, ...]:
    """d = 2: for each coordinate the largest log p(z|x) over the other, from the fine grid and the atlas around it."""
    grid = np.asarray(torch.as_tensor(atlas.axis).cpu(), dtype=np.float64)
    wide = atlas.log_joint(x)[0].cpu().double().numpy() - truth.log_px
    return tuple(_merged(truth.profile(j), (grid, wide.max(axis=j))) for j in (0, 1))


def _merged(fine: Line, wide: Line) -> Line:
    """Return the fine line where it reaches, the wide one outside."""
    x, y = np.asarray(fine[0]), np.asarray(fine[1])
    outside = (wide[0] < x[0]) | (wide[0] > x[-1])
    xs, ys = np.concatenate([x, wide[0][outside]]), np.concatenate([y, wide[1][outside]])
    order = np.argsort(xs)
    return xs[order], ys[order]


def slice_lines(vae: VAE, x: Float[Tensor, "1 C H W"], local: LocalPosterior, log_px: float) -> tuple[Line, ...]:
    """d > 2: for each coordinate log p(z|x) along the line through the mode on which the others stay as they are."""
    lines = []
    for j, spread in enumerate(1.0 / np.sqrt(np.diag(local.precision))):
        axes = np.zeros((2, len(local.mode)))
        axes[0, j] = 1.0
        line = Plane(local.mode, axes, "", "", is_slice=True, note="")
        steps = spread * np.linspace(-10.0, 10.0, LINE_POINTS)
        lines.append((local.mode[j] + steps, evaluate(vae, x, line, steps, np.zeros(1))[0] - log_px))
    return tuple(lines)


def traces(lines: Sequence[Line], codes: Array, empirical: Array, mapa: Array) -> tuple[CoordinateTrace, ...]:
    """Return one trace per coordinate from its line, and the points that are within SHOWN_NATS of the line's maximum.

    Args:
        codes: (N, D); empirical, mapa: (N,) log densities of the two at each code. At most MAX_POINTS are kept, those
            with the largest of the two; the one of a pair that lies lower than is shown becomes NaN.
    """
    floor = max(line[1].max() for line in lines) - SHOWN_NATS
    best = np.maximum(empirical, mapa)
    kept = np.argsort(-best, kind="stable")[:MAX_POINTS]
    kept = kept[best[kept] >= floor]
    e, m = (np.where(values[kept] >= floor, values[kept], np.nan) for values in (empirical, mapa))
    return tuple(
        CoordinateTrace(*_above(line, floor), codes[kept, j], e, m, coordinate=f"z{j + 1}")
        for j, line in enumerate(lines)
    )


def _above(line: Line, floor: float) -> Line:
    """Return the stretch of a line from the first to the last point above the floor."""
    seen = np.flatnonzero(line[1] >= floor)
    stretch = slice(seen[0], seen[-1] + 1)
    return line[0][stretch], line[1][stretch]
