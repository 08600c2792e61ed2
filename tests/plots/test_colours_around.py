"""The colours of a number with a period, as colour-blind readers see them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gpvae_core.plots.theme import THEMES, Theme

# Machado et al. 2009, severity 1: linear RGB as seen without green and without red cones.
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
WHITE = [0.9505, 1.0, 1.089]


def lab(colour: str, seen: list[list[float]]) -> np.ndarray:
    """CIE L*a*b* of a colour under a deficiency."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(TO_XYZ) @ np.clip(np.array(seen) @ linear, 0, 1) / np.array(WHITE)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("seen", [np.eye(3).tolist(), DEUTERANOPIA, PROTANOPIA], ids=["all", "deuter", "prot"])
def test_colours_of_a_period_are_distinct_and_meet(theme: Theme, seen: list[list[float]]) -> None:
    assert theme.around[0] == theme.around[-1]
    colours = [lab(colour, seen) for colour in theme.around[:-1]]
    for (i, left), (j, right) in itertools.combinations(enumerate(colours), 2):
        apart = min(j - i, len(colours) - (j - i))
        assert np.linalg.norm(left - right) > (8 if apart == 1 else 20), (theme.around[i], theme.around[j])
