"""What a training step maximises: an objective at the (refined) answer, less the regulariser and the global KL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.bounds import Bound
from gpvae_core.encoders.base import LogJoint, Posterior
from gpvae_core.objectives.base import ObjectiveConfig
from gpvae_core.objectives.elbo import ElboConfig
from gpvae_core.regularisers.base import RegulariserConfig
from gpvae_core.regularisers.none import NoRegulariserConfig
from gpvae_core.vae import VAE

Reward = Callable[[LogJoint, Tensor, Posterior, torch.Generator | None], Tensor]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Objective and regulariser of a training step, and what its stage and its epoch add to them."""

    objective: ObjectiveConfig = field(default_factory=ElboConfig)
    regulariser: RegulariserConfig = field(default_factory=NoRegulariserConfig)
    kl_weight: float = 1.0
    """Weight of the KL to the prior in the surrogate (KL warm-up)."""
    reward: Reward | None = None
    """What the encoder's training stage adds to the surrogate, (B,) nats."""


def training_bound(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    n_total: int,
    k: int = 1,
    generator: torch.Generator | None = None,
    settings: ObjectiveSettings = ObjectiveSettings(),
) -> Bound:
    """Return objective - global KL / N, with N = `n_total` training instances, and the surrogate that is followed.

    Kim & Pavlovic 2021, eq. 15: for the GP encoder q(z|x) is the marginalised encoder (eq. 13), the KL term is
    eq. 16 and the global KL is KL(q(W,U) || N(0,I)). For a plain encoder it is the usual ELBO.
    """
    q = vae.infer(x, generator, seen=settings.regulariser.encoder_input(x, generator))
    found = settings.objective.estimate(vae, x, q, k, generator, settings.kl_weight)
    global_kl = vae.encoder.global_kl() / n_total
    surrogate = found.surrogate - settings.kl_weight * global_kl - settings.regulariser.penalty(vae, x, q, generator)
    if settings.reward is not None:
        surrogate = surrogate + settings.reward(vae.log_joint, x, q, generator)
    return Bound((found.value - global_kl).detach(), surrogate.mean())
