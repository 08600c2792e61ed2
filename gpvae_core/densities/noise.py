"""Noise that is common to all images, so that the result for an image does not depend on the others in its batch."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

FIXED_SEED = 0
"""Seed of the noise where no generator is passed: repeated calls then give the same result."""


def step_noise(
    steps: int, k: int, like: Float[Tensor, "B D"], generator: torch.Generator | None = None
) -> list[Float[Tensor, "K 1 D"]]:
    """Draw k standard normal samples for each step, with the device and dtype of `like`.

    An even k gives antithetic pairs whose second moments are matched: to I where k/2 >= D, else to 1 in each dimension.
    The gradient of an expected quadratic is then exact (except for its mixed terms where k/2 < D). With few samples the
    fourth moment is not that of a normal variable, E eps^4 = 3 k / (k + 4) (1.5 at k = 4, 2 at 8, 2.4 at 16, 3 in the
    limit), so that the gradient of an expected log p(x|z) that is not quadratic has a small bias.
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
    # NOTE: Q is orthogonal even if `half` is ill-conditioned, as square matrices of normal numbers often are. With a
    # positive diagonal of R it is unique, and the same as by the Cholesky factor of half' half.
    q, r = torch.linalg.qr(half.cpu().double())
    return math.sqrt(len(half)) * q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def sobol_noise(k: int, d: int, seed: int, dtype: torch.dtype = torch.float32) -> Float[Tensor, "K D"]:
    """Return k scrambled Sobol points mapped to N(0, I): unbiased, with less variance than independent samples."""
    u = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(k, dtype=torch.float64)
    tiny = 2.0**-33  # below the smallest positive point; a point may be 0, where ndtri is infinite
    return torch.special.ndtri(u.clamp(tiny, 1.0 - tiny)).to(dtype)
