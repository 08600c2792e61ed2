"""MAPA, the model-agnostic posterior approximation (Yacoby et al. 2024)."""

from typing import Literal, get_args

# NOTE: no torch here. The pages offer these before torch is imported.
Bandwidth = Literal["sigma_x", "validation"]
"""What may choose the width of MAPA's kernel: the likelihood's sigma_x, or the mean density of validation images."""
BANDWIDTHS: tuple[Bandwidth, ...] = get_args(Bandwidth)
