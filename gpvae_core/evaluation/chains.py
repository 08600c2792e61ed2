"""Markov chains in an evaluation: bidirectional bounds on simulated images, and HMC to check the encoder."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.evaluation.estimates import BidirectionalMeans, ChainsReport
from gpvae_core.evaluation.mean import LargestMean, Mean, SmallestMean
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.bidirectional import MIN_IMAGES
from gpvae_core.truth.evidence import Array
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.truth import Truth
from gpvae_core.vae import VAE


def check_counts(simulated: int, hmc: int, sample: int) -> None:
    """Raise UserError if `simulated` is 1 or negative, or `hmc` exceeds the `sample` instances that have gaps."""
    if simulated != 0 and simulated < MIN_IMAGES:
        raise UserError(f"wanted 0 or at least {MIN_IMAGES} simulated images, got {simulated}")
    if not 0 <= hmc <= sample:
        raise UserError(
            f"wanted HMC samples of 0 to {sample} instances, the size of the sample for the gaps, got {hmc}"
        )


def simulated_bounds(truth: Truth, n: int, seed: int, progress: Progress = silent) -> BidirectionalMeans:
    """Return mean lower and upper bounds, in nats, on log p(x) of n images drawn from the model."""
    bounds, settings = truth.bidirectional(n, seed, progress), truth.settings.annealing
    return BidirectionalMeans(
        n=n,
        chains=settings.chains,
        temperatures=settings.steps,
        lower=Mean.over(bounds.lower),
        upper=Mean.over(bounds.upper),
        gap=Mean.over(bounds.gap),
    )


def encoder_and_chains(
    truth: Truth,
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    best: BestGaussians,
    settings: HMCSettings,
    seed: int,
    progress: Progress = silent,
) -> ChainsReport:
    """Sample the posterior of each image by HMC, and compare the moments of q(z|x) with those of the samples.

    HMC steps in units of the `best` Gaussians of the images.
    """
    samples = truth.samples(x, settings, seed, progress, best)
    with torch.no_grad():
        distance, ratio = encoder_error(vae.infer(x), samples)
    r_hat, ess = samples.r_hat.max(1), samples.ess.min(1)
    return ChainsReport(
        n=len(x),
        chains=settings.chains,
        warmup=settings.warmup,
        draws=settings.draws,
        mixed=int(samples.mixed.sum()),
        r_hat=LargestMean.over(r_hat, max=float(r_hat.max())),
        ess=SmallestMean.over(ess, min=float(ess.min())),
        acceptance=float(samples.acceptance.mean()),
        mean_distance=Mean.over(distance),
        std_ratio=Mean.over(ratio),
    )


def encoder_error(q: Posterior, samples: PosteriorSamples) -> tuple[Array, Array]:
    """Return the error of q(z|x)'s mean, in posterior standard deviations, and the ratio of its width, (B,) each.

    The error is sqrt(1/D sum_j ((m_j - E z_j) / s_j)^2), the root mean square over dimensions; the ratio is the
    geometric mean over dimensions of sqrt(V_q[z_j]) / s_j. E z_j and s_j^2 = V[z_j] are taken over all draws of all
    chains. For an exact encoder and N effective draws the error is about 1 / sqrt(N).
    """
    mean, variance = (value.cpu().double().numpy() for value in (q.mean, q.variance))
    draws = samples.z.flatten(0, 1).cpu().double().numpy()  # (N * C, B, D)
    centre, std = draws.mean(0), draws.std(0, ddof=1)
    with np.errstate(divide="ignore"):  # std is 0 where no chain ever moved
        distance = np.sqrt(np.square((mean - centre) / std).mean(1))
        ratio = np.exp((0.5 * np.log(variance) - np.log(std)).mean(1))
    return distance, ratio
