"""The views of an encoder's uncertainty in the Posterior Explorer, as plain numpy data: of one image, and Fig. 1."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.views import Array, Indices, PosteriorView


@dataclass(frozen=True)
class UncertaintyCorrelation:
    """A rank correlation with a bootstrap interval: Spearman's rho, 95 % interval, number of instances."""

    against: str
    rho: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class UncertaintyView:
    """View 2: the GP encoder's uncertainty of one instance, among all test instances, in squared latent units."""

    trace_f: float
    trace_h: float
    per_dimension_f: Array
    """(D,) V[f_j]."""
    per_dimension_h: Array
    """(D,) V[h_j]."""
    per_dimension_v: Array
    """(D,) v_j, the variance of q(z|x); V[f_j] and V[h_j] are parts of it unless q(z|x) is refined (eq. 13)."""
    all_trace_f: Array
    """(N,) Tr V[f] of the test instances."""
    all_trace_h: Array
    """(N,) Tr V[h] of the test instances."""
    percentile: float
    """Share of test instances with a smaller Tr V[f] + Tr V[h], 0 to 100."""
    scatter_index: Indices
    """(M,) test indices of the instances in the scatter, those with computed gaps."""
    scatter_uncertainty: Array
    """(M,) Tr V[f] + Tr V[h] of these."""
    per_dimension_range: tuple[float, float]
    """Smallest and largest positive V[f_j], V[h_j] over the test instances; (0, 0) if there is none."""
    scatter: dict[str, Array] = field(default_factory=dict)
    """Quantity -> (M,): 'inference gap', 'approximation gap', 'amortization gap', 'negentropy' in nats, and, at d = 2,
    'number of modes'."""
    correlations: tuple[UncertaintyCorrelation, ...] = ()

    @property
    def share(self) -> float:
        """Tr V[f] + Tr V[h] as a share of Tr v, from 0 to 1."""
        return (self.trace_f + self.trace_h) / float(self.per_dimension_v.sum())


@dataclass(frozen=True)
class FigureOneItem:
    """One of the six instances of Fig. 1."""

    index: int
    uncertainty: float
    posterior: PosteriorView | LineView
    image: Array
    reconstruction: Array
    variance: float
    """Tr v, the variance of q(z|x), for comparison with `uncertainty`."""
