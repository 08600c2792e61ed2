"""Images drawn from the model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.vae import VAE


@torch.no_grad()
def own_samples(
    vae: VAE, like: Float[Tensor, "B C H W"], generator: torch.Generator | None = None
) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B C H W"]]:
    """Draw z ~ p(z) and x' ~ p(x|z), as many as there are images in `like`; neither has a gradient."""
    z = vae.prior(like).rsample_and_log_prob(1, generator)[0].squeeze(0)
    return z, vae.likelihood.sample(vae.decode(z).to(like.dtype), generator)
