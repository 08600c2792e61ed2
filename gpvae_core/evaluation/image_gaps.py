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
from jaxtyping import Float
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
from gpvae_core.gp_prior.one_changed import OneChanged
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.gp_prior.engine import LEAST_VARIANCE, columns_of
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


@dataclass(frozen=True)
class Slopes:
    """Derivatives of E log p(y_j|z_j) in the mean and the variance of q(z_j), of each of N images."""

    mean: Float[Tensor, "N D"]
    curvature: Float[Tensor, "N D D"]
    """Second derivatives in the mean. Half of the diagonal is the derivative in the variance (Price 1958)."""


@torch.no_grad()
def image_gaps(
    run: Run, index: NDArray[np.int64], seed: int, progress: Progress
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield the gaps of training images and their errors, some images at a time.

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
    slopes = _slopes(run.model, train, before, noise, progress)
    scorer = _Scorer(run.model, train, before, seed)
    done = 0
    for part in torch.as_tensor(index, device=run.device).split(max(1, AT_ONCE // len(noise))):
        ones = OneChanged.of(predictor.sparse.q, at, pseudo, part)
        best = _ascend(run.model, train.batch(part), ones, part, slopes, noise)
        differences, errors = [], []
        for row, image in enumerate(part):
            rows = torch.tensor([row], device=part.device)
            difference, error = scorer.growth(ones.rows(rows), [t[rows] for t in best], image)
            differences.append(difference)
            errors.append(error)
            done += 1
            progress(done, len(index), "optimising pseudo-observations of images")
        yield kept_if_better(torch.stack(differences), torch.stack(errors))


def _log_p(vae: VAE, x: Float[Tensor, "B C H W"], mean: Tensor, variance: Tensor, eps: Tensor) -> Float[Tensor, "K B"]:
    """Return log p(x|z) in nats at z = mean + std eps of latents (B, D) with noise (K, B, D)."""
    z = mean + variance.clamp_min(LEAST_VARIANCE).sqrt() * eps
    return vae.likelihood.log_prob(x, vae.decode(z.to(x.dtype))).double()


def _slopes(vae: VAE, train: DeviceSplit, before: Marginals, noise: Float[Tensor, "K D"], progress: Progress) -> Slopes:
    """Return the derivatives of all images, by the noise of the ascent.

    By Stein's identity the second derivatives are E[grad log p(y|z) eps'] / std, which for a quadratic log p(y|z) the
    noise gives exactly, as its second moments are those of N(0, I).
    """
    means, curvatures = [], []
    for index in torch.arange(len(train), device=noise.device).split(max(1, AT_ONCE // len(noise))):
        x, std = train.batch(index), before.variance[:, index].T.clamp_min(LEAST_VARIANCE).sqrt()
        with torch.enable_grad():
            z = (before.mean[:, index].T + std * noise.unsqueeze(1)).requires_grad_()
            log_p = vae.likelihood.log_prob(x, vae.decode(z.to(x.dtype)))
            gradient = torch.autograd.grad(log_p.sum(), z)[0]
        means.append(gradient.mean(0))
        products = torch.einsum("kbd,ke->bde", gradient, noise) / len(noise) / std.unsqueeze(1)
        curvatures.append((products + products.mT) / 2)
        progress(int(index[-1]) + 1, len(train), "slopes of the likelihood")
    return Slopes(torch.cat(means), torch.cat(curvatures))


def _ascend(
    vae: VAE, x: Tensor, ones: OneChanged, index: Tensor, slopes: Slopes, noise: Float[Tensor, "K D"]
) -> list[Tensor]:
    """Return the best coordinates of the pseudo-observation of each of these images."""
    a = ones.a.scatter(2, index[:, None, None].expand(-1, ones.a.shape[1], -1), 0.0)  # the others alone
    slope = torch.einsum("rdn,nd->rd", a, slopes.mean)
    curvature = torch.stack([torch.einsum("dn,nde,en->de", row, slopes.curvature, row) for row in a])
    spread = 0.5 * torch.einsum("rdn,ndd->rd", a.square(), slopes.curvature)

    def bound(rows: Tensor, coordinates: Sequence[Tensor]) -> Float[Tensor, " B"]:
        part = ones.rows(rows)
        pseudo = moved(part.pseudo, coordinates)
        change = part.change(pseudo.mean, pseudo.precision)
        q = part.own_marginals(change)
        own = _log_p(vae, x[rows], q.mean, q.variance, noise.unsqueeze(1)).mean(0)
        by_mean = (slope[rows] * change.alpha).sum(-1)
        by_mean = by_mean + 0.5 * torch.einsum("rd,rde,re->r", change.alpha, curvature[rows], change.alpha)
        return own + by_mean - (spread[rows] * change.beta).sum(-1) - part.kl(change)

    return climb(differentiated(bound), [torch.zeros_like(ones.s) for _ in range(2)], ASCENT)[0]


class _Scorer:
    """Compares the bound of all images before and after the change of one, with the same noise."""

    def __init__(self, vae: VAE, train: DeviceSplit, before: Marginals, seed: int) -> None:
        self._vae, self._train, self._before = vae, train, before
        self._generator = torch.Generator(before.mean.device).manual_seed(seed + 1)
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
                _log_p(self._vae, self._train.batch(i), q.mean[:, i].T, q.variance[:, i].T, self._eps[:, i])
                for i in everything.split(AT_ONCE // OTHER_SAMPLES)
            ],
            1,
        )

    def growth(self, one: OneChanged, coordinates: Sequence[Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
        """Return by how much the bound grows in nats, with its Monte Carlo error."""
        pseudo = moved(one.pseudo, coordinates)
        change = one.change(pseudo.mean, pseudo.precision)
        after = one.marginals(change, self._before)
        others = self._of_all(Marginals(after.mean[0], after.variance[0])) - self._of_start
        others[:, image] = 0.0
        of_others = others.sum(1)
        x, eps, q = self._train.batch(image[None]), self._noise(OWN_SAMPLES, 1), one.own_marginals(change)
        own = _log_p(self._vae, x, q.mean, q.variance, eps) - _log_p(self._vae, x, one.own.mean, one.own.variance, eps)
        variance = own.var() / OWN_SAMPLES + of_others.var() / OTHER_SAMPLES
        return own.mean() + of_others.mean() - one.kl(change)[0], variance.sqrt()
