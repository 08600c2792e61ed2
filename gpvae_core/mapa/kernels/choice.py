"""The kernel that belongs to a likelihood, with the settings that were given for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gpvae_core.errors import UserError
from gpvae_core.mapa.kernels.base import KERNELS, Kernel


def kernel_settings(likelihood: str) -> tuple[str, ...]:
    """Return names of the settings of this likelihood's kernel. Raises UserError where it has no kernel."""
    return tuple(field.name for field in fields(KERNELS.get(likelihood)))  # pyright: ignore[reportArgumentType]


def build_kernel(likelihood: str, given: Mapping[str, Any]) -> Kernel:
    """Return the kernel of this kind of likelihood; what is not given has its default.

    Raises:
        UserError: a setting that it does not have, or a value out of range.
    """
    known = kernel_settings(likelihood)
    wrong = [name for name in given if name not in known]
    if wrong:
        raise UserError(
            f"'{wrong[0]}' is no setting of the kernel that goes with the '{likelihood}' likelihood, which has "
            f"{' and '.join(known)}: leave it out"
        )
    return KERNELS.get(likelihood)(**given)
