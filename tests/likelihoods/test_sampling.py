"""Images drawn from every likelihood have its density."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.likelihoods import LIKELIHOODS

KINDS = list(LIKELIHOODS.summaries())
OUTPUTS = torch.tensor([-30.0, -2.0, -0.3, 0.0, 0.5, 3.0, 40.0], dtype=torch.float64)
N = 40_000


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_drawn_pixels_have_the_mean_and_the_density_that_the_likelihood_states(kind: str) -> None:
    """E_p(x|g)[p(x|h) / p(x|g)] = 1 for any other output h."""
    likelihood = LIKELIHOODS.get(kind)().build().double()
    g = OUTPUTS.view(-1, 1, 1, 1).expand(N, -1, 1, 1, 1)
    x = likelihood.sample(g, torch.Generator().manual_seed(0))
    assert x.shape == g.shape
    error = x.std(0).squeeze() / N**0.5
    assert torch.all((x.mean(0) - likelihood.mean(g[0])).squeeze().abs() < 4 * error + 1e-9)
    for h in (g - 0.2, g + 0.15):
        ratio = (likelihood.log_prob(x, h) - likelihood.log_prob(x, g)).exp()
        assert torch.all((ratio.mean(0) - 1.0).abs() < 4 * ratio.std(0) / N**0.5 + 1e-9)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_draws_follow_the_generator_and_stay_finite_for_any_output(kind: str) -> None:
    likelihood = LIKELIHOODS.get(kind)().build()
    g = torch.tensor([-1e4, -90.0, 0.0, 1e-9, 90.0, 1e4]).view(-1, 1, 1, 1)
    draws = [likelihood.sample(g, torch.Generator().manual_seed(seed)) for seed in (1, 1)]
    assert torch.equal(*draws)
    assert torch.all(draws[0].isfinite())
