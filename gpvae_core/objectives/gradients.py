"""Gradient estimators of bounds: what of log w = log p(x|z) - (log q(z|x) - log p(z)) is differentiated, and how.

Standard: all of it; z = z(eps, phi) is reparametrised. Its part -d log q / d phi has mean zero for the ELBO, but not
variance zero, and for IWAE it drowns the signal as K grows (Rainforth et al. 2018).

Sticking the landing (Roeder et al. 2017) leaves that part out, by log q at the detached posterior: unbiased for the
ELBO, without variance where q is the posterior.

Doubly reparametrised (DReG; Tucker et al. 2019; Daudel et al. 2023 for Renyi): with a bound F(log w_1, ..., log w_K)
that part has the same mean as -F_kk (dlog w_k / dz_k) (dz_k / dphi), where F_k and F_kk are the first and the second
derivative of F in log w_k. So it is left out, and the gradient through z_k is scaled by 1 - F_kk / F_k instead: by the
normalised weight for IWAE, whose weights are thereby squared. The gradient in the decoder is the standard one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.objectives.base import BatchAnswers
from gpvae_core.vae import VAE

Gradient = Literal["standard", "dreg"]
GRADIENT = (
    "gradient estimator: standard; stl, sticking the landing (elbo); dreg, doubly reparametrised (K-sample bounds)"
)

Damping = Callable[[Tensor], Tensor]
"""A map log w -> F_kk / F_k of a bound F for each sample, in [0, 1] times a factor: 1 - w_k / sum w for IWAE."""


@dataclass(frozen=True)
class Draws:
    """K samples of each image with the two parts of their log weights, in nats."""

    z: Float[Tensor, "K B D"]
    fit: Float[Tensor, "K B"]
    """log p(x|z)."""
    excess: Float[Tensor, "K B"]
    """log q(z|x) - log p(z), whose mean is the KL to the prior."""

    def log_w(self, kl_weight: float = 1.0) -> Float[Tensor, "K B"]:
        return self.fit - kl_weight * self.excess

    @property
    def measured(self) -> Float[Tensor, "K B"]:
        """Log w without a gradient, for the value of a bound."""
        return self.log_w().detach()


Fit = Callable[[VAE, Tensor, Tensor], Tensor]
"""A function (model, x, z) -> log p(x|z)."""


def whole_fit(vae: VAE, x: Tensor, z: Tensor) -> Tensor:
    """Return log p(x|z) with its gradient in z and in the decoder."""
    return vae.log_likelihood(x, z)


def encoder_fit(vae: VAE, x: Float[Tensor, "B C H W"], z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
    """Return log p(x|z) with a gradient through z alone: decoder and likelihood stand still."""
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        fit = vae.log_likelihood(x, leaf)
        (slope,) = torch.autograd.grad(fit.sum(), leaf)
    return fit.detach() + (slope * (z - z.detach())).sum(-1)


def standard(answers: BatchAnswers, k: int | None = None, fit: Fit = whole_fit) -> Draws:
    """Draw k samples (by default the answers' own number) whose log weights carry the whole gradient."""
    vae, x = answers.vae, answers.x
    z, log_q = answers.q.rsample_and_log_prob(k or answers.k, answers.generator)
    return Draws(z, fit(vae, x, z), log_q - vae.prior(x).log_prob(z))


def through_samples(answers: BatchAnswers, k: int | None = None, fit: Fit = whole_fit) -> Draws:
    """Draw samples whose log weights carry the encoder's gradient through z alone (sticking the landing)."""
    vae, x = answers.vae, answers.x
    z, _ = answers.q.rsample_and_log_prob(k or answers.k, answers.generator)
    return Draws(z, fit(vae, x, z), answers.q.detached().log_prob(z) - vae.prior(x).log_prob(z))


def scale_gradient(z: Float[Tensor, "K B D"], factor: Float[Tensor, "K B"]) -> None:
    """Multiply what comes back to z in the backward pass by `factor`; z itself stays as it is."""
    if z.requires_grad:
        z.register_hook(lambda gradient: gradient * factor.unsqueeze(-1).to(gradient.dtype))


def _plain(draws: Draws, kl_weight: float, damping: Damping) -> Draws:
    return draws


def _doubly(draws: Draws, kl_weight: float, damping: Damping) -> Draws:
    # The part left out is kl_weight times log q, and so is what stands for it.
    scale_gradient(draws.z, 1.0 - kl_weight * damping(draws.log_w(kl_weight).detach()))
    return draws


_SAMPLING = {"standard": standard, "dreg": through_samples}
_SCALING = {"standard": _plain, "dreg": _doubly}


def draw(gradient: Gradient, answers: BatchAnswers, k: int, damping: Damping, fit: Fit = whole_fit) -> Draws:
    """Draw `k` samples of each image; a bound F of their `log_w(kl_weight)` has the named estimator as its gradient.

    `damping` is F_kk / F_k of that bound; the standard gradient has no use for it.
    """
    return _SCALING[gradient](_SAMPLING[gradient](answers, k, fit), answers.kl_weight, damping)
