"""Cholesky factors of kernel matrices, with a jitter that grows where rounding makes a matrix indefinite."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError

LARGEST_JITTER = 1e-2
"""Largest jitter that is tried, relative to the mean of the diagonal; beyond it the model would be another."""
GROWTH = 10.0
"""Factor from one jitter that is tried to the next."""
SECOND_JITTER = 1e-12
"""Least jitter that is tried after the first: less is lost in rounding."""


def safe_cholesky(
    matrix: Float[Tensor, "*batch M M"],
    jitter: float,
    name: str,
    advice: str = "fewer inducing points, a shorter length scale or a larger jitter",
) -> Float[Tensor, "*batch M M"]:
    """Return L with L L' = matrix + jitter * mean(diagonal) * I, lower triangular; L is differentiable.

    Where that matrix is not positive definite, which the rank and the conditioning of a kernel matrix decide, the
    jitter grows by a factor of 10 up to LARGEST_JITTER.

    Args:
        jitter: the smallest jitter, relative to the mean of the diagonal; 0 for a matrix that mathematics make positive
            definite by themselves, as I + V S V'.
        name: name of the matrix in error messages.
        advice: what to try where the matrix is not positive definite.

    Raises:
        UserError: the matrix has values that are not finite, is zero, or is not positive definite at the largest
            jitter.
    """
    scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    size = matrix.shape[-1]
    what = f"the {name} ({size} x {size})"
    if not bool(torch.isfinite(matrix).all()):
        raise UserError(f"{what} has values that are not finite: try a smaller learning rate (--set lr=...)")
    if size and not bool((scale > 0).all()):
        raise UserError(f"{what} has a diagonal of zero or below: try a smaller learning rate (--set lr=...)")
    eye = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    while jitter <= LARGEST_JITTER:
        factor, failed = torch.linalg.cholesky_ex(matrix + jitter * scale * eye if jitter else matrix)
        if not bool(failed.any()):
            return factor
        jitter = max(GROWTH * jitter, SECOND_JITTER)
    raise UserError(
        f"{what} is not positive definite, even with {LARGEST_JITTER:g} of its mean diagonal added to it: try {advice}"
    )


def cholesky_of_identity_plus(matrix: Float[Tensor, "*batch M M"], name: str) -> Float[Tensor, "*batch M M"]:
    """Return L with L L' = I + matrix, where the matrix has no negative eigenvalues but for rounding.

    Raises:
        UserError: as `safe_cholesky`.
    """
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return safe_cholesky(eye + matrix, 0.0, name, "a larger least_variance or a smaller learning rate (--set lr=...)")
