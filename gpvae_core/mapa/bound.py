"""Lower bound on log p(x) of an empiricalized model from an index posterior (Yacoby et al. 2024, eq. 10 and 29).

Eq. 29: log( sum_{i in B(k)} p(x|i) + 1/S sum_s p(x|i_s) / q~(i_s|n) ) - log N, where B(k) are the k most probable
indices and i_s are draws from q~, the posterior renormalised over the other indices (eq. 9).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError


def check_counts(k: int, samples: int, n_total: int) -> None:
    """Raise UserError if k and S = `samples` do not define a bound over N = `n_total` training points."""
    if not 0 <= k <= n_total or samples < 0:
        raise UserError(f"wanted k from 0 to the {n_total} training points and S of at least 0, got k={k}, S={samples}")
    if k + samples == 0:
        raise UserError("k=0 and S=0 leave the bound without a term: wanted k or S of at least 1")
    if k == n_total and samples:
        raise UserError(
            f"k={k} includes every training point, which leaves none to draw: wanted S=0, got S={samples}; "
            "a smaller k, or draws=0"
        )


def mapa_bound(
    log_p_head: Float[Tensor, "B k"],
    log_p_tail: Float[Tensor, "B S"],
    log_q_tail: Float[Tensor, "B S"],
    n_total: int,
) -> Float[Tensor, " B"]:
    """Return the bound of eq. 29 in nats; its mean over draws i_s is at most log p(x) of eq. 4, and k = N is exact.

    At k = 1, S = 0 it is log p(x_n | f(g(x_n))) - log N, the autoencoder's loss (B.1). At k = 0 all indices are drawn.

    Args:
        log_p_head: log p(x_n | i), i in B_n(k).
        log_p_tail: log p(x_n | i_s).
        log_q_tail: log q~(i_s | n); no gradient flows through it.

    Raises:
        UserError: k and S are both 0, k exceeds N, or S > 0 although k = N leaves nothing to draw.
    """
    samples = log_p_tail.shape[1]
    check_counts(log_p_head.shape[1], samples, n_total)
    # eq. 29: the sum over B_n(k) is exact; the rest is estimated by 1/S sum_s p(x_n | i_s) / q~(i_s | n).
    # NOTE: the detached q~ is a fixed proposal, as in importance sampling with draws that are not reparametrised.
    weighted = log_p_tail - log_q_tail.detach().to(log_p_tail) - math.log(max(samples, 1))
    return torch.logsumexp(torch.cat([log_p_head, weighted], dim=1), dim=1) - math.log(n_total)
