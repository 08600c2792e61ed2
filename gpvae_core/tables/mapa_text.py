"""The comparison of Yacoby et al. 2024 as rows of a terminal table, as Markdown and as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gpvae_core.csv_text import csv_text
from gpvae_core.tables.mapa import Comparison
from gpvae_core.tables.mapa_claims import ALIKE, CLAIMS, P_THRESHOLD
from gpvae_core.tables.mapa_entries import Entry, sort_key

TEST_IN_WORDS = (
    "difference of the KLs in nats, paired over draws; yes, no: paired t-test, "
    f"p < {P_THRESHOLD:g}, each on its own, of so many some are chance; 'like': yes where the {1 - P_THRESHOLD:.0%} "
    f"interval ends below {ALIKE:g} nats"
)
"""Explanation of the marks of `verdict_rows`."""


def kl_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return one row per method: 'mean ± standard error' on each data set, a star at the smallest, and the passes."""
    rows = []
    for method in comparison.methods:
        row = {"method": method}
        for dataset in comparison.datasets:
            entry = comparison.entry(dataset, method)
            row[dataset] = "" if entry is None else _figure(entry, _is_best(comparison, entry))
        row["decoder passes"] = _passes([comparison.entry(dataset, method) for dataset in comparison.datasets])
        rows.append(row)
    return rows


def _is_best(comparison: Comparison, entry: Entry) -> bool:
    """Return whether the entry has the smallest mean of its data set, and all entries have the same draws."""
    rivals = [other for other in comparison.entries if other.dataset == entry.dataset]
    means = [other.mean for other in rivals if other.mean is not None]
    same_draws = len({other.draws for other in rivals}) == 1
    return same_draws and entry.mean is not None and entry.mean <= min(means)


def _figure(entry: Entry, best: bool) -> str:
    if entry.mean is None:
        return f"({entry.missing} to do)"
    spread = "" if entry.se is None else f" ± {entry.se:.3f}"
    part = f" ({len(entry.draws)} of {len(entry.draws) + entry.missing} draws)" if entry.missing else ""
    return f"{entry.mean:.3f}{spread}{' *' if best else ''}{part}"


def _passes(entries: Sequence[Entry | None]) -> str:
    known = [e.decoder_passes for e in entries if e is not None and e.decoder_passes is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return f"{low:.1f}" if math.isclose(low, high, rel_tol=0.02) else f"{low:.1f} - {high:.1f}"


def verdict_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return one row per claim and S: whether the claim holds on each data set, and the difference in nats."""
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for verdict in comparison.verdicts:
        samples = sort_key(verdict.method)[2]
        empty = {"the paper says": verdict.claim, "S": str(samples), **dict.fromkeys(comparison.datasets, "")}
        row = rows.setdefault((verdict.claim, samples), empty)
        row[verdict.dataset] = f"{verdict.holds} ({verdict.difference:+.3f})"
    order = [claim.words for claim in CLAIMS]
    return [rows[key] for key in sorted(rows, key=lambda key: (order.index(key[0]), key[1]))]


def sweep_in_words(comparison: Comparison) -> str:
    """Return a sentence that names the sweep of the results."""
    others = f"; others in the folder: {', '.join(comparison.others)}" if comparison.others else ""
    return f"Sweep '{comparison.name}'{others}."


def to_markdown(comparison: Comparison) -> str:
    """Return both tables with explanations, as Markdown."""
    draws = max((len(entry.draws) for entry in comparison.entries), default=0)
    restarts = max((entry.restarts for entry in comparison.entries), default=0)
    return "\n".join(
        [
            f"{sweep_in_words(comparison)} Test KL[p_GT || p_model] in nats, mean ± standard error over {draws} draws "
            f"(best of {restarts} restarts by validation log-likelihood); * smallest; decoder passes for each point of "
            "a training step:",
            "",
            *_markdown(kl_rows(comparison)),
            "",
            f"What the paper's text says, and whether it holds here ({TEST_IN_WORDS}):",
            "",
            *_markdown(verdict_rows(comparison)),
            "",
        ]
    )


def to_csv(comparison: Comparison) -> str:
    """Return one line per data set, method and draw, as CSV."""
    rows = (
        [entry.dataset, entry.method, entry.samples, draw, kl, entry.decoder_passes, entry.encoder_passes]
        for entry in comparison.entries
        for draw, kl in zip(entry.draws, entry.kl, strict=True)
    )
    return csv_text(["dataset", "method", "samples", "draw", "test_kl_nats", "decoder_passes", "encoder_passes"], rows)


def _markdown(rows: Sequence[dict[str, str]]) -> list[str]:
    if not rows:
        return ["(nothing yet)"]
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[name] for name in head] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
