"""Checks that several kernels share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError

ROWS = 8192
"""Rows looked at together, so that no second array of the data's size is made."""


def check_finite(x: Float[Tensor, "B P"]) -> None:
    """Raises UserError where a value is nan or infinite."""
    wrong = sum(int((~part.isfinite()).sum()) for part in x.split(ROWS))
    if wrong:
        raise UserError(
            f"wanted finite values for the kernel, got {wrong} that are nan or infinite; are the data damaged?"
        )


def check_rho(rho: float) -> None:
    """Raises UserError where k does not depend on x_i (rho = 1/2) or is not softened (rho = 1)."""
    if not 0.5 < rho < 1.0:
        raise UserError(f"wanted the kernel's rho between 0.5 and 1, both left out, as 0.9, got {rho:g}")
