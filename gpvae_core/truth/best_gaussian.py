"""The best Gaussian q* of one instance: what the family can do when nothing is amortized (Cremer et al. 2018).

ELBO(q) = E_q[log p(x|z)] - KL(q || p(z)) is maximised over mean and covariance, diagonal and full, for each instance
by itself (`maximise` in refiners/ascent.py). The KL is exact; only the expected log-likelihood is estimated. All
instances see the same noise, so that the answer for an instance does not depend on which others are in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.movable import MovableDiagonal, MovableFullByRows, MovableGaussian
from gpvae_core.densities.noise import sobol_noise
from gpvae_core.progress import Progress, silent
from gpvae_core.refiners.ascent import AdamUntilFlat, gaussian_elbo, maximise
from gpvae_core.truth.by_image import ElboByImage, in_double, inferred_one_by_one
from gpvae_core.vae import VAE

SCORE_SAMPLES = 1024
"""Quasi-random samples of the final scores, common to the encoder and the best Gaussians."""
PRIOR_SAMPLES = 256
"""Samples of the prior among which a start is sought."""
MAX_MODES = 4
"""Starts taken from the caller for one instance."""
DECODES_AT_ONCE = 2048
"""Latents decoded together; bounds the memory. Convolutions are faster in few, small networks in many."""
SCORED_AT_ONCE = 1024
START_STD = (0.02, 0.3)
"""Range of the standard deviation of starts that have none of their own (prior samples, the caller's)."""
G = TypeVar("G", bound=MovableGaussian)


@dataclass(frozen=True)
class BestGaussians:
    """The best Gaussians of B instances and their ELBOs in nats, scored with common random numbers."""

    diagonal_mean: Float[Tensor, "B D"]
    diagonal_std: Float[Tensor, "B D"]
    diagonal_elbo: Float[Tensor, " B"]
    full_mean: Float[Tensor, "B D"]
    full_chol: Float[Tensor, "B D D"]
    full_elbo: Float[Tensor, " B"]
    encoder_elbo: Float[Tensor, " B"]
    """ELBO of the Gaussian with the encoder's mean and variances; never above `diagonal_elbo`."""


SEARCH = AdamUntilFlat(samples=8, max_windows=5, drops=1)
POLISH = AdamUntilFlat(samples=16, max_windows=30, drops=3)

# -- starts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starts:
    """Start Gaussians of several instances in one list: row r is one of instance `owner[r]`."""

    q: MovableDiagonal
    owner: Int[Tensor, " R"]


def _starts(
    vae: VAE,
    x: Tensor,
    answers: Sequence[Posterior],
    encoder: MovableDiagonal,
    given: Sequence[Tensor] | None,
    generator: torch.Generator,
) -> _Starts:
    """Return the encoder's q, its base, the best sample of the prior, and the caller's."""
    everyone = torch.arange(len(x), device=x.device)
    std = encoder.s.clamp(*START_STD)
    means, stds, owners = [encoder.m], [encoder.s], [everyone]
    bases = [q.base() for q in answers]
    if bases[0] is not answers[0]:
        base = _diagonal(bases)
        means, stds, owners = [*means, base.m], [*stds, base.s], [*owners, everyone]
    means, stds, owners = [*means, _best_of_prior(vae, x, generator)], [*stds, std], [*owners, everyone]
    for i, modes in enumerate(given or ()):
        chosen = torch.as_tensor(modes).to(x).reshape(-1, vae.latent_dim)[:MAX_MODES]
        means.append(chosen)
        stds.append(std[i].expand_as(chosen))
        owners.append(everyone[i].expand(len(chosen)))
    return _Starts(MovableDiagonal(torch.cat(means), torch.cat(stds)), torch.cat(owners))


def _diagonal(answers: Sequence[Posterior]) -> MovableDiagonal:
    """Return the Gaussians with the means and the variances of densities of one instance each."""
    parts = zip(*(MovableDiagonal.matching(q).parts() for q in answers), strict=True)
    return MovableDiagonal.from_parts([torch.cat(some) for some in parts])


def _best_of_prior(vae: VAE, x: Tensor, generator: torch.Generator) -> Float[Tensor, "B D"]:
    """Return the one of PRIOR_SAMPLES latents with the largest log p(x|z) for each image. They are decoded once."""
    z = vae.prior(torch.empty(1)).rsample_and_log_prob(PRIOR_SAMPLES, generator)[0].to(x)
    g = vae.decode(z)
    score = torch.stack([vae.likelihood.log_prob(one, g[:, 0]) for one in x], dim=1)
    return z[score.argmax(0), 0]


def _winners(score: Tensor, owner: Tensor, count: int) -> Int[Tensor, " B"]:
    """Return the row with the largest score of each instance."""
    order = torch.argsort(score.nan_to_num(-math.inf, -math.inf, -math.inf), stable=True)
    best = torch.zeros(count, dtype=torch.long, device=score.device)
    for row, instance in zip(order.tolist(), owner[order].tolist(), strict=True):
        best[instance] = row
    return best


# -- all together ----------------------------------------------------------------------------------------------------


def best_gaussians(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    seed: int = 0,
    starts: Sequence[Tensor] | None = None,
    progress: Progress = silent,
) -> BestGaussians:
    """Return the best diagonal and full Gaussian of each image.

    Every start (the encoder's q, its base, the best of some prior samples, and `starts`) is climbed a little with a
    diagonal covariance; the best one is climbed to the end, first with a diagonal, from there with a full covariance.
    All are scored with SCORE_SAMPLES fresh quasi-random samples, and the encoder's q is kept where nothing beats it.

    Args:
        starts: for each image, latents (J, D) to start from as well, such as the modes of its true posterior.
    """
    rows = 2 + (max((len(s) for s in starts), default=0) if starts else 1)
    chunk = max(1, DECODES_AT_ONCE // (rows * max(SEARCH.samples, 2 * vae.latent_dim)))
    parts = []
    for low in range(0, len(x), chunk):
        part = slice(low, low + chunk)
        parts.append(_best_of_chunk(vae, x[part], seed, starts[part] if starts else None))
        progress(min(low + chunk, len(x)), len(x), "best Gaussians")
    return BestGaussians(*(torch.cat([getattr(p, name) for p in parts]) for name in BestGaussians.__dataclass_fields__))


@torch.no_grad()
def _best_of_chunk(vae: VAE, x: Tensor, seed: int, given: Sequence[Tensor] | None) -> BestGaussians:
    answers = inferred_one_by_one(vae, x)
    encoder = _diagonal(answers)
    starts = _starts(vae, x, answers, encoder, given, torch.Generator().manual_seed(seed))
    searched, score = _climbed(vae, x[starts.owner], starts.q, SEARCH, seed + 1)
    winners = searched.rows(_winners(score, starts.owner, len(x)))
    eps = sobol_noise(SCORE_SAMPLES, vae.latent_dim, seed).to(x)
    encoder_elbo = elbos(vae, x, encoder, eps)
    diagonal, diagonal_elbo = _polished(vae, x, winners, (encoder, encoder_elbo), eps, seed + 2)
    start = MovableFullByRows.matching(diagonal.posterior())
    full, full_elbo = _polished(vae, x, start, (start, diagonal_elbo), eps, seed + 3)
    return BestGaussians(diagonal.m, diagonal.s, diagonal_elbo, full.m, full.chol, full_elbo, encoder_elbo)


def _climbed(vae: VAE, x: Tensor, start: G, settings: AdamUntilFlat, seed: int) -> tuple[G, Tensor]:
    """Return what `maximise` does; an image's path is the same in every batch."""
    exact = start.from_parts([in_double(part) for part in start.parts()])
    best, elbo = maximise(ElboByImage(vae), x, exact, settings, seed)
    return best.to(x), elbo


def _polished(vae: VAE, x: Tensor, start: G, known: tuple[G, Tensor], eps: Tensor, seed: int) -> tuple[G, Tensor]:
    """Climb from `start` to the end; keep the known Gaussian, whose ELBO is given, where that is no better."""
    best, _ = _climbed(vae, x, start, POLISH, seed)
    elbo = elbos(vae, x, best, eps)
    kept = best.where(elbo > known[1], known[0])
    return kept, torch.maximum(elbo.nan_to_num(-math.inf), known[1])


@torch.no_grad()
def elbos(
    vae: VAE, x: Float[Tensor, "B C H W"], q: MovableGaussian, eps: Float[Tensor, "K D"], progress: Progress = silent
) -> Float[Tensor, " B"]:
    """Return the ELBO of each image's Gaussian in nats, with noise common to all, few images at a time."""
    chunk = max(1, SCORED_AT_ONCE // len(eps))
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(chunk):
        parts.append(gaussian_elbo(vae, x[rows], q.rows(rows), eps.unsqueeze(1)))
        progress(min(int(rows[-1]) + 1, len(x)), len(x), "scoring answers")
    return torch.cat(parts)
