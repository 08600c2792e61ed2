"""Checks shared by several kernels."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError

ROWS = 8192
"""Rows checked in one batch, so that no second array of the data's size is allocated."""


def check_finite(x: Float[Tensor, "B P"]) -> None:
    """Raise UserError if a value is NaN or infinite."""
    wrong = sum(int((~part.isfinite()).sum()) for part in x.split(ROWS))
    if wrong:
        raise UserError(
            f"wanted finite values for the kernel, got {wrong} that are nan or infinite; are the data damaged?"
        )


def check_rho(rho: float) -> None:
    """Raise UserError unless 1/2 < rho < 1: k does not depend on x_i at 1/2, and is not softened at 1."""
    if not 0.5 < rho < 1.0:
        raise UserError(f"wanted the kernel's rho between 0.5 and 1, both left out, as 0.9, got {rho:g}")
