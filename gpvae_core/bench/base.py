"""Side-by-side measurements: cases are timed in turn, so that a drift of the machine cancels in their ratios."""

from __future__ import annotations

import os
import platform
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import plotly.graph_objects as go
import torch

from gpvae_core import __version__
from gpvae_core.device import pick_device, synchronize
from gpvae_core.errors import UserError
from gpvae_core.files import check_file, write_text
from gpvae_core.progress import Progress
from gpvae_core.registry import Registry


@dataclass(frozen=True)
class Row:
    """One result: the median over the repeats, and its ratio to another case of the same run."""

    case: str
    metric: str
    value: float
    unit: str
    ratio_to: str | None = None
    """The other case of the ratio."""
    ratio: float | None = None
    repeats: int = 1
    low: float | None = None
    """Smallest value over the repeats."""
    high: float | None = None
    """Largest value over the repeats."""


class Bench(ABC):
    """Base class of the benches, each a named measurement."""

    rounds: ClassVar[int] = 20
    """Number of measured rounds where none is given."""

    @abstractmethod
    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        """Measure and return the results."""


class DrawnBench(Bench):
    """Base class of benches that have a figure."""

    @abstractmethod
    def draw(self, rows: Sequence[Row]) -> go.Figure:
        """Return the figure of the results of `run`."""


BENCHES: Registry[type[Bench]] = Registry("bench", "gpvae_core.bench")


def machine(device: torch.device) -> dict[str, Any]:
    """Return a description of the machine and the versions of the measurement."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "torch": torch.__version__,
        "gpvae_core": __version__,
        "python": platform.python_version(),
    }


def time_in_turn(
    cases: Mapping[str, Callable[[], object]],
    repeats: int,
    device: torch.device,
    progress: Progress,
    what: str,
    warmup: int = 2,
) -> dict[str, list[float]]:
    """Return the milliseconds of each repeat of each case, in turn (A B C A B C ...), after `warmup` rounds."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(warmup + repeats):
        for name, call in cases.items():
            synchronize(device)
            start = time.perf_counter()
            call()
            synchronize(device)
            if round_ >= warmup:
                times[name].append(1e3 * (time.perf_counter() - start))
        progress(round_ + 1, warmup + repeats, what)
    return times


def timed_rows(
    times: Mapping[str, list[float]], metric: str, ratio_to: str | None = None, unit: str = "ms"
) -> list[Row]:
    """Return one row per case; the ratio is the median over rounds of the ratio within a round."""
    rows = []
    for name, values in times.items():
        ratio = None
        if ratio_to is not None and name != ratio_to:
            ratio = statistics.median(a / b for a, b in zip(values, times[ratio_to], strict=True))
        rows.append(
            Row(
                name,
                metric,
                statistics.median(values),
                unit,
                ratio_to if ratio is not None else None,
                ratio,
                len(values),
                min(values),
                max(values),
            )
        )
    return rows


def run_bench(
    name: str, device: str | None, repeats: int | None, progress: Progress, figure: Path | None = None
) -> dict[str, Any]:
    """Run the bench called `name` and return {'bench', 'machine', 'rows'}; write its figure as a self-contained page.

    Args:
        repeats: number of measured rounds (default: that of the bench).

    Raises:
        UserError: the name is unknown (the message suggests the closest one), the bench has no figure, or the figure's
            file cannot be written.
    """
    bench = BENCHES.get(name)()
    if figure is not None and not isinstance(bench, DrawnBench):
        raise UserError(f"bench '{name}' has no figure: leave out --figure {figure}")
    if figure is not None:
        check_file(figure)
    target = pick_device(device)
    rows = bench.run(target, bench.rounds if repeats is None else repeats, progress)
    if figure is not None and isinstance(bench, DrawnBench):
        write_text(figure, bench.draw(rows).to_html())
    return {"bench": name, "machine": machine(target), "rows": [asdict(row) for row in rows]}
