"""The region drawn for an encoder that is no diagonal Gaussian, against the Gaussian's own ellipse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from gpvae_core.encoders.full_gaussian import FullGaussian
from gpvae_core.encoders.gaussian import DiagonalGaussian
from gpvae_core.explore.encoder_shape import encoder_shape, with_region
from gpvae_core.explore.planes import latent_plane
from gpvae_core.explore.views import Plane
from gpvae_core.plots.level_lines import level_lines

MEAN = torch.tensor([[0.3, -0.2]])
L = torch.tensor([[[0.5, 0.0], [0.6, 0.3]]])
AXIS = np.linspace(-4, 4, 161)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def radii(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances."""
    away = points - mean
    return np.einsum("pi,ij,pj->p", away, np.linalg.inv(covariance), away)


def test_the_region_of_a_correlated_gaussian_is_its_ellipse() -> None:
    q, plane = FullGaussian(MEAN, L), latent_plane()
    shape = encoder_shape("encoder", plane, q, generator())
    covariance = (L @ L.mT)[0].double().numpy()
    assert np.allclose(shape.covariance, covariance, atol=0.06)
    region = with_region(shape, plane, q, AXIS, AXIS, generator()).region
    assert region is not None
    line = level_lines(region.x, region.y, region.log_density, region.level)
    found = radii(line, MEAN[0].double().numpy(), covariance)
    assert found.mean() == pytest.approx(chi2(2).ppf(0.9), rel=0.1)
    assert found.std() < 0.1 * found.mean()


def test_on_a_slice_the_region_is_that_of_the_restricted_density() -> None:
    """Through the mean, along z1 and z2 of three dimensions that do not depend on z3: again the ellipse."""
    mean = torch.cat([MEAN, torch.tensor([[0.5]])], 1)
    chol = torch.zeros(1, 3, 3)
    chol[0, :2, :2], chol[0, 2, 2] = L[0], 0.7
    plane = Plane(mean[0].double().numpy(), np.eye(2, 3), "z1", "z2", is_slice=True, note="")
    q = FullGaussian(mean, chol)
    region = with_region(encoder_shape("encoder", plane, q, generator()), plane, q, AXIS, AXIS, generator()).region
    assert region is not None
    found = radii(level_lines(AXIS, AXIS, region.log_density, region.level), np.zeros(2), (L @ L.mT)[0].numpy())
    assert found.mean() == pytest.approx(chi2(2).ppf(0.9), rel=0.05)


def test_a_diagonal_gaussian_keeps_its_ellipse() -> None:
    q, plane = DiagonalGaussian(MEAN, torch.tensor([[0.5, 0.2]])), latent_plane()
    shape = with_region(encoder_shape("encoder", plane, q, generator()), plane, q, AXIS, AXIS, generator())
    assert shape.region is None
    assert np.allclose(shape.covariance, np.diag([0.25, 0.04]), atol=1e-6)
