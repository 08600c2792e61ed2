"""Modes of a density on a lattice, by excess mass (Müller & Sawitzki 1991)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

MIN_EXCESS = 0.01
"""Smallest excess mass of a mode."""
DEPTH = 14.0
"""Nodes that lie more than this many nats below the maximum belong to no mode."""
NEIGHBOURS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))


def find_modes(log_density: Array, cell: float | Array) -> list[tuple[int, int]]:
    """Return (row, column) of each mode, in order of falling density.

    A local maximum is a mode if its excess mass is at least 1 %: the probability in its hill above the level of the
    highest saddle to a higher hill, counted from that level, int (p - p_saddle)+. The global maximum is always a mode.

    Args:
        log_density: (Gy, Gx) in nats, normalised.
        cell: area of a lattice cell, or (Gy, Gx) of the cell of each node.
    """
    floor = log_density.max() - DEPTH
    f = np.where(log_density > floor, log_density, -np.inf)
    hills = _hills(f)
    tops = np.unique(hills[f > -np.inf])
    modes = [int(f.argmax()), *_lower_modes(f, hills, tops, cell)] if len(tops) > 1 else [int(f.argmax())]
    modes.sort(key=lambda node: -f.flat[node])
    return [divmod(node, f.shape[1]) for node in modes]


def _hills(f: Array) -> Labels:
    """Return (Gy, Gx), the flat index of the local maximum at which steepest ascent from each node ends."""
    padded = np.pad(f, 1, constant_values=-np.inf)
    rows, columns = f.shape
    # NOTE: argmax returns the first of equal values. The node itself comes before its neighbours, so that each node of
    # a plateau is a maximum of its own and the ascent cannot run in circles.
    moves = ((0, 0), *NEIGHBOURS)
    around = np.stack([padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in moves])
    offsets = np.array([i * columns + j for i, j in moves])
    up = (np.arange(f.size).reshape(f.shape) + offsets[around.argmax(0)]).ravel()
    # Pointer doubling: up[up] takes twice as many steps, so that the longest ascent of n steps needs log2 n rounds.
    while not np.array_equal(up, up[up]):
        up = up[up]
    return up.reshape(f.shape)


def _saddles(f: Array, hills: Labels) -> list[tuple[float, int, int]]:
    """Return (level of the saddle, top, top) of each pair of hills that touch, in order of falling level."""
    highest: dict[tuple[int, int], float] = {}
    for a, b in _adjacent(f.shape):
        levels, first, second = np.minimum(f[a], f[b]), hills[a], hills[b]
        border = (first != second) & (levels > -np.inf)
        for level, i, j in zip(levels[border], first[border], second[border], strict=True):
            pair = (int(min(i, j)), int(max(i, j)))
            highest[pair] = max(highest.get(pair, -np.inf), float(level))
    return sorted(((level, *pair) for pair, level in highest.items()), reverse=True)


def _adjacent(shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield slices that pair each node with its neighbour to the right, below, and on both diagonals."""
    rows, columns = shape
    for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left, right = slice(max(0, -j), columns - max(0, j)), slice(max(0, j), columns - max(0, -j))
        yield (slice(0, rows - i), left), (slice(i, rows), right)


def _lower_modes(f: Array, hills: Labels, tops: Labels, cell: float | Array) -> list[int]:
    """Return the modes other than the global maximum: hills merge at their saddles, from the highest saddle down."""
    p, levels, area = np.exp(f), f.ravel(), np.broadcast_to(cell, f.shape)
    merged_into = {int(top): int(top) for top in tops}
    modes: list[int] = []

    def excess_mass(top: int, level: float) -> float:
        own = np.isin(hills, [t for t, highest in merged_into.items() if highest == top])
        return float((np.maximum(p[own] - np.exp(level), 0.0) * area[own]).sum())

    for level, i, j in _saddles(f, hills):
        a, b = merged_into[i], merged_into[j]
        if a == b:
            continue
        # Of two tops of the same height the one with the smaller index counts as the higher one.
        higher, lower = (a, b) if (levels[a], -a) > (levels[b], -b) else (b, a)
        if excess_mass(lower, level) >= MIN_EXCESS:
            modes.append(lower)
        merged_into.update({t: higher for t, highest in merged_into.items() if highest == lower})
    # Hills that no saddle within DEPTH joins to the global maximum: their excess mass is all of their mass.
    disconnected = set(merged_into.values()) - {merged_into[int(f.argmax())]}
    return modes + [top for top in disconnected if excess_mass(top, -np.inf) >= MIN_EXCESS]


def between_nodes(log_density: Array, row: int, column: int) -> tuple[float, float]:
    """Return the offset (rows, columns) of a maximum from its node, each at most one cell.

    It is the Newton step -H^-1 g with gradient and Hessian by central differences; zero at the border of the lattice,
    and where the Hessian is not negative definite.
    """
    if not (0 < row < log_density.shape[0] - 1 and 0 < column < log_density.shape[1] - 1):
        return 0.0, 0.0
    v = log_density[row - 1 : row + 2, column - 1 : column + 2]
    gradient = 0.5 * np.array([v[2, 1] - v[0, 1], v[1, 2] - v[1, 0]])
    cross = 0.25 * (v[2, 2] - v[2, 0] - v[0, 2] + v[0, 0])
    hessian = np.array([[v[2, 1] - 2 * v[1, 1] + v[0, 1], cross], [cross, v[1, 2] - 2 * v[1, 1] + v[1, 0]]])
    if np.linalg.eigvalsh(hessian).max() >= 0:
        return 0.0, 0.0
    offset = np.clip(-np.linalg.solve(hessian, gradient), -1.0, 1.0)
    return float(offset[0]), float(offset[1])
