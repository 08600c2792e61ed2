"""The VAE: a generative model with an encoder and a refiner that infer its latents (Kim & Pavlovic 2021, eq. 1-3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior, Samples
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import Encoder
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import Likelihood
from gpvae_core.progress import checkpoint
from gpvae_core.refiners.base import Refiner
from gpvae_core.refiners.none import NoRefiner
from gpvae_core.types import EventShape


class GenerativeModel(nn.Module):
    """Generative model p(z) p(x|z) with p(z) = N(0, I) and p(x|z) = likelihood(x; g_theta(z)).

    A model with another prior overrides `prior`, from which all other methods take p(z).

    >>> import gpvae_core as gpvae
    >>> import torch
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.model.decode(torch.zeros(5, 2)).shape
    torch.Size([5, 1, 8, 8])
    """

    def __init__(self, decoder: nn.Module, likelihood: Likelihood, latent_dim: int, event_shape: EventShape) -> None:
        super().__init__()
        self.decoder = decoder
        self.likelihood = likelihood
        self.latent_dim = latent_dim
        self.event_shape = event_shape

    def decode(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch C H W"]:
        """Return g_theta(z) for latents of any leading shape. Work that decodes can be stopped here (`checkpoint`)."""
        checkpoint()
        flat = self.decoder(z.reshape(-1, self.latent_dim))
        return flat.reshape(*z.shape[:-1], *self.event_shape)

    def prior(self, x: Float[Tensor, "B ..."]) -> Posterior:
        """Return p(z) for each of B images, N(0, I). Override in a model with another prior.

        Args:
            x: the images; only their number, device and dtype matter, which those of the density are. Quadratures ask
                for it in float64 on the CPU, wherever the model is.
        """
        return DiagonalGaussian.standard(x, self.latent_dim)

    def log_prior(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Return log p(z) in nats of latents of any leading shape; p(z) is the same for all images."""
        # All latents as K samples of a single image, whose prior is that of any other.
        flat = z.reshape(-1, 1, self.latent_dim)
        return self.prior(z.new_empty(1)).log_prob(flat).reshape(z.shape[:-1])

    def kl(
        self,
        x: Float[Tensor, "B C H W"],
        q: Posterior,
        generator: torch.Generator | None = None,
        samples: Samples | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the KL term of the training bound, KL(q(z|x) || p(z)) in nats (see `Posterior.kl`)."""
        return q.kl(self.prior(x), generator, samples)

    def log_likelihood(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log p(x|z) in nats for K latents of each of B images."""
        return self.likelihood.log_prob(x, self.decode(z))

    def log_joint(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """Return log p(x, z) in nats for K latents of each of B images."""
        return self.log_likelihood(x, z) + self.prior(x).log_prob(z)


class VAE(GenerativeModel):
    """Generative model with q(z|x) = refiner(encoder(x)), the `model` of a run.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.model.log_weights(run.data.test.pixels([0]), k=10).shape
    torch.Size([10, 1])
    """

    def __init__(
        self,
        decoder: nn.Module,
        likelihood: Likelihood,
        encoder: Encoder,
        latent_dim: int,
        event_shape: EventShape,
        refiner: Refiner | None = None,
        extra: nn.Module | None = None,
    ) -> None:
        super().__init__(decoder, likelihood, latent_dim, event_shape)
        self.encoder = encoder
        self.refiner = refiner or NoRefiner()
        self.extra = extra
        """What inference has beside these, such as a GP prior over instances; None for most methods."""

    def prior(self, x: Float[Tensor, "B ..."]) -> Posterior:
        """Return p(z) for each of B images, as `GenerativeModel.prior`.

        Raises:
            UserError: the model is one of images given their auxiliary columns, whose latents a prior correlates or
                whose networks take the columns too, so that single images have no log p(x).
        """
        if self.extra is not None:
            raise UserError(
                "this run models images given their auxiliary columns, so that log p(x) and gaps of single images are "
                "not defined for it"
            )
        return super().prior(x)

    def infer(
        self,
        x: Float[Tensor, "B C H W"],
        generator: torch.Generator | None = None,
        encoder_input: Float[Tensor, "B C H W"] | None = None,
    ) -> Posterior:
        """Return q(z|x), the refined posterior of the encoder.

        Args:
            encoder_input: input of the encoder where it is not x itself, such as x with noise.
        """
        return self.refiner(self, x, self.encoder(x if encoder_input is None else encoder_input), generator)

    def log_weights(
        self, x: Float[Tensor, "B C H W"], k: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "K B"]:
        """Return log w = log p(x,z) - log q(z|x) in nats for k samples z ~ q(z|x) of each image."""
        z, log_q = self.infer(x, generator).rsample_and_log_prob(k, generator)
        return self.log_joint(x, z) - log_q
