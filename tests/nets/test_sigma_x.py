"""Whether sigma_x is learned or kept: what an optimizer over all parameters of the likelihood makes of it."""

from __future__ import annotations

import math

import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.likelihoods import GaussianConfig, GaussianLikelihood

SHAPE = (1, 8, 8)
START, SPREAD = 0.1, 0.3


def trained(likelihood: GaussianLikelihood) -> float:
    """sigma_x after maximising log p(x|g) of images that scatter around g by SPREAD."""
    noise = torch.randn(200, *SHAPE, generator=torch.Generator().manual_seed(0))
    x, g = SPREAD * noise / noise.square().mean().sqrt(), torch.zeros(200, *SHAPE, requires_grad=True)
    optimizer = torch.optim.Adam([*likelihood.parameters(), torch.nn.Parameter(torch.zeros(()))], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-likelihood.log_prob(x, g).mean() / math.prod(SHAPE)).backward()
        optimizer.step()
    return float(likelihood.sigma_x.detach())


def test_learned_it_becomes_the_root_mean_square_error() -> None:
    """The maximum of sum log N(x; g, sigma^2)."""
    assert trained(GaussianConfig(sigma_x=START).build()) == pytest.approx(SPREAD, rel=1e-2)


def test_fixed_it_stays() -> None:
    likelihood = GaussianConfig(sigma_x=START, learn_sigma_x=False).build()
    assert not any(parameter.requires_grad for parameter in likelihood.parameters())
    assert trained(likelihood) == pytest.approx(START, rel=1e-6)


@pytest.mark.parametrize("learn", [True, False])
def test_a_runs_settings_decide(learn: bool) -> None:
    settings = {"likelihood.learn_sigma_x": learn, "sigma_x": START}
    model = make_config("gp", DataConfig(name="digits"), SHAPE, settings).build(SHAPE)
    assert isinstance(model.likelihood, GaussianLikelihood)
    assert float(model.likelihood.sigma_x.detach()) == pytest.approx(START)
    trainable = {name for name, value in model.named_parameters() if value.requires_grad}
    assert any(name.startswith("likelihood.") for name in trainable) is learn
