"""The outline drawn for an encoder that is no diagonal Gaussian, against the Gaussian's own ellipse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.inspection.encoder_shape import encoder_shape
from gpvae_core.inspection.planes import latent_plane
from gpvae_core.inspection.views import Plane

MEAN = torch.tensor([[0.3, -0.2]])
L = torch.tensor([[[0.5, 0.0], [0.6, 0.3]]])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def radii(points: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances."""
    away = points - mean
    return np.einsum("pi,ij,pj->p", away, np.linalg.inv(covariance), away)


def test_the_outline_of_a_correlated_gaussian_is_its_ellipse() -> None:
    shape = encoder_shape("encoder", latent_plane(), FullGaussian(MEAN, L), generator())
    covariance = (L @ L.mT)[0].double().numpy()
    assert np.allclose(shape.covariance, covariance, atol=0.06)
    assert shape.outline is not None
    actual = radii(shape.outline, MEAN[0].double().numpy(), covariance)
    assert actual.mean() == pytest.approx(chi2(2).ppf(0.9), rel=0.05)
    assert actual.std() < 0.05 * actual.mean()


def test_on_a_slice_the_outline_is_that_of_the_restricted_density() -> None:
    """Through the mean, along z1 and z2 of three dimensions that do not depend on z3: again the ellipse."""
    mean = torch.cat([MEAN, torch.tensor([[0.5]])], 1)
    chol = torch.zeros(1, 3, 3)
    chol[0, :2, :2], chol[0, 2, 2] = L[0], 0.7
    plane = Plane(mean[0].double().numpy(), np.eye(2, 3), "z1", "z2", is_slice=True, note="")
    shape = encoder_shape("encoder", plane, FullGaussian(mean, chol), generator())
    assert shape.outline is not None
    actual = radii(shape.outline, np.zeros(2), (L @ L.mT)[0].numpy())
    assert actual.mean() == pytest.approx(chi2(2).ppf(0.9), rel=0.05)


def test_a_diagonal_gaussian_keeps_its_ellipse() -> None:
    q = DiagonalGaussian(MEAN, torch.tensor([[0.5, 0.2]]))
    shape = encoder_shape("encoder", latent_plane(), q, generator())
    assert shape.outline is None
    assert np.allclose(shape.covariance, np.diag([0.25, 0.04]), atol=1e-6)
