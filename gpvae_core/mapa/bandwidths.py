"""What may choose the width of MAPA's kernel. Without torch: the pages offer it before that is loaded."""

from typing import Literal, get_args

Bandwidth = Literal["sigma_x", "validation"]
"""The likelihood's sigma_x, or the best on validation images."""
BANDWIDTHS: tuple[Bandwidth, ...] = get_args(Bandwidth)
