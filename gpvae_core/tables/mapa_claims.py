"""The statements of Yacoby et al. 2024 on its methods, and whether they hold in a sweep's results. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpvae_core.stats import mean_se
from gpvae_core.tables.mapa_entries import SETS, Entry, place_of

P_THRESHOLD, ALIKE = 0.05, 0.02
"""Value of p below which a difference counts, and nats by which a KL may be higher and count as alike."""
HOLDS, UNSURE, FAILS = "yes", "unsure", "no"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper's text about a method beside a rival with the same S."""

    words: str
    method: str
    rival: str
    sign: int
    """Sign of KL(method) - KL(rival): -1 lower, 1 higher, 0 alike."""
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
"""Claims of sec. 6 and D.1."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, for one data set and S."""

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


def verdicts(entries: Sequence[Entry]) -> tuple[Verdict, ...]:
    """Judge every claim on every data set and S for which both methods have a draw in common."""
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
    return tuple(sorted(out, key=lambda one: place_of(one.method)[2]))


def _verdict(claim: Claim, entry: Entry, rival: Entry) -> Verdict:
    theirs = dict(zip(rival.draws, rival.kl, strict=True))
    differences = [kl - theirs[draw] for draw, kl in zip(entry.draws, entry.kl, strict=True) if draw in theirs]
    summary = mean_se(differences)
    difference, p = summary["mean"] or 0.0, _paired_p(summary["mean"], summary["se"], summary["n"])
    alike = _as_good(difference, summary["se"], summary["n"])
    holds = alike if claim.sign == 0 else _ordered(claim.sign * difference, p)
    return Verdict(
        claim.words, entry.dataset, entry.method, rival.method, difference, summary["se"], summary["n"], p, holds
    )


def _ordered(along: float, p: float | None) -> str:
    """Judge a claim of order; `along` is the difference in its direction."""
    if p is None or not p < P_THRESHOLD:
        return UNSURE
    return HOLDS if along > 0 else FAILS


def _as_good(difference: float, se: float | None, n: int) -> str:
    """Judge 'performs as well as': the KL is not higher by ALIKE."""
    from scipy.stats import t  # half a second to import

    if se is None:
        return UNSURE
    reach = float(t.isf(P_THRESHOLD / 2, n - 1)) * se
    if difference + reach <= ALIKE:
        return HOLDS
    return FAILS if difference - reach > ALIKE else UNSURE


def _paired_p(mean: float | None, se: float | None, n: int) -> float | None:
    """Return p of the two-sided t-test of paired differences; None for fewer than two."""
    from scipy.stats import t  # half a second to import

    if mean is None or se is None:
        return None
    if se == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * t.sf(abs(mean) / se, n - 1))
