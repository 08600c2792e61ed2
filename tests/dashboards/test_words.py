"""What the pages say: each number beside its scale, and each family of posteriors by its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboards.explorer.all_images import rank
from dashboards.lab.words import mapa_words
from gpvae_core.inspection.views import UncertaintyView


@pytest.mark.parametrize(
    ("kl", "words"),
    [(0.1, "closely"), (0.9, "roughly"), (1.9, "poorly"), (74.28, "less well than the uniform distribution")],
)
def test_the_kl_of_mapa_stands_beside_that_of_the_uniform_distribution(kl: float, words: str) -> None:
    said = mapa_words(kl, 2.0, "training images")
    assert f"KL(empiricalized ‖ MAPA) = {kl:.2f} nats; for the uniform distribution" in said
    assert "it is 2.00 nats" in said
    assert said.endswith(f"{words}.")


def uncertainty_view(trace_f: float, percentile: float) -> UncertaintyView:
    """V[f] of 100 test images from 0 to 1, beside a variance v of 0.5 and no V[h]."""
    nothing = np.zeros(100)
    return UncertaintyView(
        trace_f, 0.0, np.array([trace_f]), np.zeros(1), np.array([0.5]), np.linspace(0, 1, 100), nothing, percentile,
        np.arange(0), nothing, (1e-6, 1.0),
    )  # fmt: skip


def test_an_uncertainty_stands_beside_the_variance_of_which_it_is_a_part() -> None:
    view = uncertainty_view(1.5e-6, 67.0)
    assert rank(view) == (
        "the encoder is less certain here than on 67 % of the test images (Tr V[f] + Tr V[h] is 0.0003 % of Tr v, the "
        "variance of q(z|x))"
    )
    assert "more certain here than on any test image (" in rank(replace(view, percentile=0.0))
    assert "less certain here than on any other test image (" in rank(replace(view, percentile=100.0))
