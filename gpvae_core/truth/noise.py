"""Random numbers of several instances at once: from one generator, or for each instance from a generator of its own.

With one of its own, what an instance draws depends on the seed and its pixels alone, not on the batch that it is asked
in; and two instances share no noise, so that their errors stay independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.hashes import hexdigest

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One for all instances (None: torch's global one), or one for each."""


def image_generators(
    x: Float[Tensor, "B C H W"], seed: int, device: torch.device | str = "cpu"
) -> list[torch.Generator]:
    """Return a generator for each image, seeded by a hash of `seed` and the image's pixels.

    On the CPU, as by default, an image draws the same numbers whatever device decodes.
    """
    return [torch.Generator(device).manual_seed(_image_seed(image, seed)) for image in x.detach().cpu().float()]


def _image_seed(image: Float[Tensor, "C H W"], seed: int) -> int:
    digest = hexdigest([f"{seed} ", image.contiguous().numpy().tobytes()])
    return int(digest[:16], 16) >> 1  # manual_seed takes 63 bits


def normal(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Draw N(0, 1); `shape` is (C, B, ...), with the instances on its second axis."""
    return _drawn(torch.randn, shape, generators, like)


def uniform(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Draw U(0, 1); `shape` is (C, B, ...), with the instances on its second axis."""
    return _drawn(torch.rand, shape, generators, like)


def _drawn(draw: Callable[..., Tensor], shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    if generators is None or isinstance(generators, torch.Generator):
        return draw(*shape, generator=generators, device=like.device, dtype=like.dtype)
    each = (shape[0], *shape[2:])
    return torch.stack([draw(*each, generator=one, dtype=like.dtype) for one in generators], 1).to(like.device)
