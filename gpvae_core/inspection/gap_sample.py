"""Gaps and best Gaussians of a sample of test instances, or of a single one, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gpvae_core.gaps import GapTable
from gpvae_core.inspection.views import Array, GapView
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.evidence import Evidence
from gpvae_core.truth.truth import Truth

COLUMNS = (
    "elbo",
    "best_diagonal_elbo",
    "best_full_elbo",
    "log_px",
    "inference",
    "approximation",
    "amortization",
    "negentropy",
    "n_modes",
)
OPTIONAL = ("log_px_se",)
"""Columns that files of older versions lack; they are then NaN."""
QUANTITIES = {
    "inference gap": "inference",
    "approximation gap": "approximation",
    "amortization gap": "amortization",
    "negentropy": "negentropy",
    "number of modes": "n_modes",
}
"""Quantities with which the uncertainty is compared: displayed name -> column."""


@dataclass(frozen=True)
class BestGaussian:
    """Best Gaussians of one instance: diagonal, with (D,) each, and full, with a lower-triangular factor (D, D)."""

    diagonal_mean: Array
    diagonal_std: Array
    full_mean: Array
    full_chol: Array


@dataclass(frozen=True)
class GapSample:
    """Gaps of the M test instances `index`, as columns (M,) in nats, and their best Gaussians."""

    index: np.ndarray
    truth: str
    """Estimator of log p(x): 'line', 'grid', 'ais' or 'iwae'."""
    columns: dict[str, Array]
    best: dict[str, Array]
    """The fields of BestGaussian, each with a leading axis M."""

    def row(self, index: int | None) -> int | None:
        """Return the row of a test instance in the sample; None if it is not in the sample."""
        rows = np.flatnonzero(self.index == index) if index is not None else np.empty(0)
        return int(rows[0]) if len(rows) else None

    def best_gaussian(self, row: int) -> BestGaussian:
        """Return the best Gaussians of the instance in this row."""
        return BestGaussian(**{name: values[row] for name, values in self.best.items()})

    def quantities(self) -> dict[str, Array]:
        """Return the columns with which the uncertainty is compared, by displayed name, without all-NaN ones."""
        named = {name: self.columns[column] for name, column in QUANTITIES.items()}
        return {name: values for name, values in named.items() if np.isfinite(values).any()}

    def extreme(self, largest: bool) -> int | None:
        """Return the test index of the instance with the largest or smallest inference gap; None if all are NaN."""
        gap = self.columns["inference"]
        if not np.isfinite(gap).any():
            return None
        return int(self.index[np.nanargmax(gap) if largest else np.nanargmin(gap)])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the content as named arrays, for a file."""
        best = {f"best_{name}": values for name, values in self.best.items()}
        columns = {f"column_{name}": values for name, values in self.columns.items()}
        return {"index": self.index, "truth": np.array(self.truth), **columns, **best}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> GapSample:
        """Return the sample that `arrays` describes. Raises KeyError if an array is missing."""
        columns = {name: arrays[f"column_{name}"] for name in COLUMNS}
        unknown = np.full(len(arrays["index"]), np.nan)
        columns |= {name: arrays.get(f"column_{name}", unknown) for name in OPTIONAL}
        best = {name: arrays[f"best_{name}"] for name in BestGaussian.__dataclass_fields__}
        return GapSample(arrays["index"], str(arrays["truth"]), columns, best)


def named_truth(truth: Truth) -> dict[str, str]:
    """Return the cache settings for gaps that depend on the estimator of log p(x)."""
    # NOTE: the grid is not named because older files do not name it either. At d = 1 a name is needed: older files
    # without one hold lower bounds by importance sampling, from versions without quadrature along the line.
    return {} if truth.name == "grid" else {"truth": truth.name}


def _plain(values: object, n: int) -> Array:
    """Return a column of a gap table as float64; all NaN if it was not computed."""
    return np.full(n, np.nan) if values is None else np.asarray(values, dtype=np.float64)


def _array(values: Tensor) -> Array:
    return values.cpu().double().numpy()


def plain_best(best: BestGaussians) -> dict[str, Array]:
    """Return the fields of BestGaussian for a batch of best Gaussians, as float64 arrays."""
    return {
        "diagonal_mean": _array(best.diagonal_mean),
        "diagonal_std": _array(best.diagonal_std),
        "full_mean": _array(best.full_mean),
        "full_chol": _array(best.full_chol),
    }


def gap_view(run: str, truth: str, columns: Mapping[str, Array], row: int) -> GapView:
    """Return one row of the columns as a view."""
    value = {name: float(columns[name][row]) for name in (*COLUMNS, *OPTIONAL)}
    known = {name: None if np.isnan(v) else v for name, v in value.items()}
    return GapView(
        run=run,
        log_px=value["log_px"],
        log_px_truth=truth,
        best_full_elbo=known["best_full_elbo"],
        best_diagonal_elbo=known["best_diagonal_elbo"],
        encoder_elbo=value["elbo"],
        negentropy=known["negentropy"],
        modes=None if known["n_modes"] is None else int(value["n_modes"]),
        log_px_se=known["log_px_se"],
    )


def quick_gap_view(run: str, quick: Evidence, encoder_elbo: float) -> GapView:
    """Return the gap of an image whose best Gaussians are not known yet, from the evidence of that image alone."""
    return GapView(
        run=run,
        log_px=float(quick.log_px[0]),
        log_px_truth=quick.kind,
        best_full_elbo=None,
        best_diagonal_elbo=None,
        encoder_elbo=encoder_elbo,
        negentropy=None if quick.negentropy is None else float(quick.negentropy[0]),
        modes=None if quick.n_modes is None else int(quick.n_modes[0]),
        log_px_se=None if quick.se is None else float(quick.se[0]),
    )


def sample_from(table: GapTable, best: BestGaussians, index: np.ndarray) -> GapSample:
    """Return the gap table and best Gaussians of the test instances `index` as plain arrays."""
    columns = {name: _plain(getattr(table, name), len(index)) for name in (*COLUMNS, *OPTIONAL)}
    return GapSample(index, str(table.truth), columns, plain_best(best))
