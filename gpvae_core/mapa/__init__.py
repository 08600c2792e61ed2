"""MAPA, the model-agnostic posterior approximation (Yacoby et al. 2024)."""

from typing import Literal, get_args

# NOTE: do not import torch here: the pages read these names before torch is imported.
Bandwidth = Literal["sigma_x", "validation"]
"""Rule for the width of MAPA's kernel: the likelihood's sigma_x, or the highest log density of validation images."""
BANDWIDTHS: tuple[Bandwidth, ...] = get_args(Bandwidth)
