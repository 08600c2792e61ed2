"""Gradient estimators of bounds that are functions of log w = log p(x|z) - (log q(z|x) - log p(z)).

Standard: all terms are differentiated, with z = z(eps, phi) reparametrised. The score -d log q / d phi has mean zero
for the ELBO, but a variance, and for IWAE it dominates the gradient as K grows (Rainforth et al. 2018).

Sticking the landing (Roeder et al. 2017) omits the score by evaluating log q at the detached posterior: unbiased for
the ELBO, with variance zero where q is the posterior.

Doubly reparametrised (DReG; Tucker et al. 2019; Daudel et al. 2023 for Renyi): for a bound F(log w_1, ..., log w_K) the
score's term has the same mean as -F_kk (dlog w_k / dz_k) (dz_k / dphi), where F_k and F_kk are the first and the second
derivative of F in log w_k. So it is omitted, and the gradient through z_k is multiplied by 1 - F_kk / F_k instead: for
IWAE by the normalised weight, so that weights enter squared. The gradient in the decoder is the standard one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.objectives.base import BatchPosteriors
from gpvae_core.vae import VAE

Gradient = Literal["standard", "dreg"]
GRADIENT = (
    "gradient estimator: standard; stl, sticking the landing (elbo); dreg, doubly reparametrised (K-sample bounds)"
)

Damping = Callable[[Tensor], Tensor]
"""Function log w -> F_kk / F_k of a bound F for each sample; 1 - w_k / sum w for IWAE."""


@dataclass(frozen=True)
class Draws:
    """K samples of each image with the two terms of their log weights, in nats."""

    z: Float[Tensor, "K B D"]
    log_likelihood: Float[Tensor, "K B"]
    """log p(x|z)."""
    log_ratio: Float[Tensor, "K B"]
    """log q(z|x) - log p(z), whose mean is the KL to the prior."""

    def log_w(self, kl_weight: float = 1.0) -> Float[Tensor, "K B"]:
        """Return log p(x|z) - kl_weight (log q(z|x) - log p(z))."""
        return self.log_likelihood - kl_weight * self.log_ratio

    @property
    def detached_log_w(self) -> Float[Tensor, "K B"]:
        """log w without a gradient, from which the value of a bound is computed."""
        return self.log_w().detach()


LogLikelihood = Callable[[VAE, Tensor, Tensor], Tensor]
"""Function (model, x, z) -> log p(x|z) in nats."""


def log_likelihood(vae: VAE, x: Tensor, z: Tensor) -> Tensor:
    """Return log p(x|z) with its gradients in z and in the decoder."""
    return vae.log_likelihood(x, z)


def latent_log_likelihood(vae: VAE, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
    """Return log p(x|z) with its gradient in z alone; decoder and likelihood are constants."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        value = vae.log_likelihood(x, leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    # z - z.detach() is zero and has the gradient of z: the value is that of log p(x|z), its gradient dlog p/dz dz.
    return value.detach() + (gradient * (z - z.detach())).sum(-1)


def standard(batch: BatchPosteriors, k: int | None = None, likelihood: LogLikelihood = log_likelihood) -> Draws:
    """Draw k samples (by default the batch's number) whose log weights have the full gradient."""
    vae, x = batch.vae, batch.x
    z, log_q = batch.q.rsample_and_log_prob(k or batch.k, batch.generator)
    return Draws(z, likelihood(vae, x, z), log_q - vae.prior(x).log_prob(z))


def through_samples(batch: BatchPosteriors, k: int | None = None, likelihood: LogLikelihood = log_likelihood) -> Draws:
    """Draw k samples whose log weights have the encoder's gradient through z alone (sticking the landing)."""
    vae, x = batch.vae, batch.x
    z, _ = batch.q.rsample_and_log_prob(k or batch.k, batch.generator)
    # log q at the detached posterior: without the score d log q / d phi at fixed z
    return Draws(z, likelihood(vae, x, z), batch.q.detached().log_prob(z) - vae.prior(x).log_prob(z))


def scale_gradient(z: Float[Tensor, "K B D"], factor: Float[Tensor, "K B"]) -> None:
    """Multiply the gradient that reaches z in the backward pass by `factor`; z itself does not change."""
    # NOTE: a hook, because the samples' gradient is scaled whatever function of them is differentiated.
    if z.requires_grad:
        z.register_hook(lambda gradient: gradient * factor.unsqueeze(-1).to(gradient.dtype))


def _unscaled(draws: Draws, kl_weight: float, damping: Damping) -> Draws:
    return draws


def _doubly_reparametrised(draws: Draws, kl_weight: float, damping: Damping) -> Draws:
    # The omitted score has the factor kl_weight, and so has the term that replaces it.
    scale_gradient(draws.z, 1.0 - kl_weight * damping(draws.log_w(kl_weight).detach()))
    return draws


_SAMPLING = {"standard": standard, "dreg": through_samples}
_SCALING = {"standard": _unscaled, "dreg": _doubly_reparametrised}


def draw(
    gradient: Gradient, batch: BatchPosteriors, k: int, damping: Damping, likelihood: LogLikelihood = log_likelihood
) -> Draws:
    """Draw `k` samples of each image, so that a bound F of their `log_w(kl_weight)` has the named gradient estimator.

    Args:
        damping: F_kk / F_k of that bound; the standard gradient does not use it.
        likelihood: function that computes log p(x|z), with the gradients that it should have.
    """
    return _SCALING[gradient](_SAMPLING[gradient](batch, k, likelihood), batch.kl_weight, damping)
