"""The bound on log p(x) of an empiricalized model by an index posterior (Yacoby et al. 2024, eq. 10 and 29).

Eq. 29: log( sum_{i in B(k)} p(x|i) + 1/S sum_s p(x|i_s) / q~(i_s|n) ) - log N. B(k) are the k most probable indices;
i_s is drawn from q~, the posterior renormalised over the others (eq. 9).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError


def check_counts(k: int, samples: int, n_total: int) -> None:
    """Raises UserError where k and S do not go with N training points."""
    if not 0 <= k <= n_total or samples < 0:
        raise UserError(f"wanted k from 0 to the {n_total} training points and S of at least 0, got k={k}, S={samples}")
    if k + samples == 0:
        raise UserError("k=0 and S=0 leave the bound without a term: wanted k or S of at least 1")
    if k == n_total and samples:
        raise UserError(
            f"k={k} takes in every training point, which leaves none to draw: wanted S=0, got S={samples}; "
            "a smaller k, or draws=0"
        )


def mapa_bound(
    log_p_head: Float[Tensor, "B k"],
    log_p_tail: Float[Tensor, "B S"],
    log_q_tail: Float[Tensor, "B S"],
    n_total: int,
) -> Float[Tensor, " B"]:
    """Eq. 29 in nats. Its mean over draws of i_s lies below log p(x) of eq. 4; k = N is exact.

    At k = 1, S = 0 it is log p(x_n | f(g(x_n))) - log N, the autoencoder's loss (B.1). At k = 0 it is all drawn.

    Args:
        log_p_head: log p(x_n | i), i in B_n(k).
        log_p_tail: log p(x_n | i_s).
        log_q_tail: log q~(i_s | n); no gradient flows through it.

    Raises:
        UserError: neither k nor S, more of k than N, or draws where k = N leaves nothing to draw.
    """
    samples = log_p_tail.shape[1]
    check_counts(log_p_head.shape[1], samples, n_total)
    # eq. 29: the sum over B_n(k) as it is; the rest by importance, 1/S sum_s p(x_n | i_s) / q~(i_s | n)
    weighted = log_p_tail - log_q_tail.detach().to(log_p_tail) - math.log(max(samples, 1))
    return torch.logsumexp(torch.cat([log_p_head, weighted], dim=1), dim=1) - math.log(n_total)
