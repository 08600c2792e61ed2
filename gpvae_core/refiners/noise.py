"""The noise of a refiner's steps: the same for every image, so that an answer depends on no other in the batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FIXED_SEED = 0
"""Where no generator is given, every call has the same noise: asking twice gives one answer."""


def step_noise(
    steps: int, k: int, like: Float[Tensor, "B D"], generator: torch.Generator | None = None
) -> list[Float[Tensor, "K 1 D"]]:
    """k standard normal samples for each step, with the device and type of `like`.

    An even k gives antithetic pairs whose second moments are matched to 1: all of them where k/2 >= D, those of each
    dimension elsewhere. The gradient of an expected quadratic is then exact (but for its mixed terms where k/2 < D).
    """
    source = torch.Generator().manual_seed(FIXED_SEED) if generator is None else generator
    with torch.autocast(source.device.type, enabled=False):
        return [_balanced(k, like.shape[-1], source).to(like).unsqueeze(1) for _ in range(steps)]


def _balanced(k: int, d: int, generator: torch.Generator) -> Float[Tensor, "K D"]:
    if k % 2 == 1:
        return torch.randn(k, d, generator=generator, device=generator.device)
    half = torch.randn(k // 2, d, generator=generator, device=generator.device)
    half = half / half.square().mean(0).sqrt()
    if k // 2 >= d:
        chol = torch.linalg.cholesky(half.T @ half / len(half))
        half = torch.linalg.solve_triangular(chol, half.T, upper=False).T
    return torch.cat([half, -half])
