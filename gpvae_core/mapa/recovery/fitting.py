"""Mini-batch Adam on a part of a model, everything else frozen: what prior recovery fits its networks with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gpvae_core.errors import UserError
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

EPOCHS, MAX_STEPS = 500, 20_000
"""Passes over the data where no number is set: the paper's, or fewer on data so large that these are more steps."""
CHUNK = 1000

Loss = Callable[[Int64[Tensor, " B"], torch.Generator], Float[Tensor, ""]]
"""Indices of training points, noise -> what is minimised, a mean over them."""


@dataclass(frozen=True)
class FitSettings:
    """The settings of a fit."""

    epochs: int | None
    batch: int
    lr: float
    seed: int
    what: str
    """Name of the fit in the progress that is shown."""

    def epochs_for(self, n: int) -> int:
        """Return the epochs as set, or by EPOCHS and MAX_STEPS."""
        return self.epochs or max(1, min(EPOCHS, MAX_STEPS // -(-n // self.batch)))


def never() -> bool:
    """No early stopping."""
    return False


def minimise(
    part: nn.Module, loss: Loss, n: int, settings: FitSettings, progress: Progress, enough: Callable[[], bool] = never
) -> None:
    """Fit `part` by Adam; the same weights for the same start and seed.

    Args:
        enough: asked after each epoch whether to stop.

    Raises:
        UserError: it diverged.
    """
    parameters = [p for p in part.parameters() if p.requires_grad]
    device = parameters[0].device
    optimizer = torch.optim.Adam(parameters, lr=settings.lr, fused=True)
    generator = torch.Generator(device).manual_seed(settings.seed)
    epochs, steps = settings.epochs_for(n), -(-n // settings.batch)
    for epoch in range(epochs):
        order = torch.randperm(n, generator=generator, device=device)
        for step, index in enumerate(order.split(settings.batch)):
            optimizer.zero_grad(set_to_none=True)
            loss(index, generator).backward()
            optimizer.step()
            progress(epoch * steps + step + 1, epochs * steps, settings.what)
        if enough():
            break
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise UserError(f"{settings.what}: weights are not numbers any more; a smaller --set recovery_lr=... may help")


@contextmanager
def training_only(vae: VAE, part: nn.Module) -> Iterator[None]:
    """Within it, of all of the model's parameters those of `part` alone have a gradient; after it all is as before."""
    before = {p: p.requires_grad for p in vae.parameters()}
    mode = vae.training
    try:
        vae.requires_grad_(False)
        part.requires_grad_(True)
        part.train()
        yield
    finally:
        for p, flag in before.items():
            p.requires_grad_(flag)
        vae.train(mode)


@torch.no_grad()
def mean_over(loss: Loss, n: int, device: torch.device) -> float:
    """Return the loss over all points."""
    generator = torch.Generator(device).manual_seed(0)
    parts = torch.arange(n, device=device).split(CHUNK)
    return sum(float(loss(part, generator)) * len(part) for part in parts) / n


@torch.no_grad()
def codes_of(vae: VAE, points: DeviceSplit) -> Float[Tensor, "N D"]:
    """g(x_n): the encoder's mean of each point."""
    mode = vae.encoder.training
    vae.encoder.eval()
    index = torch.arange(len(points), device=points.images.device)
    codes = torch.cat([vae.encoder(points.batch(part)).mean for part in index.split(CHUNK)])
    vae.encoder.train(mode)
    return codes


def fit_codes(
    vae: VAE, points: DeviceSplit, codes: Float[Tensor, "N D"], settings: FitSettings, progress: Progress
) -> None:
    """The encoder's mean by least squares on the codes (eq. 39)."""

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        return (vae.encoder(points.batch(index)).mean - codes[index]).square().sum(1).mean()

    with training_only(vae, vae.encoder):
        minimise(vae.encoder, loss, len(points), settings, progress)


def fit_encoder(vae: VAE, points: DeviceSplit, settings: FitSettings, progress: Progress) -> None:
    """The encoder by the ELBO, one sample a point and step; the generative model stays as it is."""

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        x = points.batch(index)
        q = vae.encoder(x)
        z, _ = q.rsample_and_log_prob(1, generator)
        return (vae.kl(x, q, generator) - vae.log_likelihood(x, z)[0]).mean()

    with training_only(vae, vae.encoder):
        minimise(vae.encoder, loss, len(points), settings, progress)
