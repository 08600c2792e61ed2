"""The gaps of pseudo-observations: with a linear decoder of orthogonal axes the best ones are known."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from gpvae_core.errors import UserError
from gpvae_core.evaluation.image_gaps import OthersExpansion, slopes_of
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.pseudo_ascent import ascent_noise
from gpvae_core.evaluation.pseudo_gaps import pseudo_gaps
from gpvae_core.gp_prior.one_changed import OneChanged
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inference.gp_prior.sparse import PooledPredictor
from gpvae_core.progress import silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, SHAPE, trained

generator = torch.Generator().manual_seed(0)
SCALES = torch.tensor([[0.9], [0.5]]).double()
ORTHOGONAL = SCALES * torch.linalg.qr(torch.randn(16, 2, generator=generator, dtype=torch.float64))[0].T
OBLIQUE = 0.3 * torch.randn(2, 16, generator=generator, dtype=torch.float64)


class LinearDecoder(nn.Module):
    """y = 1/2 + z A."""

    def __init__(self, A: Tensor) -> None:
        super().__init__()
        self.A = A

    def forward(self, z: Tensor) -> Tensor:
        return (0.5 + z @ self.A.to(z)).reshape(-1, *SHAPE)


def with_decoder(method: str, settings: dict, out: Path, A: Tensor) -> Run:
    run = trained(method, settings, out)
    run.model.decoder = LinearDecoder(A)
    return run


def log_likelihood(run: Run, y: Tensor, mean: Tensor, variance: Tensor, A: Tensor) -> Tensor:
    """E log N(y; 1/2 + z A, sigma^2) of each image for z ~ N(mean, variance)."""
    square = float(run.model.likelihood.noise_scale() or 0) ** 2
    misfit = (y - 0.5 - mean @ A).square().sum(1) + (variance @ A.square().sum(1))
    return -0.5 * misfit / square - 8 * math.log(2 * math.pi * square)


def series_of(run: Run, code: int, A: Tensor) -> tuple[float, float]:
    """The encoder's bound of a series of the test, and its log evidence."""
    test = DeviceSplit(DATA.test, CPU)
    assert isinstance(run.model.extra, GPModel)
    prior, family = run.model.extra.prior, run.model.extra.family
    index = (test.columns["series"] == code).nonzero().flatten()
    inputs, y = prior.at(columns_of(test, index)), test.batch(index).flatten(1).double()
    pseudo = inference_of(run).pseudo_observations(test, index)
    with torch.no_grad():
        found = family.approximate(
            prior, inputs[None], PseudoObservations(pseudo.mean[None], pseudo.precision[None]), 1
        )
        q, K = found.marginals, prior.kernel.matrix(inputs, inputs)
    bound = log_likelihood(run, y, q.mean[0].T, q.variance[0].T, A).sum() - found.kl.sum()
    square = float(run.model.likelihood.noise_scale() or 0) ** 2
    covariance = sum(torch.kron(K, torch.outer(row, row)) for row in A) + square * torch.eye(y.numel())
    assert isinstance(covariance, Tensor)
    return float(bound), float(
        MultivariateNormal(torch.full((y.numel(),), 0.5).double(), covariance).log_prob(y.flatten())
    )


@pytest.mark.parametrize("method", ["gp-vae", "markov"])
def test_the_best_bound_of_a_video_is_its_evidence(method: str, tmp_path: Path) -> None:
    run = with_decoder(method, BY_TIME, tmp_path / "run", ORTHOGONAL)
    codes = np.array([10, 8, 11])  # in any order, of 5, 3 and 6 images
    found = pseudo_gaps(run, DATA.test, codes)
    assert found.index.tolist() == codes.tolist()
    for code, gap, error in zip(codes, found.gap, found.error, strict=True):
        bound, evidence = series_of(run, code, ORTHOGONAL)
        assert error < 0.5 * (evidence - bound)
        assert gap == pytest.approx(evidence - bound, abs=4 * error + 0.02)


def test_the_gap_is_not_above_that_to_the_evidence(tmp_path: Path) -> None:
    run = with_decoder("gp-vae", BY_TIME, tmp_path / "run", OBLIQUE)
    found = pseudo_gaps(run, DATA.test, np.arange(8, 12))
    for code, gap, error in zip(range(8, 12), found.gap, found.error, strict=True):
        bound, evidence = series_of(run, code, OBLIQUE)
        assert 0 < gap < evidence - bound + 4 * error


class AllButOne(nn.Module):
    """The best pseudo-observations under the linear decoder, apart from those of one image."""

    def __init__(self, image: Tensor, sigma: float) -> None:
        super().__init__()
        self._image, self._sigma = image, sigma

    def forward(self, x: Tensor) -> SimpleNamespace:
        size = ORTHOGONAL.square().sum(1)
        mean = (x.double().flatten(1) - 0.5) @ ORTHOGONAL.T / size
        other = (x == self._image).flatten(1).all(1)[:, None]
        variance = (self._sigma**2 / size).expand_as(mean)
        return SimpleNamespace(mean=torch.where(other, mean + 6, mean), variance=torch.where(other, 0.05, variance))


FEW_POINTS = {**BY_VIEW, "inference.points": 4}
ALONE = {
    "prior.kernel": "rbf(time, length_scale=1e-3, learn=false)",
    "inference.points": len(DATA.train),
    "inference.learn_points": False,
}
"""Latents that are independent of one another: the gap of an image is in its own terms alone."""


def test_the_expansion_of_the_other_images_is_exact_where_their_likelihood_is_quadratic(tmp_path: Path) -> None:
    run = with_decoder("svgp", {**FEW_POINTS, "train.batch_size": 100}, tmp_path / "run", OBLIQUE)
    engine, train = inference_of(run), DeviceSplit(DATA.train, CPU)
    predictor = engine.predictor()
    assert isinstance(predictor, PooledPredictor)
    assert isinstance(run.model.extra, GPModel)
    images = torch.tensor([5, 17])
    with torch.no_grad():
        at = predictor.sparse.at(run.model.extra.prior.at(columns_of(train)))
        pseudo, before = engine.pseudo_observations(train), predictor.sparse.q.marginals(at)
        slopes = slopes_of(run.model, train, before, ascent_noise(2, 0), silent)
        ones = OneChanged.of(predictor.sparse.q, at, pseudo, images)
        change = ones.change(ones.pseudo.mean + 0.7, 3.0 * ones.pseudo.precision)
        after = ones.marginals(change, before)
        found = OthersExpansion.of(ones, images, slopes).growth(torch.arange(2), change)
    y = train.all().flatten(1).double()
    start = log_likelihood(run, y, before.mean.T, before.variance.T, OBLIQUE)
    for row, image in enumerate(images):
        growth = log_likelihood(run, y, after.mean[row].T, after.variance[row].T, OBLIQUE) - start
        growth[image] = 0.0
        assert abs(float(growth.sum())) > 0.1
        assert float(found[row]) == pytest.approx(float(growth.sum()), rel=1e-3)


@pytest.mark.parametrize(("method", "prior"), [("svgp", FEW_POINTS), ("titsias", FEW_POINTS), ("svgp", ALONE)])
def test_the_best_pseudo_observation_of_an_image_is_that_of_its_likelihood(
    method: str, prior: dict[str, Any], tmp_path: Path
) -> None:
    settings = {**prior, "train.batch_size": 100}
    run = with_decoder(method, settings, tmp_path / "run", ORTHOGONAL)
    image, train = 5, DeviceSplit(DATA.train, CPU)
    sigma = float(run.model.likelihood.noise_scale() or 0)
    run.model.encoder = AllButOne(train.batch(torch.tensor([image])), sigma)  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(run.model.extra, GPModel)
    process, family = run.model.extra.prior, run.model.extra.family
    inputs, y = process.at(train.columns), train.all().flatten(1).double()

    def bound(pseudo: PseudoObservations) -> tuple[float, float]:
        with torch.no_grad():
            rows = PseudoObservations(pseudo.mean[None], pseudo.precision[None])
            found = family.approximate(process, inputs[None], rows, 1.0)
        q = found.marginals
        terms = log_likelihood(run, y, q.mean[0].T, q.variance[0].T, ORTHOGONAL)
        return float(terms.sum() - found.kl.sum()), float(terms[image])

    start = inference_of(run).pseudo_observations(train)
    size = ORTHOGONAL.square().sum(1)
    best = PseudoObservations(((y - 0.5) @ ORTHOGONAL.T / size).T, (size / sigma**2)[:, None].expand_as(start.mean))
    expected, own = (after - before for after, before in zip(bound(best), bound(start), strict=True))
    found = pseudo_gaps(run, DATA.test, np.array([image, 0]))
    assert expected > 0.5
    # The search may end below the best bound, in its own terms by a few parts in a hundred.
    assert found.gap[0] == pytest.approx(expected, abs=4 * found.error[0] + 0.02 * max(1, own))
    assert found.error[0] < 0.2 * expected
    assert found.own is not None
    assert own > 1
    assert found.own[0] == pytest.approx(own, rel=0.03, abs=0.1)
    assert 0 <= found.gap[1] < expected + 4 * found.error[1], "the others are at their best"


def test_what_has_no_pseudo_observations_is_refused(tmp_path: Path) -> None:
    run = trained("hensman", {**BY_VIEW, "inference.points": 4}, tmp_path / "run")
    with pytest.raises(UserError, match="method 'hensman' has no pseudo-observations whose gap"):
        pseudo_gaps(run, DATA.test, np.array([0]))
    run = trained("gp-vae", {"prior.kernel": "matern(time)", "train.batch_size": 100}, tmp_path / "exact")
    with pytest.raises(UserError, match="no inducing points"):
        pseudo_gaps(run, DATA.test, np.array([0]))
