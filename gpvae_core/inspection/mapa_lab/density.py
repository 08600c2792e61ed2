"""The density p(x) over the plane, of the ground-truth model and of trained runs."""

from __future__ import annotations

import numpy as np

from gpvae_core.errors import UserError
from gpvae_core.inspection.gap_lab.scores import value
from gpvae_core.inspection.mapa_lab.models import PointModel
from gpvae_core.inspection.mapa_lab.views import DensityView
from gpvae_core.inspection.views import Array

SIDE = 140
"""Grid points along each axis."""
MARGIN = 3.0
"""Margin of the window around the decoder's curve, in standard deviations of the noise."""
FLOOR = -600.0
"""Smallest log density, nats; exp of it is still a normal float64."""


def window(truth: PointModel, sigma: float) -> tuple[Array, Array]:
    """Return axes (Gx,), (Gy,) that contain the true decoder's curve over the central 99.8 % of the prior."""
    _, curve = truth.curve()
    low, high = curve.min(0) - MARGIN * sigma, curve.max(0) + MARGIN * sigma
    return np.linspace(low[0], high[0], SIDE), np.linspace(low[1], high[1], SIDE)


def grid_log_px(model: PointModel, x: Array, y: Array) -> Array:
    """Return log p(x) at every (x_j, y_i), (Gy, Gx), in nats, and at least FLOOR.

    Raises:
        UserError: the likelihood is not Gaussian.
    """
    sigma = model.model.likelihood.noise_scale()
    if sigma is None:
        raise UserError(f"wanted a model with Gaussian noise to draw its density, got '{model.name}' with another")
    return model.line.log_px_on_plane(x, y, sigma, FLOOR)


def density_view(
    truth: PointModel, model: PointModel, axes: tuple[Array, Array], log_true: Array, test: Array
) -> DensityView:
    """Return both densities, and KL(p_GT || p_model) as the mean of log p_GT - log p_model over the test points.

    Test points at which one of the quadratures failed its checks are left out of the KL.
    """
    log_model, passed = model.log_px(test), truth.passed(test) & model.passed(test)
    return DensityView(
        name=model.name,
        x=axes[0],
        y=axes[1],
        log_true=log_true,
        log_model=grid_log_px(model, *axes),
        points=test,
        test_kl=value((truth.log_px(test) - log_model)[passed]),
        test_log_px=value(log_model),
        failed=int((~passed).sum()),
    )
