"""The comparison of Yacoby et al. 2024 (sec. 6, D.1) from a sweep's results: test KL by method, S and data set.

The test KL is KL[p_GT || p_model] in nats, of each draw of a data set that of the restart with the best validation
log-likelihood, averaged over draws. The paper has its KLs in figures alone; what its text says of them is held against
ours draw by draw, by a paired t-test. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.csv_text import csv_text
from gpvae_core.errors import UserError, unknown
from gpvae_core.stats import mean_se
from gpvae_core.sweep.results import Result, Results, Setup, best_restarts, open_results

SETS = ("absolute-value", "circle", "clusters", "figure-8", "spiral-dots")
"""The paper's, in the order of its Fig. 3."""
METHODS = ("vae", "iwae", "mapa", "mapa-gt", "mapa-naive")
P_THRESHOLD = 0.05
"""Below it a difference counts."""
ALIKE = 0.02
"""Nats by which a KL may be higher and count as alike."""
HOLDS, UNSURE, FAILS = "yes", "unsure", "no"


@dataclass(frozen=True)
class Entry:
    """One method with its S on one data set. What is not known is None."""

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
        """S; None for a method without (the VAE)."""
        number = self.method.partition(":")[2]
        return int(number) if number else None


@dataclass(frozen=True)
class Claim:
    """What the paper's text says about a method beside a rival with the same S."""

    words: str
    method: str
    rival: str
    sign: int
    """Of KL(method) - KL(rival): -1 lower, 1 higher, 0 alike."""
    datasets: tuple[str, ...]


REST = tuple(name for name in SETS if name != "clusters")
CLAIMS = (
    Claim("MAPA below VAE", "mapa", "vae", -1, REST),
    Claim("MAPA below IWAE", "mapa", "iwae", -1, REST),
    Claim("MAPA less accurate than VAE", "mapa", "vae", 1, ("clusters",)),
    Claim("MAPA less accurate than IWAE", "mapa", "iwae", 1, ("clusters",)),
    Claim("MAPA-GT like MAPA", "mapa-gt", "mapa", 0, SETS),
    Claim("MAPA-naive poor: above MAPA", "mapa-naive", "mapa", 1, SETS),
)
"""Sec. 6 and D.1."""


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds here, for one data set and S."""

    claim: str
    dataset: str
    method: str
    rival: str
    difference: float
    """Mean of KL(method) - KL(rival) over the draws that both have, nats."""
    se: float | None
    n: int
    p: float | None
    """Two-sided paired t-test; None for fewer than two draws."""
    holds: str
    """'yes', 'no' or 'unsure'. Ordered: by the sign where p is below P_THRESHOLD. Alike (as good as): yes where the
    whole interval of the difference at that level lies below ALIKE, no where it lies above."""


@dataclass(frozen=True)
class Comparison:
    """What a page or a table shows."""

    setup: str
    name: str
    """Of the sweep."""
    others: tuple[str, ...]
    """Other sweeps in the folder with test KLs."""
    content: dict[str, object]
    """Its epochs, settings and score."""
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]

    def entry(self, dataset: str, method: str) -> Entry | None:
        return next((one for one in self.entries if (one.dataset, one.method) == (dataset, method)), None)


def comparison(path: Path, setup: str | None = None) -> Comparison:
    """The comparison in a sweep's folder (or its results.sqlite), as far as it has got.

    Args:
        setup: name or key of one of several setups in the folder; by default that with test KLs of the most methods, of
            these the latest.

    Raises:
        UserError: no results, none on data of known truth, or no such setup.
    """
    results = open_results(path)
    chosen, others = _choose(results, setup)
    rows = [row for row in results.rows(chosen.setup) if row.latent_dim == 1]
    entries = _entries(rows)
    return Comparison(
        setup=chosen.setup,
        name=chosen.name,
        others=others,
        content=chosen.content,
        datasets=_in_order({entry.dataset for entry in entries}, SETS),
        methods=tuple(sorted({entry.method for entry in entries}, key=_place)),
        entries=entries,
        verdicts=verdicts(entries),
    )


def _choose(results: Results, name: str | None) -> tuple[Setup, tuple[str, ...]]:
    """The setup asked for, and the names of the others."""
    known = results.setups()
    with_kl: dict[str, set[str]] = {}
    for row in results.rows():
        if row.test_kl is not None:
            with_kl.setdefault(row.setup, set()).add(row.method)
    if name is not None:
        found = [one for one in known if name in (one.name, one.setup)]
        if not found:
            raise unknown("setup", name, {one.name for one in known})
    else:
        found = known
    found = sorted((one for one in found if one.setup in with_kl), key=lambda one: -len(with_kl[one.setup]))
    if not found:
        raise UserError(
            f"'{results.path}' has no test KL: wanted the results of a sweep over data of known truth such as "
            f"'{SETS[0]}' (gpvae sweep docs/mapa.toml), at least one of them done"
        )
    others = [one.name for one in known if one.setup in with_kl and one.setup != found[0].setup]
    return found[0], tuple(dict.fromkeys(others))


def _in_order(names: set[str], first: Sequence[str]) -> tuple[str, ...]:
    return tuple([name for name in first if name in names] + sorted(names - set(first)))


def _place(method: str) -> tuple[int, str, int]:
    family, _, number = method.partition(":")
    return (METHODS.index(family) if family in METHODS else len(METHODS), family, int(number or 0))


def _entries(rows: Sequence[Result]) -> tuple[Entry, ...]:
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


def verdicts(entries: Sequence[Entry]) -> tuple[Verdict, ...]:
    """Every claim on every data set and S for which both methods have a draw in common."""
    found = {(entry.dataset, entry.method): entry for entry in entries}
    out = []
    for claim in CLAIMS:
        for entry in entries:
            if entry.family != claim.method or entry.dataset not in claim.datasets:
                continue
            suffix = entry.method.removeprefix(entry.family)
            rival = found.get((entry.dataset, claim.rival + suffix)) or found.get((entry.dataset, claim.rival))
            if rival is not None and set(entry.draws) & set(rival.draws):
                out.append(_verdict(claim, entry, rival))
    return tuple(sorted(out, key=lambda one: _place(one.method)[2]))


def _verdict(claim: Claim, entry: Entry, rival: Entry) -> Verdict:
    theirs = dict(zip(rival.draws, rival.kl, strict=True))
    apart = [kl - theirs[draw] for draw, kl in zip(entry.draws, entry.kl, strict=True) if draw in theirs]
    summary = mean_se(apart)
    difference, p = summary["mean"] or 0.0, _paired_p(summary["mean"], summary["se"], summary["n"])
    alike = _as_good(difference, summary["se"], summary["n"])
    holds = alike if claim.sign == 0 else _ordered(claim.sign * difference, p)
    of = (claim.words, entry.dataset, entry.method, rival.method)
    return Verdict(*of, difference, summary["se"], summary["n"], p, holds)


def _ordered(along: float, p: float | None) -> str:
    """`along`: the difference in the claim's direction."""
    if p is None or not p < P_THRESHOLD:
        return UNSURE
    return HOLDS if along > 0 else FAILS


def _as_good(difference: float, se: float | None, n: int) -> str:
    """'Performs as well as': the KL is not higher by ALIKE."""
    from scipy.stats import t  # half a second to import

    if se is None:
        return UNSURE
    reach = float(t.isf(P_THRESHOLD / 2, n - 1)) * se
    if difference + reach <= ALIKE:
        return HOLDS
    return FAILS if difference - reach > ALIKE else UNSURE


def _paired_p(mean: float | None, se: float | None, n: int) -> float | None:
    """Two-sided t-test of paired differences; None for fewer than two."""
    from scipy.stats import t  # half a second to import

    if mean is None or se is None:
        return None
    if se == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * t.sf(abs(mean) / se, n - 1))


# -- as text -----------------------------------------------------------------------------------------------------------


def kl_rows(found: Comparison) -> list[dict[str, str]]:
    """Method by data set: 'mean ± standard error', and the passes; the smallest mean of a data set has a star."""
    rows = []
    for method in found.methods:
        row = {"method": method}
        for dataset in found.datasets:
            entry = found.entry(dataset, method)
            row[dataset] = "" if entry is None else _figure(entry, _is_best(found, entry))
        row["decoder passes"] = _passes([found.entry(dataset, method) for dataset in found.datasets])
        rows.append(row)
    return rows


def _is_best(found: Comparison, entry: Entry) -> bool:
    """Of the entries of its data set; none is while they have different draws."""
    there = [one for one in found.entries if one.dataset == entry.dataset]
    means = [one.mean for one in there if one.mean is not None]
    same = len({one.draws for one in there}) == 1
    return same and entry.mean is not None and entry.mean <= min(means)


def _figure(entry: Entry, best: bool) -> str:
    if entry.mean is None:
        return f"({entry.missing} to do)"
    spread = "" if entry.se is None else f" ± {entry.se:.3f}"
    part = f" ({len(entry.draws)} of {len(entry.draws) + entry.missing} draws)" if entry.missing else ""
    return f"{entry.mean:.3f}{spread}{' *' if best else ''}{part}"


def _passes(entries: Sequence[Entry | None]) -> str:
    known = [one.decoder_passes for one in entries if one is not None and one.decoder_passes is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    return f"{low:.1f}" if math.isclose(low, high, rel_tol=0.02) else f"{low:.1f} - {high:.1f}"


def verdict_rows(found: Comparison) -> list[dict[str, str]]:
    """The paper's claims by S, with a mark for each data set: whether it holds, and by how many nats."""
    rows: dict[tuple[str, int], dict[str, str]] = {}
    for one in found.verdicts:
        samples = _place(one.method)[2]
        empty = {"the paper says": one.claim, "S": str(samples), **dict.fromkeys(found.datasets, "")}
        row = rows.setdefault((one.claim, samples), empty)
        row[one.dataset] = f"{one.holds} ({one.difference:+.3f})"
    order = [claim.words for claim in CLAIMS]
    return [rows[key] for key in sorted(rows, key=lambda key: (order.index(key[0]), key[1]))]


READING = (
    "difference of the KLs in nats, paired over draws; yes, no: paired t-test, "
    f"p < {P_THRESHOLD:g}, each on its own, of so many some are chance; 'like': yes where the {1 - P_THRESHOLD:.0%} "
    f"interval ends below {ALIKE:g} nats"
)


def about(found: Comparison) -> str:
    """Which sweep the figures are of."""
    others = f"; others in the folder: {', '.join(found.others)}" if found.others else ""
    return f"Sweep '{found.name}'{others}."


def to_markdown(found: Comparison) -> str:
    """Both tables, with what the figures are."""
    draws = max((len(entry.draws) for entry in found.entries), default=0)
    restarts = max((entry.restarts for entry in found.entries), default=0)
    return "\n".join(
        [
            f"{about(found)} Test KL[p_GT || p_model] in nats, mean ± standard error over {draws} draws (best of "
            f"{restarts} restarts by validation log-likelihood); * smallest; decoder passes for each point of a "
            "training step:",
            "",
            *_markdown(kl_rows(found)),
            "",
            f"What the paper's text says, and whether it holds here ({READING}):",
            "",
            *_markdown(verdict_rows(found)),
            "",
        ]
    )


def to_csv(found: Comparison) -> str:
    """A line for each draw of each method on each data set."""
    rows = (
        [one.dataset, one.method, one.samples, draw, kl, one.decoder_passes, one.encoder_passes]
        for one in found.entries
        for draw, kl in zip(one.draws, one.kl, strict=True)
    )
    return csv_text(["dataset", "method", "samples", "draw", "test_kl", "decoder_passes", "encoder_passes"], rows)


def _markdown(rows: Sequence[dict[str, str]]) -> list[str]:
    if not rows:
        return ["(nothing yet)"]
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[name] for name in head] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
