"""Files of gaps are found again by how log p(x) was found."""

from __future__ import annotations

import pytest

from gpvae_core.inspection.gap_sample import named_truth
from gpvae_core.truth.settings import EstimatorName, TruthSettings
from gpvae_core.truth.truth import truth_for
from tests.oracles import LinearGaussianVAE


@pytest.mark.parametrize(
    ("d", "name", "named"),
    [
        (1, "auto", {"truth": "line"}),
        (2, "auto", {}),
        (2, "ais", {"truth": "ais"}),
        (3, "auto", {"truth": "ais"}),
        (3, "iwae", {"truth": "iwae"}),
    ],
)
def test_only_the_grid_has_no_name(d: int, name: EstimatorName, named: dict[str, str]) -> None:
    """Files without a name hold the grid's gaps at d = 2, at d = 1 old ones by importance sampling."""
    model = LinearGaussianVAE.make(d, (1, 4, 4), 0.5).vae()
    assert named_truth(truth_for(model, TruthSettings(name=name))) == named
