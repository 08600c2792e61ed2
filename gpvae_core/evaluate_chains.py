"""What chains say in an evaluation: log p(x) from both sides on simulated images, and HMC beside the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.encoders.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.stats import mean_se
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.bidirectional import FEWEST, bidirectional
from gpvae_core.truth.evidence import Array
from gpvae_core.truth.many_posteriors import many_posteriors
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.vae import VAE

SAMPLING = HMCSettings(draws=1000)
"""With 500 draws of 4 chains the largest R-hat of 5 dimensions is about 1.01 by chance alone, which is the limit."""


def check_counts(simulated: int, hmc: int, sample: int) -> None:
    """Raises UserError where so many images cannot be simulated, or so many of `sample` instances not be sampled."""
    if simulated != 0 and simulated < FEWEST:
        raise UserError(f"wanted 0 or at least {FEWEST} simulated images, got {simulated}")
    if not 0 <= hmc <= sample:
        raise UserError(
            f"wanted HMC samples of 0 to {sample} instances, the size of the sample for the gaps, got {hmc}"
        )


def simulated_bounds(vae: VAE, n: int, how: AISSettings, seed: int, progress: Progress = silent) -> dict[str, Any]:
    """Both bounds on n images of the model's own, and how far they are apart, in nats."""
    found = bidirectional(vae, n, how, seed, progress)
    return {
        "n": n,
        "chains": how.chains,
        "temperatures": how.steps,
        "lower": mean_se(found.lower),
        "upper": mean_se(found.upper),
        "gap": mean_se(found.gap),
    }


def encoder_and_chains(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    scale: Float[Tensor, "B D D"],
    how: HMCSettings,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Whether the chains of each image have mixed, and how far q(z|x) is from their moments."""
    samples = many_posteriors(vae, x, scale, how, seed, progress)
    with torch.no_grad():
        apart, wider = encoder_error(vae.infer(x), samples)
    r_hat, ess = samples.r_hat.max(1), samples.ess.min(1)
    return {
        "n": len(x),
        "chains": how.chains,
        "warmup": how.warmup,
        "draws": how.draws,
        "start": "encoder",
        "mixed": int(samples.mixed.sum()),
        "r_hat": {**mean_se(r_hat), "max": float(r_hat.max())},
        "ess": {**mean_se(ess), "min": float(ess.min())},
        "acceptance": float(samples.acceptance.mean()),
        "mean_distance": mean_se(apart),
        "std_ratio": mean_se(wider),
    }


def encoder_error(q: Posterior, samples: PosteriorSamples) -> tuple[Array, Array]:
    """How far the mean of q(z|x) is off, in posterior standard deviations, and how many times as wide it is, (B,) each.

    sqrt(1/D sum_j ((m_j - E z_j) / s_j)^2), the root mean square over dimensions, and the geometric mean over them of
    sqrt(V_q[z_j]) / s_j, with s_j^2 = V[z_j] over all draws of all chains. With N effective draws the first is about
    1 / sqrt(N) for an encoder without error.
    """
    mean, variance = (value.cpu().double().numpy() for value in (q.mean, q.variance))
    draws = samples.z.flatten(0, 1).cpu().double().numpy()
    centre, std = draws.mean(0), draws.std(0, ddof=1)
    with np.errstate(divide="ignore"):  # chains that never moved
        apart = np.sqrt(np.square((mean - centre) / std).mean(1))
        wider = np.exp((0.5 * np.log(variance) - np.log(std)).mean(1))
    return apart, wider
