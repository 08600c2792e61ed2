"""The entries of the comparison of Yacoby et al. 2024: test KL over draws and passes, by data set and method."""

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
    """Results of one method with its S, such as 'mapa:50', on one data set; unknown values are None."""

    dataset: str
    method: str
    draws: tuple[int, ...]
    """Seeds of the draws whose restarts have all ended."""
    kl: tuple[float, ...]
    """Test KL of each of these draws, nats."""
    mean: float | None
    """Mean test KL over the draws, nats."""
    se: float | None
    """Standard error of the mean over draws; None for fewer than two draws."""
    restarts: int
    missing: int
    """Number of planned draws that are not complete yet."""
    decoder_passes: float | None
    """Decoder passes per point of a training step."""
    encoder_passes: float | None
    """Encoder passes per point of a training step."""
    train_seconds: float | None
    """Mean time of one training."""

    @property
    def family(self) -> str:
        """The method without its S."""
        return self.method.partition(":")[0]

    @property
    def samples(self) -> int | None:
        """S; None for a method without it, such as the VAE."""
        number = self.method.partition(":")[2]
        return int(number) if number else None


def sort_key(method: str) -> tuple[int, str, int]:
    """Return the key by which a table sorts its methods: family, then S."""
    family, _, number = method.partition(":")
    return (METHODS.index(family) if family in METHODS else len(METHODS), family, int(number or 0))


def make_entries(rows: Sequence[Result]) -> tuple[Entry, ...]:
    """Return one entry per data set and method of the results."""
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
