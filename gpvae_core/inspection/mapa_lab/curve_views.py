"""The curves against S, the number of draws, that the MAPA Lab shows, as plain numpy data."""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.inspection.views import Array, Indices, Value


@dataclass(frozen=True)
class DrawsCurve:
    """One method at J values of S."""

    method: str
    draws: Array
    """(J,) values of S."""


@dataclass(frozen=True)
class BoundCurve(DrawsCurve):
    """The bound of eq. 10 under one proposal and one rule for k: the method is 'MAPA', 'MAPA-GT' or 'MAPA-naive'."""

    rule: str
    """The rule by which k follows S: 'k = 10 % of S', 'k = 90 % of S', 'k = 5'."""
    k: Indices
    """(J,) k at each S."""
    bound: tuple[Value, ...]
    """J means over points and draws, with their standard error."""
    gap: tuple[Value, ...]
    """J means of log p(x) of the empiricalized model minus the bound: points differ less in it than in the bound."""


@dataclass(frozen=True)
class BoundView:
    """Bound against S under the ground-truth decoder and the true latents."""

    curves: tuple[BoundCurve, ...]
    empirical: Value
    """Mean log p(x) of the empiricalized model (eq. 4), which every bound is below."""
    true: Value
    """Mean log p(x) of the model with the continuous prior."""
    points: int
    """Training points of which means are taken, a seeded sample."""
    repeats: int
    """Draws of each."""
    bandwidth: float


@dataclass(frozen=True)
class KlCurve(DrawsCurve):
    """Test KL from a finished comparison."""

    kl: tuple[Value, ...]
    """J means of KL(p_GT || p_model) over draws of the data, with their standard error; nats."""
    n: tuple[int, ...]
    """Draws of the data behind each."""


@dataclass(frozen=True)
class KlView:
    """Fig. 2-3 (left): test KL against S on one data set."""

    dataset: str
    curves: tuple[KlCurve, ...]
    flat: tuple[tuple[str, Value], ...]
    """Methods without an S (VAE), as lines across."""
    claims: tuple[str, ...] = ()
    """What the paper's text says of this set, and whether it holds here, a line each."""
    sweep: str = ""
    """Which sweep the figures are of, in words."""


@dataclass(frozen=True)
class PassCurve(DrawsCurve):
    """Network passes for each point of a batch."""

    decoder: tuple[Value, ...]
    """J decoder passes per point (Fig. 4); mean over batches, se None where it is exact."""
    both: tuple[Value, ...]
    """J encoder and decoder passes per point (Fig. 5)."""


@dataclass(frozen=True)
class PassesView:
    """Fig. 4-5: the cost of a gradient step."""

    curves: tuple[PassCurve, ...]
    batch: int
    n_total: int
    bandwidth: float
