"""Random numbers for a batch of images, from one generator or from one generator for each image.

With a generator of its own, an image draws noise that depends on the seed and its pixels alone and not on its batch;
and as no two images share noise, their errors are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.hashes import hexdigest

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One generator for all images (None: torch's global one), or one for each image."""


def image_generators(
    x: Float[Tensor, "B C H W"], seed: int, device: torch.device | str = "cpu"
) -> list[torch.Generator]:
    """Return a generator for each image, seeded by a hash of `seed` and the image's pixels.

    With generators on the CPU (the default), an image draws the same numbers on whatever device the model is.
    """
    return [torch.Generator(device).manual_seed(_image_seed(image, seed)) for image in x.detach().cpu().float()]


def _image_seed(image: Float[Tensor, "C H W"], seed: int) -> int:
    digest = hexdigest([f"{seed} ", image.contiguous().numpy().tobytes()])
    return int(digest[:16], 16) >> 1  # of the 64 bits, as manual_seed takes 63


def normal(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Draw from N(0, 1); `shape` is (C, B, ...), with the images on its second axis."""
    return _drawn(torch.randn, shape, generators, like)


def uniform(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """Draw from U(0, 1); `shape` is (C, B, ...), with the images on its second axis."""
    return _drawn(torch.rand, shape, generators, like)


def _drawn(draw: Callable[..., Tensor], shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    if generators is None or isinstance(generators, torch.Generator):
        return draw(*shape, generator=generators, device=like.device, dtype=like.dtype)
    shape_of_image = (shape[0], *shape[2:])
    noise = [draw(*shape_of_image, generator=generator, dtype=like.dtype) for generator in generators]
    return torch.stack(noise, 1).to(like.device)
