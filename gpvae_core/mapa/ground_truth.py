"""The generative model from which synthetic data were drawn."""

from __future__ import annotations

from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.types import EventShape
from gpvae_core.vae import GenerativeModel


def ground_truth(truth: KnownTruth, event_shape: EventShape) -> GenerativeModel:
    """Return p(z) = N(0, I), p(x|z) = N(f(z), sigma^2 I) with the true f and sigma, theta^GT of Yacoby et al. 2024."""
    model = GenerativeModel(truth.decoder, GaussianLikelihood(truth.sigma, learn=False), truth.latent_dim, event_shape)
    return model.eval()
