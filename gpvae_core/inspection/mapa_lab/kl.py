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
from gpvae_core.tables.mapa_text import about


def kl_curves(folder: Path, dataset: str) -> KlView | None:
    """One data set of the comparison in a sweep's folder; None where there is no such folder, or nothing on that set.

    Raises:
        UserError: the folder has results, but none with a test KL, or they are damaged.
    """
    if not folder.exists():
        return None
    found = comparison(folder)
    entries = [one for one in found.entries if one.dataset == dataset and one.mean is not None]
    if not entries:
        return None
    families = list(dict.fromkeys(one.family for one in _ordered(entries, found.methods) if one.samples is not None))
    return KlView(
        dataset=dataset,
        curves=tuple(_curve(name, [one for one in entries if one.family == name]) for name in families),
        flat=tuple((one.method, _value(one)) for one in entries if one.samples is None),
        claims=tuple(_words(one) for one in found.verdicts if one.dataset == dataset),
        sweep=about(found),
    )


def _ordered(entries: Sequence[Entry], methods: Sequence[str]) -> list[Entry]:
    return sorted(entries, key=lambda one: methods.index(one.method))


def _value(entry: Entry) -> Value:
    assert entry.mean is not None
    return Value(entry.mean, entry.se)


def _curve(family: str, entries: Sequence[Entry]) -> KlCurve:
    ordered = sorted((one for one in entries if one.samples is not None), key=lambda one: one.samples or 0)
    return KlCurve(
        family,
        np.array([one.samples for one in ordered], dtype=np.float64),
        tuple(map(_value, ordered)),
        tuple(len(one.kl) for one in ordered),
    )


def _words(verdict: Verdict) -> str:
    spread = "" if verdict.se is None else f" ± {verdict.se:.3f}"
    difference = f"{verdict.difference:+.3f}{spread} nats over {verdict.n} draws"
    return f"{verdict.claim} ({verdict.method} against {verdict.rival}): {verdict.holds}, {difference}"
