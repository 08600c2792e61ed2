"""The images of a split on the device, and the validation ELBO by which the best weights are chosen."""

from __future__ import annotations

import torch
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

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor) -> Tensor:
        """Return the images with these indices, (B, C, H, W), float32."""
        return self.images[index].to(torch.float32) * self.scale

    def all(self) -> Tensor:
        """Return all images, (N, C, H, W), float32."""
        return self.batch(torch.arange(len(self), device=self.images.device))


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
