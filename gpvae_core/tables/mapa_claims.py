"""The statements of Yacoby et al. 2024 on its methods, tested with a sweep's results; torch is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpvae_core.stats import mean_se
from gpvae_core.tables.mapa_entries import SETS, Entry, sort_key

P_THRESHOLD, ALIKE = 0.05, 0.02
"""p-value below which a difference is significant, and nats by which a KL may be higher and still count as alike."""
HOLDS, UNSURE, FAILS = "yes", "unsure", "no"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper's text that compares a method with a rival at the same S."""

    words: str
    method: str
    rival: str
    sign: int
    """Claimed sign of KL(method) - KL(rival): -1 for lower, 1 for higher, 0 for alike."""
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
"""The claims of sec. 6 and D.1."""


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
    """p-value of the two-sided paired t-test; None for fewer than two draws."""
    holds: str
    """'yes', 'no' or 'unsure'. A claim of order is decided by the sign of the difference if p < P_THRESHOLD. A claim of
    equality holds if the confidence interval of the difference at that level is below ALIKE, and fails if it is above.
    """


def verdicts(entries: Sequence[Entry]) -> tuple[Verdict, ...]:
    """Test every claim on every data set and S for which both methods have a draw in common."""
    by_method = {(entry.dataset, entry.method): entry for entry in entries}
    out = []
    for claim in CLAIMS:
        for entry in entries:
            if entry.family != claim.method or entry.dataset not in claim.datasets:
                continue
            suffix = entry.method.removeprefix(entry.family)
            keys = ((entry.dataset, claim.rival + suffix), (entry.dataset, claim.rival))
            rival = by_method.get(keys[0]) or by_method.get(keys[1])
            if rival is not None and set(entry.draws) & set(rival.draws):
                out.append(_verdict(claim, entry, rival))
    return tuple(sorted(out, key=lambda verdict: sort_key(verdict.method)[2]))


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


def _ordered(signed_difference: float, p: float | None) -> str:
    """Decide a claim of order; `signed_difference` is positive in the claimed direction."""
    if p is None or not p < P_THRESHOLD:
        return UNSURE
    return HOLDS if signed_difference > 0 else FAILS


def _as_good(difference: float, se: float | None, n: int) -> str:
    """Decide 'performs as well as', a non-inferiority test: the KL is higher by at most ALIKE."""
    from scipy.stats import t  # takes half a second to import

    if se is None:
        return UNSURE
    half_width = float(t.isf(P_THRESHOLD / 2, n - 1)) * se
    if difference + half_width <= ALIKE:
        return HOLDS
    return FAILS if difference - half_width > ALIKE else UNSURE


def _paired_p(mean: float | None, se: float | None, n: int) -> float | None:
    """Return the p-value of the two-sided t-test of paired differences; None for fewer than two."""
    from scipy.stats import t  # takes half a second to import

    if mean is None or se is None:
        return None
    if se == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * t.sf(abs(mean) / se, n - 1))
