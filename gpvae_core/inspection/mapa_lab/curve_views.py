"""The curves against S, the number of draws, in the MAPA Lab, as plain numpy data."""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.inspection.views import Array, Indices, Value


@dataclass(frozen=True)
class DrawsCurve:
    """Base class of a method's results at J values of S."""

    method: str
    draws: Array
    """(J,) values of S."""


@dataclass(frozen=True)
class BoundCurve(DrawsCurve):
    """The bound of eq. 10 under one proposal and one rule for k: the method is 'MAPA', 'MAPA-GT' or 'MAPA-naive'."""

    rule: str
    """The rule for k: 'k = 10 % of S', 'k = 90 % of S', 'k = 5'."""
    k: Indices
    """(J,) k at each S."""
    bound: tuple[Value, ...]
    """J means over points and draws, with their standard errors."""
    gap: tuple[Value, ...]
    """J means of log p(x) of the empiricalized model minus the bound, which varies less over points than the bound."""


@dataclass(frozen=True)
class BoundView:
    """The bound against S under the ground-truth decoder and the true latents."""

    curves: tuple[BoundCurve, ...]
    empirical: Value
    """Mean log p(x) of the empiricalized model (eq. 4), an upper bound of every bound's mean."""
    true: Value
    """Mean log p(x) of the model with the continuous prior."""
    points: int
    """Number of training points over which means are taken, a seeded sample."""
    repeats: int
    """Number of draws per point."""
    bandwidth: float


@dataclass(frozen=True)
class KlCurve(DrawsCurve):
    """Test KL from the results of a comparison."""

    kl: tuple[Value, ...]
    """J means of KL(p_GT || p_model) over draws of the data, with their standard errors; nats."""
    n: tuple[int, ...]
    """Number of draws of the data in each mean."""


@dataclass(frozen=True)
class KlView:
    """Test KL against S on one data set, as in Fig. 2-3 (left)."""

    dataset: str
    curves: tuple[KlCurve, ...]
    flat: tuple[tuple[str, Value], ...]
    """Methods without S, such as a VAE, drawn as horizontal lines."""
    claims: tuple[str, ...] = ()
    """One line on each statement of the paper about this set, and whether it holds here."""
    sweep: str = ""
    """The sweep of the results, in words."""


@dataclass(frozen=True)
class PassCurve(DrawsCurve):
    """Network passes per point of a batch."""

    decoder: tuple[Value, ...]
    """J decoder passes per point (Fig. 4), as means over batches."""
    both: tuple[Value, ...]
    """J encoder and decoder passes per point (Fig. 5)."""


@dataclass(frozen=True)
class PassesView:
    """The cost of a gradient step against S, as in Fig. 4-5."""

    curves: tuple[PassCurve, ...]
    batch: int
    n_total: int
    bandwidth: float
