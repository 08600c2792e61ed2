"""Noise that is the same for every image, so that an answer depends on no other image in the batch."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

FIXED_SEED = 0
"""Where no generator is given, every call has the same noise: asking twice gives one answer."""


def step_noise(
    steps: int, k: int, like: Float[Tensor, "B D"], generator: torch.Generator | None = None
) -> list[Float[Tensor, "K 1 D"]]:
    """Draw k standard normal samples for each step, with the device and type of `like`.

    An even k gives antithetic pairs whose second moments are matched to 1: all of them where k/2 >= D, those of each
    dimension elsewhere. The gradient of an expected quadratic is then exact (but for its mixed terms where k/2 < D).
    With few samples the noise is not normal in its fourth moment, E eps^4 = 3 k / (k + 4) (1.5 at k = 4, 2 at 8, 2.4 at
    16, towards 3), so that the gradient of an expected log p(x|z) that is not quadratic is biased a little.
    """
    source = torch.Generator().manual_seed(FIXED_SEED) if generator is None else generator
    with torch.autocast(source.device.type, enabled=False):
        return [matched_noise(k, like.shape[-1], source).to(like).unsqueeze(1) for _ in range(steps)]


def matched_noise(
    k: int, d: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "K D"]:
    """Draw k standard normal samples, in antithetic pairs with matched second moments where k is even."""
    if k % 2 == 1:
        return torch.randn(k, d, generator=generator, device=generator.device, dtype=dtype)
    half = torch.randn(k // 2, d, generator=generator, device=generator.device, dtype=dtype)
    half = whitened(half) if k // 2 >= d else half / half.square().mean(0).sqrt()
    return torch.cat([half, -half])


def whitened(half: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Return `half` R^-1 sqrt(N) for `half` = Q R, whose second moments are I; N >= D; float64 on the CPU."""
    # NOTE: Q is orthogonal however badly conditioned `half` is, which a square matrix of normal numbers often is. With
    # a positive diagonal of R it is the only one, the same as by Cholesky factors of half' half.
    q, r = torch.linalg.qr(half.cpu().double())
    return math.sqrt(len(half)) * q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def sobol_noise(k: int, d: int, seed: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "K D"]:
    """Return k scrambled Sobol points mapped to N(0, I): unbiased, with less variance than independent samples."""
    u = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(k, dtype=torch.float64)
    tiny = 2.0**-33  # below the smallest point that is not zero, and ndtri(0) is infinite
    return torch.special.ndtri(u.clamp(tiny, 1.0 - tiny)).to(dtype)
