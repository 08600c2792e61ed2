"""View 2: the GP encoder's uncertainty of one image, compared with all test images and with the gaps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gpvae_core.inspection.encodings import Encodings
from gpvae_core.inspection.uncertainty_views import UncertaintyCorrelation, UncertaintyView
from gpvae_core.inspection.views import Array
from gpvae_core.stats import spearman

PICTURES = 6
"""Number of instances of Fig. 1."""


def correlations(uncertainty: Array, quantities: Mapping[str, Array], seed: int) -> tuple[UncertaintyCorrelation, ...]:
    """Return Spearman's rho of Tr V[f] + Tr V[h] (M,) with each quantity (M,), over instances with both finite.

    Quantities with fewer than three such instances, or with a constant value, are left out.
    """
    result = []
    for name, values in quantities.items():
        known = np.isfinite(uncertainty) & np.isfinite(values)
        if known.sum() < 3 or np.ptp(values[known]) == 0 or np.ptp(uncertainty[known]) == 0:
            continue
        rho, low, high = spearman(uncertainty[known], values[known], seed=seed)
        result.append(UncertaintyCorrelation(name, float(rho), float(low), float(high), int(known.sum())))
    return tuple(result)


def quantile_picks(uncertainty: Array) -> np.ndarray:
    """Return the indices of six instances at 0, 20, ..., 100 % of the order by uncertainty; all if there are fewer."""
    order = np.argsort(uncertainty, kind="stable")
    ranks = np.round(np.linspace(0, len(order) - 1, min(PICTURES, len(order)))).astype(int)
    return order[ranks]


def _positive_range(*parts: Array) -> tuple[float, float]:
    positive = np.concatenate([part[part > 0] for part in parts])
    return (float(positive.min()), float(positive.max())) if positive.size else (0.0, 0.0)


def uncertainty_view(
    one: Encodings,
    everyone: Encodings,
    scatter_index: np.ndarray,
    scatter: Mapping[str, Array],
    correlations: tuple[UncertaintyCorrelation, ...],
) -> UncertaintyView | None:
    """Return the uncertainty of one instance, a batch of 1, among all; None if the encoder reports no uncertainty."""
    total, all_total = one.total, everyone.total
    if one.f is None or one.h is None or everyone.f is None or everyone.h is None or total is None or all_total is None:
        return None
    return UncertaintyView(
        trace_f=float(one.f[0].sum()),
        trace_h=float(one.h[0].sum()),
        per_dimension_f=one.f[0],
        per_dimension_h=one.h[0],
        per_dimension_v=one.variance[0],
        all_trace_f=everyone.f.sum(-1),
        all_trace_h=everyone.h.sum(-1),
        percentile=float(100.0 * (all_total < total[0]).mean()),
        scatter_index=scatter_index,
        scatter_uncertainty=all_total[scatter_index],
        per_dimension_range=_positive_range(everyone.f, everyone.h),
        scatter=dict(scatter),
        correlations=correlations,
    )
