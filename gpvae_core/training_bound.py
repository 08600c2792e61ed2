"""The training bound: an objective at the (refined) posterior, minus the global KL and, in the surrogate, a penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.bounds import Bound
from gpvae_core.densities.base import Posterior
from gpvae_core.encoders.base import LogJoint
from gpvae_core.objectives.base import BatchPosteriors, Estimate, ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.regularisers.base import RegulariserConfig
from gpvae_core.regularisers.none import NoRegulariserConfig
from gpvae_core.vae import VAE

Reward = Callable[[LogJoint, Tensor, Posterior, torch.Generator | None], Tensor]


@dataclass(frozen=True)
class BoundSettings:
    """Settings of the training bound: objective and regulariser, and what the training schedule changes."""

    objective: ObjectiveConfig = field(default_factory=ElboConfig)
    regulariser: RegulariserConfig = field(default_factory=NoRegulariserConfig)
    kl_weight: float = 1.0
    """Weight of the KL to the prior in the surrogate (beta-VAE, KL warm-up)."""
    reward: Reward | None = None
    """Function whose value, (B,) nats, the encoder's training stage adds to the surrogate."""


def training_bound(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    n_total: int,
    k: int = 1,
    generator: torch.Generator | None = None,
    settings: BoundSettings = BoundSettings(),
) -> Bound:
    """Return objective - global KL / N with N = `n_total` training images, and the surrogate to differentiate.

    It is Kim & Pavlovic 2021, eq. 15: for the GP encoder q(z|x) is the marginalised encoder (eq. 13), the KL term is
    eq. 16 and the global KL is KL(q(W,U) || N(0,I)). For a plain encoder it is the usual ELBO.
    """
    q, estimate = _estimate(vae, x, k, generator, settings)
    global_kl = vae.encoder.global_kl() / n_total
    penalty = settings.regulariser.penalty(vae, x, q, generator)
    surrogate = estimate.surrogate - settings.kl_weight * global_kl - penalty
    if settings.reward is not None:
        surrogate = surrogate + settings.reward(vae.log_joint, x, q, generator)
    return Bound((estimate.value - global_kl).detach(), surrogate.mean())


@torch.no_grad()
def reported_bound(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    n_total: int,
    k: int,
    generator: torch.Generator | None,
    settings: BoundSettings,
) -> Float[Tensor, " B"]:
    """Return the value of `training_bound` of each image in nats, which training reports, without its surrogate."""
    _, estimate = _estimate(vae, x, k, generator, settings)
    return estimate.value - vae.encoder.global_kl() / n_total


def _estimate(
    vae: VAE, x: Tensor, k: int, generator: torch.Generator | None, settings: BoundSettings
) -> tuple[Posterior, Estimate]:
    """Return the posteriors of the encoder's input in training, and the objective at them."""
    q = vae.infer(x, generator, settings.regulariser.encoder_input(x, generator))
    return q, settings.objective.estimate(BatchPosteriors(vae, x, q, k, generator, settings.kl_weight))
