"""The variational Laplace autoencoder (Park et al. 2019): a Gaussian at the mode, by linearising the decoder.

Around mu_t the decoder is g + W (z - mu_t), and the log likelihood to second order -1/2 (z - mu_t)' W'HW (z - mu_t)
+ r'W (z - mu_t), with r and -H its first and second derivatives by the decoder's outputs. With a Gaussian prior of mean
m_0 and precision P_0, such as N(0, I), the posterior is a Gaussian with precision P = W'HW + P_0 and mean
mu_t + P^-1 (W'r - P_0 (mu_t - m_0)). For a Gaussian likelihood H = I / sigma_x^2, which with the prior N(0, I) gives
Park et al.'s Sigma W'(x - b) / sigma_x^2; for others it is the generalised Gauss-Newton step.

The mean is damped as in their public code, mu_{t+1} = (1 - a_t) mu_t + a_t (new mean), a_t = step_size / (t + 1), and
the covariance is P^-1 at the last mean. Training maximises the ELBO of the last Gaussian. The decoder is trained
through mu, W and P. As W is piecewise constant in mu_t, the encoder's mean is trained through the factors 1 - a_t
alone, and with step_size = 1 not at all; the encoder's variances are neither used nor trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Posterior
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST_SAMPLES
from gpvae_core.refiners.base import REFINERS, Model, Refiner, RefinerConfig
from gpvae_core.refiners.linearise import layers_of, linearised
from gpvae_core.refiners.rows import Parts, in_rows
from gpvae_core.types import EventShape

JITTER = 1e-6
"""First multiple of I added to a precision that is not positive definite, relative to its largest diagonal entry."""
MAX_JITTERS = 7
"""Number of attempts, each with ten times the jitter."""
TANGENTS_AT_ONCE = 4096
"""Number of derivatives along latent axes in memory together where steps are not differentiated."""


def _float64_anywhere(t: Tensor) -> Tensor:
    """Return t in float64, moved to the CPU from a device without float64 (MPS)."""
    return t.cpu().double() if t.device.type == "mps" else t.double()


def covariance_chol(precision: Float[Tensor, "B D D"]) -> Float[Tensor, "B D D"]:
    """Return L lower triangular with L L' = P^-1.

    A matrix that is indefinite by rounding gets a jitter, a growing multiple of I.

    Raises:
        UserError: a precision stays indefinite, or is not finite.
    """
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    scale = precision.detach().diagonal(dim1=-2, dim2=-1).amax(-1)
    jitter = torch.zeros_like(scale)
    for attempt in range(MAX_JITTERS):
        _, info = torch.linalg.cholesky_ex((precision + jitter[:, None, None] * eye).detach().flip(-2, -1))
        if not bool(info.any()):
            break
        jitter = torch.where(info > 0, JITTER * 10.0**attempt * scale, jitter)
    # P = R R' with R upper triangular gives P^-1 = R^-T R^-1 = L L' with L = R^-T lower triangular, without an inverse
    # of P. With rows and columns reversed R is lower triangular: it is the Cholesky factor of P reversed likewise.
    flipped, info = torch.linalg.cholesky_ex((precision + jitter[:, None, None] * eye).flip(-2, -1))
    if bool(info.any()):
        raise _not_positive(precision.detach(), info)
    return torch.linalg.solve_triangular(flipped.flip(-2, -1).mT, eye, upper=False)


def _not_positive(precision: Float[Tensor, "B D D"], info: Int[Tensor, " B"]) -> UserError:
    bad = precision[info > 0]
    finite = bool(bad.isfinite().all())
    return UserError(
        "the Laplace refiner wants a positive definite precision matrix P = W'HW + P_0 for each image, got "
        f"{'an indefinite one' if finite else 'one with numbers that are not finite'} for {len(bad)} of "
        f"{len(precision)}: have the weights of the decoder or the encoder diverged? A smaller lr may help"
    )


def pixel_derivatives(
    model: Model, x: Float[Tensor, "B C H W"], g: Tensor, through: bool
) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P"]]:
    """Return r and the diagonal of H: d log p(x|g) / dg and -d^2 log p(x|g) / dg^2 (clipped at 0), pixel by pixel."""
    # Pixels are independent given g, so that H is diagonal, and minus the gradient of the sum of r is that diagonal.
    with torch.enable_grad():
        leaf = g if g.requires_grad else g.detach().requires_grad_()
        (r,) = torch.autograd.grad(model.likelihood.log_prob(x, leaf).sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(r.sum(), leaf, create_graph=through, retain_graph=True)
    r, h = (r, -second) if through else (r.detach(), -second)
    return r.flatten(1), h.flatten(1).clamp_min(0.0)


def gaussian_prior(model: Model, x: Float[Tensor, "B ..."]) -> Gaussian:
    """Return p(z) for each of B images. Raises UserError unless it is a Gaussian."""
    prior = model.prior(x)
    gaussian = prior.as_gaussian()
    if gaussian is None:
        raise UserError(
            f"the Laplace refiner wants a Gaussian prior, got a {type(prior).__name__}: choose another, such as svi"
        )
    return gaussian


def linearised_posterior(
    model: Model, x: Float[Tensor, "B C H W"], mu: Float[Tensor, "B D"], through: bool
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D D"]]:
    """Return the mean mu + P^-1 (W'r - P_0 (mu - m_0)) and the Cholesky factor of P^-1, linearised at mu.

    P is factorised in float64. Where the decoder's output overflows, terms that are not finite become zero, so that the
    mean moves towards the prior's.
    """
    with torch.autocast(x.device.type, enabled=False):
        g, tangents = linearised(model.decoder, mu)
        r, h = pixel_derivatives(model, x, g.reshape(x.shape), through)
        wt = tangents.transpose(0, 1)
        prior = gaussian_prior(model, x)
        prior_precision = torch.cholesky_inverse(_float64_anywhere(prior.lower_factor()))
        # P_0 (mu - m_0), minus the gradient of log p(z) at z = mu
        pull = (prior_precision.to(mu) @ (mu - prior.mean).unsqueeze(-1)).squeeze(-1)
        # W'HW, and the gradient W'r - P_0 (mu - m_0) of log p(x, z) at z = mu
        gram = ((wt * h.unsqueeze(1)) @ wt.mT).nan_to_num(0.0, 0.0, 0.0)
        gradient = (wt @ r.unsqueeze(-1)).squeeze(-1).nan_to_num(0.0, 0.0, 0.0) - pull
        L = covariance_chol(_float64_anywhere(gram) + prior_precision).to(mu)
        # P^-1 u = L L'u
        return mu + (L @ (L.mT @ gradient.unsqueeze(-1))).squeeze(-1), L


class Laplace(Refiner):
    """Refiner by `steps` damped linearisations from the encoder's mean, with the covariance of the last one."""

    def __init__(self, steps: int, step_size: float) -> None:
        super().__init__()
        self.steps, self.step_size = steps, step_size

    def path(
        self, model: Model, x: Tensor, q: Posterior, generator: torch.Generator | None = None
    ) -> Sequence[Posterior]:
        """Return q and N(mu_t, P^-1) with P at mu_t after each step t; the steps are deterministic."""

        def ascent(images: Tensor, start: Parts, through: bool) -> list[Parts]:
            steps: list[Parts] = []
            mu = start[0]
            new_mean, _ = linearised_posterior(model, images, mu, through)
            for t in range(self.steps):
                rate = self.step_size / (t + 1)
                mu = (1.0 - rate) * mu + rate * new_mean
                new_mean, chol = linearised_posterior(model, images, mu, through)
                steps.append((mu, chol))
            return steps

        rows = max(1, TANGENTS_AT_ONCE // q.mean.shape[-1])
        path = in_rows(ascent, model, x, [q.with_weights_fixed().mean], rows)
        return [q, *(RefinedPosterior(FullGaussian(mu, chol), q) for mu, chol in path)]

    def check(self, model: Model) -> None:
        """Raise a UserError unless the decoder is a fully connected ReLU network and the prior a Gaussian."""
        layers_of(model.decoder)
        gaussian_prior(model, next(model.decoder.parameters()).new_zeros(1))


@REFINERS.register("laplace")
class LaplaceConfig(RefinerConfig):
    """Variational Laplace autoencoder (Park et al. 2019): full Gaussian at the mode, by linearising the decoder."""

    kind: ClassVar[str] = "laplace"
    method: ClassVar[str] = "vlae"
    count: ClassVar[str] = "steps"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    instead_of_conv: ClassVar[str] = "fc_equal"
    steps: int = Field(default=4, ge=1, le=MOST_SAMPLES, description="linearisations for each image")
    step_size: float = Field(
        default=0.5, gt=0, le=1, description="fraction of the way to the linearised mean, divided by t in the t-th step"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Laplace:
        return Laplace(self.steps, self.step_size)
