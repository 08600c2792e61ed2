"""Fig. 1 of Yacoby et al. 2024: the generative process, its posteriors and the index posteriors of drawn points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from gpvae_core.errors import UserError
from gpvae_core.inspection.mapa_lab.views import ProcessView
from gpvae_core.inspection.views import Array
from gpvae_core.mapa.ranges import BANDWIDTH_RANGE, is_bandwidth

PAPER_SIGMA = 0.02
"""Noise of the paper's Fig. 1, which the paper does not state; with it the posteriors overlap as they do there."""
MOST_DRAWS = 12
GRID_Z, GRID_X = 801, 241
MARGIN = 4.0
"""Margin of the axis of x around f, in standard deviations of the noise."""


@dataclass(frozen=True)
class LatentCurve:
    """A prior on a grid of latents, and a function f of them with P coordinates."""

    z: Array
    """(G,) latents, evenly spaced."""
    log_prior: Array
    """(G,) log p(z)."""
    f: Array
    """(G, P) f(z)."""


@dataclass(frozen=True)
class ProcessDraw:
    """n drawn points: latents z_i (n,), means f(z_i) (n, P) and noise epsilon_i (n, P)."""

    latents: Array
    means: Array
    noise: Array

    @property
    def x(self) -> Array:
        """The points x_i = f(z_i) + epsilon_i, (n, P)."""
        return self.means + self.noise


def check(draws: int, noise: float) -> None:
    """Raise UserError unless 1 <= draws <= MOST_DRAWS and the noise, which is MAPA's bandwidth, can be one."""
    if not 1 <= draws <= MOST_DRAWS:
        raise UserError(f"wanted 1 to {MOST_DRAWS} points of the generative process, got {draws}")
    if not is_bandwidth(noise):
        raise UserError(
            f"wanted a noise scale above 0 (the standard deviation of epsilon), {BANDWIDTH_RANGE}, got {noise:g}"
        )


def log_normal(square: Array, sigma: float, dimensions: int) -> Array:
    """Return log N(x; f, sigma^2 I) in nats from |x - f|^2."""
    return -0.5 * square / sigma**2 - dimensions * (math.log(sigma) + 0.5 * math.log(2 * math.pi))


def _squares(x: Array, f: Array) -> Array:
    """Return the squared distances (A, B) between points (A, P) and (B, P)."""
    return ((x[:, None, :] - f[None, :, :]) ** 2).sum(-1)


def log_index(x: Array, centres: Array, sigma: float) -> Array:
    """Return log index posteriors (n, n) of points (n, P): eq. 7 with centres f(z_i), and eq. 8 with centres x_i."""
    return log_softmax(-0.5 * _squares(x, centres) / sigma**2, axis=1)


def describe(
    curve: LatentCurve, drawn: ProcessDraw, coordinate: int, sigma: float, *, title: str, label: str, unit: str
) -> ProcessView:
    """Return the view of one coordinate of x; posteriors are conditioned on all coordinates."""
    f, log_step = curve.f[:, coordinate], math.log(curve.z[1] - curve.z[0])
    values = np.concatenate([f, drawn.x[:, coordinate]])
    x = np.linspace(values.min() - MARGIN * sigma, values.max() + MARGIN * sigma, GRID_X)
    log_joint = curve.log_prior + log_normal((x[:, None] - f) ** 2, sigma, 1)
    unnormalised = curve.log_prior - 0.5 * _squares(drawn.x, curve.f) / sigma**2
    # Integrals over z are sums over the grid times its step: log int = logsumexp + log_step.
    return ProcessView(
        title=title,
        x_label=label,
        z=curve.z,
        x=x,
        log_prior=curve.log_prior,
        f=f,
        log_joint=log_joint,
        log_px=np.asarray(logsumexp(log_joint, axis=1)) + log_step,
        latents=drawn.latents,
        means=drawn.means[:, coordinate],
        noise=drawn.noise[:, coordinate],
        observed=drawn.x[:, coordinate],
        log_posterior=unnormalised - np.asarray(logsumexp(unnormalised, axis=1, keepdims=True)) - log_step,
        mapa=np.exp(log_index(drawn.x, drawn.x, sigma)),
        empirical=np.exp(log_index(drawn.x, drawn.means, sigma)),
        sigma=sigma,
        latent_unit=unit,
    )


def _paper(title: str, function: Callable[[Array], Array], u: Array, eps: Array, sigma: float) -> ProcessView:
    z = (np.arange(GRID_Z) + 0.5) / GRID_Z  # midpoint rule on [0, 1]
    curve = LatentCurve(z, np.zeros(GRID_Z), function(z)[:, None])
    drawn = ProcessDraw(u, function(u)[:, None], eps[:, None])
    return describe(curve, drawn, 0, sigma, title=title, label="x", unit="")


def paper_processes(seed: int = 0, draws: int = 4, noise: float = PAPER_SIGMA) -> tuple[ProcessView, ProcessView]:
    """Return the paper's two variants, z ~ U[0, 1] with f(z) = (0.5 - z)^2 and f(z) = 0.25 z^2, which share p(x).

    Both show the same x_i: z' = |1 - 2z| is uniform as well, and 0.25 z'^2 = (0.5 - z)^2.

    Raises:
        UserError: the number of draws is not from 1 to MOST_DRAWS, or the noise is not positive.
    """
    check(draws, noise)
    generator = np.random.default_rng(seed)
    u, eps = generator.random(draws), noise * generator.standard_normal(draws)
    return (
        _paper("Variant 1: f(z) = (0.5 − z)²", lambda z: (0.5 - z) ** 2, u, eps, noise),
        _paper("Variant 2: f(z) = 0.25 z²", lambda z: 0.25 * z**2, np.abs(1.0 - 2.0 * u), eps, noise),
    )
