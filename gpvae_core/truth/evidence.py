"""Estimates of log p(x) of several images, with the diagnostics that tell which of them can be trusted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gpvae_core.truth.pareto import K_HAT_LIMIT

Array = NDArray[np.float64]
MIN_ESS = 10.0
"""An estimate from fewer effective samples (or chains) is not trusted: its standard error is 0.3 nats or more."""
DISAGREEMENT = math.log(100.0)
"""An estimate is not trusted where samples of the prior alone give more than this above it, in nats: they have mean
p(x), so that they give 100 p(x) or more with a probability of at most 1 % (Markov), and the estimate lacks a mode."""
ERRORS = 3.5
"""Number of standard errors beyond which samples of the prior contradict an estimate below DISAGREEMENT too."""
ROUNDING = 0.05
"""Excess in nats up to which nothing is contradicted: log p(x|z) of thousands of nats is rounded, in float32."""
EvidenceKind = Literal["line", "grid", "ais", "iwae"]
QUADRATURES = ("line", "grid")
"""Kinds of evidence that are computed by quadrature; the others are lower bounds in expectation."""


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
    """log p(x) of B images in nats, with its diagnostics; a diagnostic that the estimator does not have is None.

    >>> import gpvae_core as gpvae
    >>> import numpy as np
    >>> se, ess = np.array([0.1, 0.4]), np.array([40.0, 5.0])
    >>> evidence = gpvae.Evidence("ais", np.array([-7.9, -8.1]), k=64, steps=30, se=se, ess=ess)
    >>> evidence.exact, evidence.trusted.tolist()
    (False, [True, False])
    """

    kind: EvidenceKind
    """'line' or 'grid' (quadrature at d = 1 or 2); 'ais' or 'iwae' (annealed or plain importance sampling, lower bounds
    in expectation)."""
    log_px: Array
    """(B,) log p(x) in nats."""
    k: int | None = None
    """Number of importance samples ('iwae') or chains ('ais') of each image."""
    steps: int | None = None
    """Number of temperatures ('ais')."""
    se: Array | None = None
    """(B,) standard error of log_px in nats ('ais', 'iwae')."""
    ess: Array | None = None
    """(B,) effective sample size, at most k ('ais', 'iwae')."""
    k_hat: Array | None = None
    """(B,) Pareto-k of the importance weights ('iwae')."""
    prior_log_px: Array | None = None
    """(B,) log p(x) by samples of the prior alone, a lower bound in expectation that is loose but misses no mode by
    design ('ais', 'iwae')."""
    prior_se: Array | None = None
    """(B,) standard error of prior_log_px in nats ('ais', 'iwae')."""
    negentropy: Array | None = None
    """(B,) entropy of the Gaussian with the posterior's moments minus the posterior's entropy ('line', 'grid')."""
    n_modes: NDArray[np.int64] | None = None
    """(B,) number of modes of the posterior ('grid')."""
    passed: NDArray[np.bool_] | None = None
    """(B,) whether the checks of the quadrature passed ('line', 'grid'): outside mass, halved step, cells spanned."""
    refined: NDArray[np.bool_] | None = None
    """(B,) whether the atlas was too coarse or too small, so that a grid was decoded for this image ('grid')."""
    modes: tuple[Array, ...] | None = None
    """Modes (J, 2) of each image, in order of falling density ('grid')."""

    @staticmethod
    def of_posteriors(kind: EvidenceKind, posteriors: Sequence[KnownPosterior]) -> Evidence:
        """Return the evidence of images whose true posteriors are known, without computing anything again.

        :meta private:
        """
        modes = tuple(posterior.modes() for posterior in posteriors)
        return Evidence(
            kind=kind,
            log_px=np.array([posterior.log_px for posterior in posteriors]),
            negentropy=np.array([posterior.negentropy() for posterior in posteriors]),
            n_modes=np.array([len(m) for m in modes]),
            passed=np.array([posterior.passed for posterior in posteriors]),
            modes=modes,
        )

    @property
    def exact(self) -> bool:
        """Whether log_px is computed by quadrature; otherwise it is a lower bound in expectation."""
        return self.kind in QUADRATURES

    def first(self, n: int) -> Evidence:
        """Return the evidence of the first n images."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return dataclasses.replace(self, **{name: None if v is None else v[:n] for name, v in columns.items()})

    @staticmethod
    def joined(parts: Sequence[Evidence]) -> Evidence:
        """Return the evidence of all images from that of its parts, which come from the same estimator."""
        columns = {name: [getattr(part, name) for part in parts] for name in COLUMNS}
        modes = None if parts[0].modes is None else sum((part.modes or () for part in parts), ())
        whole = {name: None if v[0] is None else np.concatenate(v) for name, v in columns.items() if name != "modes"}
        return dataclasses.replace(parts[0], **whole, modes=modes)

    @property
    def lacks_mode(self) -> NDArray[np.bool_]:
        """(B,) whether samples of the prior alone give more than log_px, by DISAGREEMENT or by ERRORS standard errors.

        Only DISAGREEMENT counts where an error is not known. The estimate starts in the best Gaussian: where this lies
        in a lesser mode, both the estimate and its error are too small.
        """
        if self.prior_log_px is None:
            return np.zeros(len(self.log_px), dtype=bool)
        allowed = np.full(len(self.log_px), DISAGREEMENT)
        if self.prior_se is not None and self.se is not None:
            # NOTE: s (1 + s) and not s. A mean in which 1/s^2 samples count is, for few, as uncertain as their number:
            # with this margin a Poisson number exceeds its expectation about as rarely as a normal one by that many s.
            prior_margin = ERRORS * self.prior_se * (1 + self.prior_se)
            margin = np.hypot(prior_margin, ERRORS * self.se)
            allowed = np.fmin(np.maximum(margin, ROUNDING), allowed)
        return self.prior_log_px - self.log_px > allowed

    @property
    def untrusted(self) -> NDArray[np.bool_]:
        """(B,) whether an estimate cannot be trusted.

        True where a check of the quadrature failed, k_hat is above K_HAT_LIMIT, the effective sample size is below
        MIN_ESS, or samples of the prior disagree (`lacks_mode`).
        """
        untrusted = self.lacks_mode
        if self.passed is not None:
            untrusted |= ~self.passed
        if self.k_hat is not None:
            # A k-hat of NaN (too few weights to fit a tail) does not condemn an estimate; an ESS of NaN does.
            untrusted |= self.k_hat > K_HAT_LIMIT
        if self.ess is not None:
            untrusted |= ~(self.ess >= MIN_ESS)
        return untrusted

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """(B,) whether an estimate can be trusted; the opposite of `untrusted`."""
        return ~self.untrusted

    @property
    def how_words(self) -> str:
        """The estimator and its settings, as words that complete "computed by ...": "512 importance samples"."""
        words = {
            "line": "quadrature along the latent line",
            "grid": "quadrature on a grid",
            "ais": f"annealed importance sampling ({self.k or 0:,} chains, {self.steps or 0:,} temperatures)",
            "iwae": f"{self.k or 0:,} importance samples",
        }
        return words[self.kind]

    @property
    def rms_error(self) -> float | None:
        """Root mean square of the standard errors in nats; None for quadrature, which has none."""
        return None if self.se is None else float(np.sqrt(np.mean(np.square(self.se))))


COLUMNS = tuple(f.name for f in dataclasses.fields(Evidence) if f.name not in ("kind", "k", "steps"))
"""Fields of Evidence that have one entry for each image."""
