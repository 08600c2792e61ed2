"""Copying weights from a trained run: to initialize a model (--init-from), or to keep its decoder (--decoder-from)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpvae_core.errors import UserError
from gpvae_core.run_config import RunConfig
from gpvae_core.vae import VAE


def start_from(model: VAE, other: VAE, config: RunConfig) -> None:
    """Copy the decoder and the likelihood of a trained model, and as much of its encoder as this one can use.

    A likelihood whose settings differ from the defaults keeps them.

    Raises:
        UserError: shapes, networks, latent dimension or likelihood of the two models differ.
    """
    with _must_fit("--init-from"):
        model.encoder.start_from(other.encoder)
        if type(model.refiner) is type(other.refiner):
            model.refiner.load_state_dict(other.refiner.state_dict())
        if config.freeze_decoder:
            return
        if type(model.likelihood) is not type(other.likelihood):
            names = [type(m.likelihood).__name__.removesuffix("Likelihood") for m in (model, other)]
            raise UserError(f"--init-from wants a run with the same likelihood, {names[0]}, got one with {names[1]}")
        model.decoder.load_state_dict(other.decoder.state_dict())
        if config.likelihood == type(config.likelihood)():
            model.likelihood.load_state_dict(other.likelihood.state_dict())


def take_decoder(model: VAE, other: VAE) -> None:
    """Copy the decoder and the likelihood of a trained model. Raises UserError if they do not fit."""
    with _must_fit("--decoder-from"):
        model.decoder.load_state_dict(other.decoder.state_dict())
        model.likelihood.load_state_dict(other.likelihood.state_dict())


@contextmanager
def _must_fit(option: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        detail = str(error).strip().splitlines()[-1].strip()
        raise UserError(
            f"{option} wants a run with the same data shape, networks and latent dimension: {detail}"
        ) from None
