"""Test KL against S, from the results of a finished (or unfinished) comparison (Yacoby et al. 2024, Fig. 2-3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpvae_core.inspection.mapa_lab.curve_views import KlCurve, KlView
from gpvae_core.inspection.views import Value
from gpvae_core.tables.mapa import comparison
from gpvae_core.tables.mapa_claims import Verdict
from gpvae_core.tables.mapa_entries import Entry
from gpvae_core.tables.mapa_text import sweep_in_words


def kl_curves(folder: Path, dataset: str) -> KlView | None:
    """Return test KL against S on one data set, from the comparison in a sweep's folder.

    It is None if the folder does not exist or has no results on that set.

    Raises:
        UserError: the folder has results, but none with a test KL, or they are damaged.
    """
    if not folder.exists():
        return None
    results = comparison(folder)
    entries = [entry for entry in results.entries if entry.dataset == dataset and entry.mean is not None]
    if not entries:
        return None
    ordered = sorted(entries, key=lambda entry: results.methods.index(entry.method))
    families = list(dict.fromkeys(entry.family for entry in ordered if entry.samples is not None))
    return KlView(
        dataset=dataset,
        curves=tuple(_curve(name, [entry for entry in entries if entry.family == name]) for name in families),
        flat=tuple((entry.method, _value(entry)) for entry in entries if entry.samples is None),
        claims=tuple(_words(verdict) for verdict in results.verdicts if verdict.dataset == dataset),
        sweep=sweep_in_words(results),
    )


def _value(entry: Entry) -> Value:
    assert entry.mean is not None
    return Value(entry.mean, entry.se)


def _curve(family: str, entries: Sequence[Entry]) -> KlCurve:
    ordered = sorted((entry for entry in entries if entry.samples is not None), key=lambda entry: entry.samples or 0)
    return KlCurve(
        family,
        np.array([entry.samples for entry in ordered], dtype=np.float64),
        tuple(map(_value, ordered)),
        tuple(len(entry.kl) for entry in ordered),
    )


def _words(verdict: Verdict) -> str:
    spread = "" if verdict.se is None else f" ± {verdict.se:.3f}"
    difference = f"{verdict.difference:+.3f}{spread} nats over {verdict.n} draws"
    return f"{verdict.claim} ({verdict.method} against {verdict.rival}): {verdict.holds}, {difference}"
