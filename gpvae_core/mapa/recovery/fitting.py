"""Fitting one part of a model by mini-batch Adam with the rest frozen, as in prior recovery."""

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
"""Default number of epochs, which is the paper's, and limit on the default's number of steps for large data."""
CHUNK = 1000
"""Number of points processed in one batch where no gradient is needed."""

Loss = Callable[[Int64[Tensor, " B"], torch.Generator], Float[Tensor, ""]]
"""Function from indices of training points and a generator to the loss, a mean over these points."""


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit."""

    epochs: int | None
    batch: int
    lr: float
    seed: int
    label: str
    """Name of the fit in progress reports."""

    def epochs_for(self, n: int) -> int:
        """Return the number of epochs on n points: as set, or by EPOCHS and MAX_STEPS."""
        return self.epochs or max(1, min(EPOCHS, MAX_STEPS // -(-n // self.batch)))


def never() -> bool:
    """Return False: the default of `minimise`, without early stopping."""
    return False


def minimise(
    part: nn.Module,
    loss: Loss,
    n: int,
    settings: FitSettings,
    progress: Progress,
    should_stop: Callable[[], bool] = never,
) -> None:
    """Minimise the loss over the parameters of `part` by Adam; the result is determined by start and seed.

    Args:
        n: number of training points.
        should_stop: called after each epoch; the fit stops if it returns True.

    Raises:
        UserError: the fit diverged.
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
            progress(epoch * steps + step + 1, epochs * steps, settings.label)
        if should_stop():
            break
    if not all(bool(p.isfinite().all()) for p in parameters):
        raise UserError(f"{settings.label}: weights are not numbers any more; a smaller --set recovery_lr=... may help")


@contextmanager
def training_only(vae: VAE, part: nn.Module) -> Iterator[None]:
    """Enable gradients and training mode for `part` alone; restore all flags and the mode at the end."""
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
    """Return the mean loss over all n points."""
    generator = torch.Generator(device).manual_seed(0)
    parts = torch.arange(n, device=device).split(CHUNK)
    return sum(float(loss(part, generator)) * len(part) for part in parts) / n


@torch.no_grad()
def encoder_means(vae: VAE, points: DeviceSplit) -> Float[Tensor, "N D"]:
    """Return g(x_n), the encoder's mean of each point."""
    mode = vae.encoder.training
    vae.encoder.eval()
    index = torch.arange(len(points), device=points.images.device)
    codes = torch.cat([vae.encoder(points.batch(part)).mean for part in index.split(CHUNK)])
    vae.encoder.train(mode)
    return codes


def fit_codes(
    vae: VAE, points: DeviceSplit, codes: Float[Tensor, "N D"], settings: FitSettings, progress: Progress
) -> None:
    """Fit the encoder's mean to the codes by least squares (eq. 39)."""

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        return (vae.encoder(points.batch(index)).mean - codes[index]).square().sum(1).mean()

    with training_only(vae, vae.encoder):
        minimise(vae.encoder, loss, len(points), settings, progress)


def fit_encoder(vae: VAE, points: DeviceSplit, settings: FitSettings, progress: Progress) -> None:
    """Fit the encoder by the ELBO with one sample per point and step; the generative model is fixed."""

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        x = points.batch(index)
        q = vae.encoder(x)
        z, _ = q.rsample_and_log_prob(1, generator)
        return (vae.kl(x, q, generator) - vae.log_likelihood(x, z)[0]).mean()

    with training_only(vae, vae.encoder):
        minimise(vae.encoder, loss, len(points), settings, progress)
