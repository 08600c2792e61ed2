"""The best Gaussian q* of each image: the optimum of the family without amortization (Cremer et al. 2018).

ELBO(q) = E_q[log p(x|z)] - KL(q || p(z)) is maximised over mean and covariance, diagonal and full, for each image
separately (`maximise` in refiners/ascent.py). The KL is exact; only the expected log-likelihood is estimated. All
images share the same noise, so that the result for an image does not depend on the others in its batch.
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
from gpvae_core.refiners.ascent import ElboTerms, gaussian_elbo, maximise
from gpvae_core.refiners.until_flat import AdamUntilFlat
from gpvae_core.truth.by_image import ElboByImage, in_double, infer_each
from gpvae_core.truth.prior_scan import PriorScan
from gpvae_core.vae import VAE

SCORE_SAMPLES = 1024
"""Number of quasi-random samples in the final ELBOs, common to the encoder and the best Gaussians."""
RANK_SAMPLES = 256
"""Number of these samples in the ELBOs by which the results of the short ascents are compared."""
PRIOR_STARTS = 4
"""Largest number of samples of the prior that are starts of one image, where the caller gives none."""
MAX_MODES = 4
"""Largest number of starts that a caller can give for one image."""
DECODES_AT_ONCE = 2048
"""Latents decoded together, which bounds the memory: few are faster for convolutions, many for small networks."""
SCORED_AT_ONCE = 1024
"""Latents decoded together in the final ELBOs."""
START_STD = (0.02, 0.3)
"""Range to which standard deviations are clipped at starts that are a point (prior samples, the caller's)."""
G = TypeVar("G", bound=MovableGaussian)


@dataclass(frozen=True)
class BestGaussians:
    """The best Gaussians of B images and their ELBOs in nats, estimated with common random numbers.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> best = gpvae.best_gaussians(run.model, run.data.test.pixels([0]))
    >>> best.full_chol.shape, bool((best.diagonal_elbo >= best.encoder_elbo).all())
    (torch.Size([1, 2, 2]), True)
    """

    diagonal_mean: Float[Tensor, "B D"]
    diagonal_std: Float[Tensor, "B D"]
    diagonal_elbo: Float[Tensor, " B"]
    full_mean: Float[Tensor, "B D"]
    full_chol: Float[Tensor, "B D D"]
    full_elbo: Float[Tensor, " B"]
    encoder_elbo: Float[Tensor, " B"]
    """ELBO of the Gaussian with the encoder's mean and variances; never above `diagonal_elbo`."""

    def rows(self, index: slice) -> BestGaussians:
        """Return those of some of the images."""
        return BestGaussians(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


SEARCH = AdamUntilFlat(samples=8, max_windows=15, drops=1)
"""Short ascent from every start."""
POLISH = AdamUntilFlat(samples=16, max_windows=30, drops=3)
"""Ascent from the best start to convergence."""

# -- starts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starts:
    """Start Gaussians of several images in one batch: row r belongs to image `owner[r]`."""

    q: MovableDiagonal
    owner: Int[Tensor, " R"]


def _starts(
    x: Tensor,
    posteriors: Sequence[Posterior],
    encoder: MovableDiagonal,
    points: Sequence[Tensor],
) -> _Starts:
    """Return the encoder's q, its base, and further latents as starts, each with the encoder's standard deviations."""
    images = torch.arange(len(x), device=x.device)
    std = encoder.s.clamp(*START_STD)
    means, stds, owners = [encoder.m], [encoder.s], [images]
    bases = [q.base() for q in posteriors]
    if bases[0] is not posteriors[0]:
        base = _diagonal(bases)
        means, stds, owners = [*means, base.m], [*stds, base.s], [*owners, images]
    for i, mean in enumerate(points):
        means.append(mean)
        stds.append(std[i].expand_as(mean))
        owners.append(images[i].expand(len(mean)))
    return _Starts(MovableDiagonal(torch.cat(means), torch.cat(stds)), torch.cat(owners))


def _points(scan: PriorScan, image: int, x: Tensor, modes: Tensor | None) -> Float[Tensor, "J D"]:
    """Return the latents from which to start for one image: peaks among the prior's samples, and the caller's modes."""
    if modes is None:
        return scan.peaks(image, PRIOR_STARTS).to(x)
    given = torch.as_tensor(modes).to(x).reshape(-1, scan.z.shape[1])
    return torch.cat([scan.peaks(image, 1).to(x), given[:MAX_MODES]])


def _diagonal(posteriors: Sequence[Posterior]) -> MovableDiagonal:
    """Return the Gaussians with the means and variances of densities of one image each, as one batch."""
    parts = zip(*(MovableDiagonal.matching(q).parts() for q in posteriors), strict=True)
    return MovableDiagonal.from_parts([torch.cat(column) for column in parts])


def _best_rows(score: Tensor, owner: Tensor, count: int) -> Int[Tensor, " B"]:
    """Return the row with the largest score of each of `count` images; a score that is not finite counts as lowest."""
    order = torch.argsort(score.nan_to_num(-math.inf, -math.inf, -math.inf), stable=True)
    best = torch.zeros(count, dtype=torch.long, device=score.device)
    for row, image in zip(order.tolist(), owner[order].tolist(), strict=True):  # in rising order: the last one stays
        best[image] = row
    return best


# -- search and polish -----------------------------------------------------------------------------------------------


def best_gaussians(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    seed: int = 0,
    starts: Sequence[Tensor] | None = None,
    progress: Progress = silent,
) -> BestGaussians:
    """Return the best diagonal and the best full Gaussian of each image.

    A short ascent with a diagonal covariance starts from the encoder's q, its base, and the highest peaks of p(x, z)
    among samples of the prior (`PriorScan`), or the highest one of these and `starts`. From the best result the ascent
    goes on to convergence, first with a diagonal, then with a full covariance. The ELBOs are estimated with
    SCORE_SAMPLES fresh quasi-random samples; where none is above that of the encoder's q, the result is that q.

    Args:
        starts: for each image, further latents (J, D) from which to start, such as the modes of its true posterior.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gpvae.best_gaussians(run.model, run.data.test.pixels([0, 1])).diagonal_mean.shape
    torch.Size([2, 2])
    """
    scan = PriorScan.of(vae, x, seed)
    points = [_points(scan, i, x, starts[i] if starts else None) for i in range(len(x))]
    rows = 2 + max(map(len, points), default=0)
    # As many images as have their decodes of one step within DECODES_AT_ONCE, whatever start and samples they need.
    chunk = max(1, DECODES_AT_ONCE // (rows * max(SEARCH.samples, 2 * vae.latent_dim)))
    parts = []
    for low in range(0, len(x), chunk):
        part = slice(low, low + chunk)
        parts.append(_best_of_chunk(vae, x[part], seed, points[part]))
        progress(min(low + chunk, len(x)), len(x), "best Gaussians")
    return BestGaussians(*(torch.cat([getattr(p, name) for p in parts]) for name in BestGaussians.__dataclass_fields__))


@torch.no_grad()
def _best_of_chunk(vae: VAE, x: Tensor, seed: int, points: Sequence[Tensor]) -> BestGaussians:
    posteriors = infer_each(vae, x)
    encoder = _diagonal(posteriors)
    starts = _starts(x, posteriors, encoder, points)
    searched, _ = _ascend(vae, x[starts.owner], starts.q, SEARCH, seed + 1)
    eps = sobol_noise(SCORE_SAMPLES, vae.latent_dim, seed).to(x)
    # NOTE: not by the ELBOs of the ascent. Its few samples have the moments of N(0, I) but not its tails, so that wide
    # Gaussians appear too good, by more than a nat.
    score = elbos(ElboByImage(vae), x[starts.owner], _exact(searched), in_double(eps[:RANK_SAMPLES]))
    best_starts = searched.rows(_best_rows(score, starts.owner, len(x)))
    encoder_elbo = elbos(vae, x, encoder, eps)
    diagonal, diagonal_elbo = _polish(vae, x, best_starts, (encoder, encoder_elbo), eps, seed + 2)
    # The full ascent starts from the diagonal optimum, so that its ELBO cannot end below the diagonal one's.
    start = MovableFullByRows.matching(diagonal.posterior())
    full, full_elbo = _polish(vae, x, start, (start, diagonal_elbo), eps, seed + 3)
    return BestGaussians(diagonal.m, diagonal.s, diagonal_elbo, full.m, full.chol, full_elbo, encoder_elbo)


def _ascend(vae: VAE, x: Tensor, start: G, settings: AdamUntilFlat, seed: int) -> tuple[G, Tensor]:
    """Return the result of `maximise`, computed in float64 so that an image's path does not depend on its batch."""
    best, elbo = maximise(ElboByImage(vae), x, _exact(start), settings, seed)
    return best.to(x), elbo


def _exact(q: G) -> G:
    """Return the Gaussians in float64."""
    return q.from_parts([in_double(part) for part in q.parts()])


def _polish(vae: VAE, x: Tensor, start: G, fallback: tuple[G, Tensor], eps: Tensor, seed: int) -> tuple[G, Tensor]:
    """Maximise from `start` to convergence; return the fallback, a Gaussian and its ELBO, where it is no worse."""
    best, _ = _ascend(vae, x, start, POLISH, seed)
    elbo = elbos(vae, x, best, eps)
    better = best.where(elbo > fallback[1], fallback[0])
    return better, torch.maximum(elbo.nan_to_num(-math.inf), fallback[1])


@torch.no_grad()
def elbos(
    model: ElboTerms,
    x: Float[Tensor, "B C H W"],
    q: MovableGaussian,
    eps: Float[Tensor, "K D"],
    progress: Progress = silent,
) -> Float[Tensor, " B"]:
    """Return the ELBO of each image's Gaussian in nats, with noise `eps` common to all, a few images at a time."""
    chunk = max(1, SCORED_AT_ONCE // len(eps))
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(chunk):
        parts.append(gaussian_elbo(model, x[rows], q.rows(rows), eps.unsqueeze(1)))
        progress(min(int(rows[-1]) + 1, len(x)), len(x), "scoring posteriors")
    return torch.cat(parts)
