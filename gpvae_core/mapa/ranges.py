"""Ranges of the hyper-parameters of MAPA's kernels; without torch, which the pages import late."""

from __future__ import annotations

from gpvae_core.errors import UserError

SMALLEST_BANDWIDTH, LARGEST_BANDWIDTH = 1e-15, 1e15
"""Bounds of a bandwidth, whose square float32 must hold."""
BANDWIDTH_RANGE = f"from {SMALLEST_BANDWIDTH:g} to {LARGEST_BANDWIDTH:g}"
SMALLEST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-30, 1e30
"""Bounds of a temperature, by which a log kernel of up to 1e15 nats can be divided in float64."""


def is_bandwidth(value: float | int) -> bool:
    """Return whether a number is a bandwidth with which the kernel can be computed; NaN is none."""
    return SMALLEST_BANDWIDTH <= value <= LARGEST_BANDWIDTH


def check_bandwidth(value: float | int) -> None:
    """Raise UserError unless a number is a bandwidth."""
    if not is_bandwidth(value):
        raise UserError(
            f"wanted a kernel bandwidth above 0 (a scale in pixel units, as sigma_x), {BANDWIDTH_RANGE}, got {value:g}"
        )


def check_temperature(value: float | int) -> None:
    """Raise UserError unless a number is a temperature with which the kernel can be computed; NaN is none."""
    if not SMALLEST_TEMPERATURE <= value <= LARGEST_TEMPERATURE:
        raise UserError(
            f"wanted a kernel temperature above 0 (1 leaves it as it is), from {SMALLEST_TEMPERATURE:g} to "
            f"{LARGEST_TEMPERATURE:g}, got {value:g}"
        )
