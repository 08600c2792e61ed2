"""One method on one data set of the comparison of Yacoby et al. 2024: its test KL over the draws, and its passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpvae_core.stats import mean_se
from gpvae_core.sweep.results import Result, best_restarts

SETS = ("absolute-value", "circle", "clusters", "figure-8", "spiral-dots")
"""The paper's data sets, in the order of its Fig. 3."""
METHODS = ("vae", "iwae", "mapa", "mapa-gt", "mapa-naive")
"""The methods compared, in the order of a table's rows."""


@dataclass(frozen=True)
class Entry:
    """One method with its S, such as 'mapa:50', on one data set. What is not known is None."""

    dataset: str
    method: str
    draws: tuple[int, ...]
    kl: tuple[float, ...]
    """Test KL in nats of each draw all of whose restarts ended; `draws` are their seeds."""
    mean: float | None
    se: float | None
    """Mean test KL over the draws, and its standard error, which fewer than two draws do not have."""
    restarts: int
    missing: int
    """Draws that are planned and not there yet."""
    decoder_passes: float | None
    encoder_passes: float | None
    train_seconds: float | None
    """Passes for each point of a training step, and the time of one training."""

    @property
    def family(self) -> str:
        return self.method.partition(":")[0]

    @property
    def samples(self) -> int | None:
        """S, which the VAE does not have."""
        number = self.method.partition(":")[2]
        return int(number) if number else None


def place_of(method: str) -> tuple[int, str, int]:
    """Return the place of a method in a table: by family, then by S."""
    family, _, number = method.partition(":")
    return (METHODS.index(family) if family in METHODS else len(METHODS), family, int(number or 0))


def entries_of(rows: Sequence[Result]) -> tuple[Entry, ...]:
    """Return an entry for each data set and method of the results."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for row in rows:
        cells.setdefault((row.dataset, row.method), []).append(row)
    return tuple(_entry(*cell, members) for cell, members in cells.items())


def _entry(dataset: str, method: str, rows: Sequence[Result]) -> Entry:
    best = [row for row in best_restarts(rows) if row.test_kl is not None]
    done = [row for row in rows if row.status == "done"]
    kl = tuple(row.test_kl for row in best if row.test_kl is not None)
    summary = mean_se(kl)
    return Entry(
        dataset=dataset,
        method=method,
        draws=tuple(row.split for row in best),
        kl=kl,
        mean=summary["mean"],
        se=summary["se"],
        restarts=len({row.restart for row in rows}),
        missing=len({row.split for row in rows}) - len(best),
        decoder_passes=_mean([row.decoder_passes for row in done]),
        encoder_passes=_mean([row.encoder_passes for row in done]),
        train_seconds=_mean([row.train_seconds for row in done]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    return mean_se([value for value in values if value is not None])["mean"]
