"""A VAE: the generative model and what infers its latents (Kim & Pavlovic 2021, eq. 1-3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.encoders.base import Encoder, Posterior
from gpvae_core.likelihoods import Likelihood
from gpvae_core.refiners.base import Refiner
from gpvae_core.refiners.none import NoRefiner
from gpvae_core.types import EventShape


class GenerativeModel(nn.Module):
    """p(z) = N(0, I), p(x|z) = likelihood(x; g_theta(z))."""

    def __init__(self, decoder: nn.Module, likelihood: Likelihood, latent_dim: int, event_shape: EventShape) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.latent_dim = latent_dim
        self.event_shape = event_shape

    def decode(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch C H W"]:
        """g_theta(z) for latents of any leading shape."""
        flat = self.decoder(z.reshape(-1, self.latent_dim))
        return flat.reshape(*z.shape[:-1], *self.event_shape)

    def log_prior(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """log N(z; 0, I) in nats."""
        return -0.5 * z.square().sum(-1) - 0.5 * self.latent_dim * math.log(2 * math.pi)

    def log_likelihood(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """log p(x|z) in nats for K latents of each of B images."""
        return self.likelihood.log_prob(x, self.decode(z))

    def log_joint(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """log p(x, z) in nats for K latents of each of B images."""
        return self.log_likelihood(x, z) + self.log_prior(z)


class VAE(GenerativeModel):
    """A generative model with q(z|x) = refiner(encoder(x))."""

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: Likelihood,
        encoder: Encoder,
        latent_dim: int,
        event_shape: EventShape,
        refiner: Refiner | None = None,
    ) -> None:
        super().__init__(decoder, likelihood, latent_dim, event_shape)
        self.encoder = encoder
        self.refiner = refiner or NoRefiner()

    def infer(
        self,
        x: Float[Tensor, "B C H W"],
        generator: torch.Generator | None = None,
        seen: Float[Tensor, "B C H W"] | None = None,
    ) -> Posterior:
        """q(z|x): the encoder's answer (about `seen`, where it sees something else than x), refined."""
        return self.refiner(self, x, self.encoder(x if seen is None else seen), generator)

    def log_weights(
        self, x: Float[Tensor, "B C H W"], k: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "K B"]:
        """log w = log p(x,z) - log q(z|x) for k samples z ~ q(z|x) of each image."""
        z, log_q = self.infer(x, generator).rsample_and_log_prob(k, generator)
        return self.log_joint(x, z) - log_q
