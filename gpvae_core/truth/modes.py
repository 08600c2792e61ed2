"""Modes of a density on a lattice, by excess mass (Müller & Sawitzki 1991)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

MIN_EXCESS = 0.01
DEPTH = 14.0
"""Nodes more than so many nats below the highest belong to no mode."""
NEIGHBOURS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))


def find_modes(log_density: Array, cell: float | Array) -> list[tuple[int, int]]:
    """(row, column) of the modes, highest first.

    A local maximum is a mode where its excess mass is at least 1 %: the probability in its hill above the level of the
    highest saddle to a higher hill, counted from that level, int (p - p_saddle)+. The highest maximum always is one.

    Args:
        log_density: (Gy, Gx) in nats, normalised.
        cell: area of a lattice cell, or of each node's, (Gy, Gx).
    """
    floor = log_density.max() - DEPTH
    f = np.where(log_density > floor, log_density, -np.inf)
    hills = _hills(f)
    tops = np.unique(hills[f > -np.inf])
    kept = [int(f.argmax()), *_lower_modes(f, hills, tops, cell)] if len(tops) > 1 else [int(f.argmax())]
    kept.sort(key=lambda node: -f.flat[node])
    return [divmod(node, f.shape[1]) for node in kept]


def _hills(f: Array) -> Labels:
    """(Gy, Gx) flat index of the local maximum that steepest ascent from each node ends at."""
    padded = np.pad(f, 1, constant_values=-np.inf)
    rows, columns = f.shape
    # A node comes before its neighbours, so that of equal ones each stays a top of its own and nothing goes in circles.
    moves = ((0, 0), *NEIGHBOURS)
    around = np.stack([padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in moves])
    offsets = np.array([i * columns + j for i, j in moves])
    up = (np.arange(f.size).reshape(f.shape) + offsets[around.argmax(0)]).ravel()
    while not np.array_equal(up, up[up]):
        up = up[up]
    return up.reshape(f.shape)


def _saddles(f: Array, hills: Labels) -> list[tuple[float, int, int]]:
    """(level, top, top) of each two hills that touch, the highest level first."""
    highest: dict[tuple[int, int], float] = {}
    for a, b in _adjacent(f.shape):
        levels, first, second = np.minimum(f[a], f[b]), hills[a], hills[b]
        border = (first != second) & (levels > -np.inf)
        for level, i, j in zip(levels[border], first[border], second[border], strict=True):
            pair = (int(min(i, j)), int(max(i, j)))
            highest[pair] = max(highest.get(pair, -np.inf), float(level))
    return sorted(((level, *pair) for pair, level in highest.items()), reverse=True)


def _adjacent(shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Slices that pair each node with its neighbour to the right, below, and on both diagonals."""
    rows, columns = shape
    for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left, right = slice(max(0, -j), columns - max(0, j)), slice(max(0, j), columns - max(0, -j))
        yield (slice(0, rows - i), left), (slice(i, rows), right)


def _lower_modes(f: Array, hills: Labels, tops: Labels, cell: float | Array) -> list[int]:
    """Tops besides the highest that are modes: hills merge at their saddles, from the highest saddle down."""
    p, levels, area = np.exp(f), f.ravel(), np.broadcast_to(cell, f.shape)
    owner = {int(top): int(top) for top in tops}
    found: list[int] = []

    def excess(top: int, level: float) -> float:
        own = np.isin(hills, [t for t, o in owner.items() if o == top])
        return float((np.maximum(p[own] - np.exp(level), 0.0) * area[own]).sum())

    for level, i, j in _saddles(f, hills):
        a, b = owner[i], owner[j]
        if a == b:
            continue
        higher, lower = (a, b) if (levels[a], -a) > (levels[b], -b) else (b, a)
        if excess(lower, level) >= MIN_EXCESS:
            found.append(lower)
        owner.update({t: higher for t, o in owner.items() if o == lower})
    peak = owner[int(f.argmax())]
    apart = set(owner.values()) - {peak}
    return found + [top for top in apart if excess(top, -np.inf) >= MIN_EXCESS]


def between_nodes(log_density: Array, row: int, column: int) -> tuple[float, float]:
    """Offset (rows, columns) of the maximum from its node, by a quadratic through the neighbours, at most one."""
    if not (0 < row < log_density.shape[0] - 1 and 0 < column < log_density.shape[1] - 1):
        return 0.0, 0.0
    v = log_density[row - 1 : row + 2, column - 1 : column + 2]
    slope = 0.5 * np.array([v[2, 1] - v[0, 1], v[1, 2] - v[1, 0]])
    cross = 0.25 * (v[2, 2] - v[2, 0] - v[0, 2] + v[0, 0])
    bend = np.array([[v[2, 1] - 2 * v[1, 1] + v[0, 1], cross], [cross, v[1, 2] - 2 * v[1, 1] + v[1, 0]]])
    if np.linalg.eigvalsh(bend).max() >= 0:
        return 0.0, 0.0
    offset = np.clip(-np.linalg.solve(bend, slope), -1.0, 1.0)
    return float(offset[0]), float(offset[1])
