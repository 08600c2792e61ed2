"""The images of a split on the device, and the validation ELBO by which the best weights are chosen."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpvae_core.bounds import elbo
from gpvae_core.data.base import Split
from gpvae_core.vae import VAE


class DeviceSplit:
    """A split on the device in its stored dtype; a batch is converted to float32 pixels in [0, 1] when it is taken."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.images = torch.from_numpy(split.images).to(device)
        self.scale = 1.0 / split.levels
        auxiliary = {} if split.auxiliary is None else split.auxiliary.values
        self.columns = {name: torch.from_numpy(values).to(device) for name, values in auxiliary.items()}
        """The auxiliary columns by name: (N,), or (N, size) of a vector."""
        mask = None if split.observed is None else torch.from_numpy(split.observed).to(device)
        self._observed = None if mask is None else mask.unsqueeze(1)
        self.seen = torch.arange(len(split), device=device) if mask is None else mask.any((1, 2)).nonzero().squeeze(1)
        """Indices of the images with an observed pixel: all but missing frames."""

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor) -> Tensor:
        """Return the images with these indices, (B, C, H, W), float32; a missing pixel is 0, whatever is stored."""
        images = self.images[index].to(torch.float32) * self.scale
        return images if self._observed is None else torch.where(self._observed[index], images, 0.0)

    def observed(self, index: Tensor) -> Tensor | None:
        """Return which pixels of these images were observed, (B, 1, H, W); None if all pixels of the split were."""
        return None if self._observed is None else self._observed[index]

    def is_seen(self, index: Tensor) -> Tensor | None:
        """Return which of these images have an observed pixel, (B,); None if all pixels of the split were observed."""
        return None if self._observed is None else self._observed[index].flatten(1).any(1)

    def seen_of(self, index: Tensor) -> Tensor:
        """Return the indices of those of these images that have an observed pixel."""
        seen = self.is_seen(index)
        return index if seen is None else index[seen]

    def all(self) -> Tensor:
        """Return all images, (N, C, H, W), float32."""
        return self.batch(torch.arange(len(self), device=self.images.device))


def pixel_mean(values: Float[Tensor, "B C H W"], observed: Bool[Tensor, "B 1 H W"] | None) -> Float[Tensor, " B"]:
    """Return the mean over each image's observed pixels; NaN for an image without any."""
    if observed is None:
        return values.flatten(1).mean(1)
    counts = values.shape[1] * observed.flatten(1).sum(1)
    return torch.where(observed, values, 0.0).flatten(1).sum(1) / counts


@torch.no_grad()
def validation_elbo(model: VAE, images: DeviceSplit, seed: int, chunk: int = 1000) -> float:
    """Return the mean ELBO of the validation images in nats, from one sample of each with the same noise every time."""
    model.eval()
    generator = torch.Generator(images.images.device).manual_seed(seed)
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(images), chunk):
        index = torch.arange(start, min(start + chunk, len(images)), device=images.images.device)
        total += elbo(model.log_weights(images.batch(index), 1, generator)).cpu().double().sum()
    return float(total) / max(1, len(images))
