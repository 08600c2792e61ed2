"""Gradients are scaled down to a multiple of Adam's usual ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gpvae_core.clipping import clip_gradients

MOST = 3.0


def optimizer(*sizes: int) -> torch.optim.Adam:
    return torch.optim.Adam([nn.Parameter(torch.zeros(size)) for size in sizes], lr=0.1)


def step(adam: torch.optim.Adam, *gradients: torch.Tensor) -> list[torch.Tensor]:
    """Take a step with these gradients; return them as they were clipped."""
    parameters = adam.param_groups[0]["params"]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    clip_gradients(adam, MOST)
    clipped = [parameter.grad.clone() for parameter in parameters]
    adam.step()
    return clipped


def test_a_large_gradient_has_the_norm_of_a_multiple_of_the_mean_square() -> None:
    adam, generator = optimizer(4, 2), torch.Generator().manual_seed(0)
    past: list[torch.Tensor] = []
    for _ in range(5):
        g = torch.randn(4, generator=generator)
        assert torch.equal(step(adam, g, torch.ones(2))[0], g)
        past.append(g)
    # v after 5 steps, without its bias: the mean of the squares with weights 0.999^age.
    weights = 0.999 ** torch.arange(4.0, -1.0, -1.0)
    usual = ((weights[:, None] * torch.stack(past).square()).sum(0) / weights.sum()).sum().sqrt()
    large = 100 * torch.randn(4, generator=generator)
    clipped, other = step(adam, large, torch.ones(2))
    torch.testing.assert_close(clipped, large * MOST * usual / large.norm())
    assert torch.equal(other, torch.ones(2)), "each tensor has its own norm"


def test_scales_of_the_loss_do_not_matter() -> None:
    for scale in (1e-6, 1.0, 1e8):
        adam = optimizer(3)
        step(adam, scale * torch.ones(3))
        (clipped,) = step(adam, scale * torch.full((3,), 50.0))
        torch.testing.assert_close(clipped, scale * torch.full((3,), MOST))


@pytest.mark.parametrize("before", [None, 0.0])
def test_a_gradient_without_any_before_it_is_left(before: float | None) -> None:
    adam = optimizer(2)
    if before is not None:
        step(adam, torch.full((2,), before))
    (clipped,) = step(adam, torch.full((2,), 7.0))
    assert torch.equal(clipped, torch.full((2,), 7.0))


def test_a_frozen_tensor_has_no_gradient() -> None:
    adam = optimizer(2, 2)
    step(adam, torch.ones(2), torch.ones(2))
    frozen, other = adam.param_groups[0]["params"]
    frozen.grad, other.grad = None, torch.full((2,), 9.0)
    clip_gradients(adam, MOST)
    assert frozen.grad is None
    torch.testing.assert_close(other.grad, torch.full((2,), MOST))
