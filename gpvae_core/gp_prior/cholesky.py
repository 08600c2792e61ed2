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


def safe_cholesky(matrix: Float[Tensor, "*batch M M"], jitter: float, name: str) -> Float[Tensor, "*batch M M"]:
    """Return L with L L' = matrix + jitter * mean(diagonal) * I, lower triangular; L is differentiable.

    Where that matrix is not positive definite, which the rank and the conditioning of a kernel matrix decide, the
    jitter grows by a factor of 10 up to LARGEST_JITTER.

    Args:
        jitter: the smallest jitter, relative to the mean of the diagonal; greater than 0.
        name: name of the matrix in error messages.

    Raises:
        UserError: the matrix has values that are not finite, or is not positive definite at the largest jitter.
    """
    if not bool(torch.isfinite(matrix).all()):
        raise UserError(f"the {name} has values that are not finite: try a smaller learning rate")
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    while jitter <= LARGEST_JITTER:
        factor, failed = torch.linalg.cholesky_ex(matrix + jitter * scale * eye)
        if not bool(failed.any()):
            return factor
        jitter *= GROWTH
    size = matrix.shape[-1]
    raise UserError(
        f"the {name} ({size} x {size}) is not positive definite, even with {LARGEST_JITTER:g} of its mean diagonal "
        "added to it: try fewer inducing points, a shorter length scale or a larger jitter"
    )
