"""Construction of the kernel that belongs to a likelihood, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gpvae_core.errors import UserError
from gpvae_core.mapa.kernels.base import KERNELS, Kernel


def kernel_settings(likelihood: str) -> tuple[str, ...]:
    """Return the names of the settings of this likelihood's kernel. Raises UserError if it has no kernel."""
    return tuple(field.name for field in fields(KERNELS.get(likelihood)))  # pyright: ignore[reportArgumentType]


def build_kernel(likelihood: str, given: Mapping[str, Any]) -> Kernel:
    """Return the kernel of this kind of likelihood with the given settings, and defaults for the others.

    Raises:
        UserError: the kernel does not have a given setting, or a value is out of range.
    """
    known = kernel_settings(likelihood)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UserError(
            f"'{unknown[0]}' is not a setting of the kernel for the '{likelihood}' likelihood, which has "
            f"{' and '.join(known)}: leave it out"
        )
    return KERNELS.get(likelihood)(**given)
