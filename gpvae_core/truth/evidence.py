"""log p(x) of several instances, how it was found, and how far each is to be trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpvae_core.truth.pareto import K_HAT_LIMIT

Array = NDArray[np.float64]
MIN_ESS = 10.0
"""Effective samples (or chains) below which an estimate is not trusted: its standard error is then 0.3 nats or more."""
QUADRATURES = ("line", "grid")
"""Kinds of evidence that are quadrature; the others are lower bounds in expectation."""


@runtime_checkable
class KnownPosterior(Protocol):
    """p(z|x) of one image by quadrature."""

    @property
    def log_px(self) -> float: ...

    @property
    def passed(self) -> bool: ...

    def negentropy(self) -> float: ...

    def modes(self) -> Array: ...


@dataclass(frozen=True)
class Evidence:
    """log p(x) of B instances in nats, how it was found and how surely; what is not known of its kind is None.

    >>> import numpy as np
    >>> error, ess = np.array([0.1, 0.4]), np.array([40.0, 5.0])
    >>> found = Evidence("ais", np.array([-7.9, -8.1]), k=64, steps=30, se=error, ess=ess)
    >>> found.exact, found.trusted.tolist()
    (False, [True, False])
    """

    kind: str
    """'line' or 'grid' (quadrature at d = 1 or 2); 'ais' or 'iwae' (annealed or plain importance sampling, lower bounds
    in expectation)."""
    log_px: Array
    k: int | None = None
    """Importance samples ('iwae') or chains ('ais')."""
    steps: int | None = None
    """Temperatures ('ais')."""
    se: Array | None = None
    """Standard error of each log_px, nats."""
    ess: Array | None = None
    """Effective sample size of each, of k."""
    k_hat: Array | None = None
    """Pareto-k of each one's weights ('iwae')."""
    negentropy: Array | None = None
    """Entropy of the Gaussian with the posterior's moments minus the posterior's, nats ('grid', as what follows; this
    and `passed` also 'line')."""
    n_modes: NDArray[np.int64] | None = None
    passed: NDArray[np.bool_] | None = None
    """Whether the checks of the quadrature (mass outside, halving the step, cells spanned) passed."""
    refined: NDArray[np.bool_] | None = None
    """Whether the atlas was too coarse or too small, so that a grid was decoded for this instance."""
    modes: tuple[Array, ...] | None = None
    """Modes (J, 2) of each instance, highest first."""

    @staticmethod
    def of_posteriors(kind: str, posteriors: Sequence[KnownPosterior]) -> Evidence:
        """Return what posteriors by quadrature say, without computing anything again."""
        modes = tuple(one.modes() for one in posteriors)
        return Evidence(
            kind=kind,
            log_px=np.array([one.log_px for one in posteriors]),
            negentropy=np.array([one.negentropy() for one in posteriors]),
            n_modes=np.array([len(m) for m in modes]),
            passed=np.array([one.passed for one in posteriors]),
            modes=modes,
        )

    @property
    def exact(self) -> bool:
        """Whether log_px is by quadrature; otherwise it is a lower bound in expectation."""
        return self.kind in QUADRATURES

    def first(self, n: int) -> Evidence:
        """Return the evidence of the first n instances."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return dataclasses.replace(self, **{name: None if v is None else v[:n] for name, v in columns.items()})

    @staticmethod
    def joined(parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of all instances from that of its parts, all found in the same way."""
        columns = {name: [getattr(part, name) for part in parts] for name in COLUMNS}
        modes = None if parts[0].modes is None else sum((part.modes or () for part in parts), ())
        whole = {name: None if v[0] is None else np.concatenate(v) for name, v in columns.items() if name != "modes"}
        return dataclasses.replace(parts[0], **whole, modes=modes)

    @property
    def untrusted(self) -> NDArray[np.bool_]:
        """Failed checks of the quadrature, k_hat above K_HAT_LIMIT, or fewer than MIN_ESS effective samples; (B,)."""
        bad = np.zeros(len(self.log_px), dtype=bool)
        if self.passed is not None:
            bad |= ~self.passed
        if self.k_hat is not None:
            bad |= self.k_hat > K_HAT_LIMIT
        if self.ess is not None:
            bad |= ~(self.ess >= MIN_ESS)
        return bad

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """Whether each log_px is to be trusted, (B,)."""
        return ~self.untrusted

    @property
    def how_words(self) -> str:
        """How it was found, in words that follow 'by'."""
        words = {
            "line": "quadrature along the latent line",
            "grid": "quadrature on a grid",
            "ais": f"annealed importance sampling ({self.k or 0:,} chains, {self.steps or 0:,} temperatures)",
            "iwae": f"{self.k or 0:,} importance samples",
        }
        return words[self.kind]

    @property
    def rms_error(self) -> float | None:
        """Root mean square of the standard errors, nats; None where there are none, as for quadrature."""
        return None if self.se is None else float(np.sqrt(np.mean(np.square(self.se))))


COLUMNS = tuple(f.name for f in dataclasses.fields(Evidence) if f.name not in ("kind", "k", "steps"))
"""Fields of Evidence that have an entry for each instance."""
