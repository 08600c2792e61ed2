"""The gap of the pseudo-observation of one image, where all images have one function in common.

A changed pseudo-observation moves the latents of all images. Those of the image itself are decoded at every step of the
ascent. For the others it has the expansion of E log p(y_j|z_j) to second order in the mean and to first order in the
variance of q(z_j); at the end the bound of all images is computed anew, which is what the gap is made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.pseudo_ascent import (
    ASCENT,
    AT_ONCE,
    ascent_noise,
    check_amortized,
    differentiated,
    kept_if_better,
    moved,
)
from gpvae_core.gp_prior.one_changed import Change, OneChanged
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import LEAST_VARIANCE, columns_of
from gpvae_core.inference.gp_prior.sparse import PooledPredictor
from gpvae_core.progress import Progress
from gpvae_core.refiners.until_flat import climb
from gpvae_core.runs import Run
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

OWN_SAMPLES = 256
"""Samples of an image's own latent by which its bounds before and after are compared."""
OTHER_SAMPLES = 4
"""The same of the latents of all other images, which hardly move."""


HALVINGS = 4
"""Number of times that a move is halved at most, where the whole of it raises the bound less."""


@dataclass(frozen=True)
class Slopes:
    """Derivatives of E log p(y_j|z_j) in the mean and the variance of q(z_j), of each of N images."""

    mean: Float[Tensor, "N D"]
    curvature: Float[Tensor, "N D D"]
    """Second derivatives in the mean. Half of the diagonal is the derivative in the variance (Price 1958)."""


@torch.no_grad()
def image_gaps(
    run: Run, index: NDArray[np.int64], seed: int, progress: Progress
) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Yield the gaps of training images, their errors and the images' own parts of them, some images at a time.

    Raises:
        UserError: the method has no inducing points, by which a change of one image is cheap.
    """
    model, engine, train = check_amortized(run), inference_of(run, seed), DeviceSplit(run.data.train, run.device)
    predictor = engine.predictor()
    if not isinstance(predictor, PooledPredictor):
        raise UserError(
            f"method '{run.config.method}' has no inducing points: the gap of an image is for svgp and titsias"
        )
    at = predictor.sparse.at(model.prior.at(columns_of(train)))
    pseudo, before = engine.pseudo_observations(train), predictor.sparse.q.marginals(at)
    noise = ascent_noise(run.model.latent_dim, seed).to(run.device)
    slopes = slopes_of(run.model, train, before, noise, progress)
    scorer, fresh = (_Scorer(run.model, train, before, seed + number) for number in (1, 2))
    done = 0
    for part in torch.as_tensor(index, device=run.device).split(max(1, AT_ONCE // len(noise))):
        ones = OneChanged.of(predictor.sparse.q, at, pseudo, part)
        best = _ascend(run.model, train, ones, part, slopes, noise)
        found = []
        for row, image in enumerate(part):
            rows = torch.tensor([row], device=part.device)
            one = ones.rows(rows)
            # Chosen by one noise and scored by another, so that the choice among noisy scores does not raise them.
            found.append(fresh.growth(one, _best_move(scorer, one, [t[rows] for t in best], image), image))
            done += 1
            progress(done, len(index), "optimising pseudo-observations of images")
        yield kept_if_better(*(torch.stack(values) for values in zip(*found, strict=True)))


def _best_move(scorer: _Scorer, one: OneChanged, coordinates: Sequence[Tensor], image: Tensor) -> Sequence[Tensor]:
    """Return the part of a move, of shorter and shorter ones, by which the bound grows most.

    A shorter one can be better, as an expansion holds near its centre.
    """
    best, growth = coordinates, scorer.growth(one, coordinates, image)[0]
    for halvings in range(1, HALVINGS + 1):
        shorter = [t / 2**halvings for t in coordinates]
        found = scorer.growth(one, shorter, image)[0]
        if growth > 0 and not found > growth:
            break
        if found > growth or not growth.isfinite():
            best, growth = shorter, found
    return best


def _log_p(
    vae: VAE, split: DeviceSplit, index: Int64[Tensor, " B"], q: Marginals, eps: Float[Tensor, "K *rows D"]
) -> Float[Tensor, "K B"]:
    """Return log p(y|z) in nats of images at z = mean + std eps of their latents, whose marginals are (B, D)."""
    x, z = split.batch(index), q.mean + q.variance.clamp_min(LEAST_VARIANCE).sqrt() * eps
    return vae.likelihood.log_prob(x, vae.decode(z.to(x.dtype)), split.observed(index)).double()


def slopes_of(
    vae: VAE, train: DeviceSplit, before: Marginals, noise: Float[Tensor, "K D"], progress: Progress
) -> Slopes:
    """Return the derivatives of all images, by the noise of the ascent.

    By Stein's identity the second derivatives are E[grad log p(y|z) eps'] / std, which for a quadratic log p(y|z) the
    noise gives exactly, as its second moments are those of N(0, I).
    """
    means, curvatures = [], []
    for index in torch.arange(len(train), device=noise.device).split(max(1, AT_ONCE // len(noise))):
        x, std = train.batch(index), before.variance[:, index].T.clamp_min(LEAST_VARIANCE).sqrt()
        with torch.enable_grad():
            z = (before.mean[:, index].T + std * noise.unsqueeze(1)).requires_grad_()
            log_p = vae.likelihood.log_prob(x, vae.decode(z.to(x.dtype)), train.observed(index))
            gradient = torch.autograd.grad(log_p.sum(), z)[0]
        means.append(gradient.mean(0))
        products = torch.einsum("kbd,ke->bde", gradient, noise) / len(noise) / std.unsqueeze(1)
        curvatures.append((products + products.mT) / 2)
        progress(int(index[-1]) + 1, len(train), "slopes of the likelihood")
    return Slopes(torch.cat(means), torch.cat(curvatures))


@dataclass(frozen=True)
class OthersExpansion:
    """By how much E log p(y_j|z_j) of all other images grows with the change of one of R images, expanded."""

    slope: Float[Tensor, "R D"]
    curvature: Float[Tensor, "R D D"]
    spread: Float[Tensor, "R D"]

    @classmethod
    def of(cls, ones: OneChanged, index: Int64[Tensor, " R"], slopes: Slopes) -> OthersExpansion:
        """Return it for these images of the split of which the slopes are."""
        a = ones.a.scatter(2, index[:, None, None].expand(-1, ones.a.shape[1], -1), 0.0)  # the others alone
        # Where log p(y_j|z_j) is convex, the expansion is made concave, so that the ascent does not run away.
        values, vectors = torch.linalg.eigh(slopes.curvature)
        concave = (vectors * -values.abs().unsqueeze(1)) @ vectors.mT
        return cls(
            torch.einsum("rdn,nd->rd", a, slopes.mean),
            torch.stack([torch.einsum("dn,nde,en->de", row, concave, row) for row in a]),
            0.5 * torch.einsum("rdn,ndd->rd", a.square(), slopes.curvature),
        )

    def growth(self, rows: Int64[Tensor, " B"], change: Change) -> Float[Tensor, " B"]:
        """Return the growth in nats for changes of some of the R images."""
        by_mean = (self.slope[rows] * change.alpha).sum(-1)
        by_mean = by_mean + 0.5 * torch.einsum("rd,rde,re->r", change.alpha, self.curvature[rows], change.alpha)
        return by_mean - (self.spread[rows] * change.beta).sum(-1)  # the variance of image j falls by beta a_j^2


def _ascend(
    vae: VAE, train: DeviceSplit, ones: OneChanged, index: Tensor, slopes: Slopes, noise: Float[Tensor, "K D"]
) -> list[Tensor]:
    """Return the best coordinates of the pseudo-observation of each of these images."""
    others = OthersExpansion.of(ones, index, slopes)

    def bound(rows: Tensor, coordinates: Sequence[Tensor]) -> Float[Tensor, " B"]:
        part = ones.rows(rows)
        pseudo = moved(part.pseudo, coordinates)
        change = part.change(pseudo.mean, pseudo.precision)
        own = _log_p(vae, train, index[rows], part.own_marginals(change), noise.unsqueeze(1)).mean(0)
        return own + others.growth(rows, change) - part.kl(change)

    return climb(differentiated(bound), [torch.zeros_like(ones.s) for _ in range(2)], ASCENT)[0]


class _Scorer:
    """Compares the bound of all images before and after the change of one, with the same noise."""

    def __init__(self, vae: VAE, train: DeviceSplit, before: Marginals, seed: int) -> None:
        self._vae, self._train, self._before = vae, train, before
        self._generator = torch.Generator(before.mean.device).manual_seed(seed)
        self._eps = self._noise(OTHER_SAMPLES, len(train))
        self._of_start = self._of_all(before)

    def _noise(self, k: int, count: int) -> Float[Tensor, "K B D"]:
        like = self._before.mean
        shape = (k, count, len(like))
        return torch.randn(shape, generator=self._generator, device=like.device, dtype=like.dtype)

    def _of_all(self, q: Marginals) -> Float[Tensor, "K N"]:
        """Return log p(y_j|z_j) of all images."""
        everything = torch.arange(len(self._train), device=q.mean.device)
        return torch.cat(
            [
                _log_p(self._vae, self._train, i, Marginals(q.mean[:, i].T, q.variance[:, i].T), self._eps[:, i])
                for i in everything.split(AT_ONCE // OTHER_SAMPLES)
            ],
            1,
        )

    def growth(self, one: OneChanged, coordinates: Sequence[Tensor], image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return by how much the bound grows in nats, its Monte Carlo error, and the image's own part of it."""
        pseudo = moved(one.pseudo, coordinates)
        change = one.change(pseudo.mean, pseudo.precision)
        after = one.marginals(change, self._before)
        others = self._of_all(Marginals(after.mean[0], after.variance[0])) - self._of_start
        others[:, image] = 0.0
        of_others = others.sum(1)
        eps = self._noise(OWN_SAMPLES, 1)
        own_after, own_before = (
            _log_p(self._vae, self._train, image[None], q, eps) for q in (one.own_marginals(change), one.own)
        )
        own = own_after - own_before
        variance = own.var() / OWN_SAMPLES + of_others.var() / OTHER_SAMPLES
        return own.mean() + of_others.mean() - one.kl(change)[0], variance.sqrt(), own.mean()
