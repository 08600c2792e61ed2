"""Fig. 1 of Yacoby et al. 2024: how points come about, and what each says of its own and of the others' latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, logsumexp

from gpvae_core.errors import UserError
from gpvae_core.inspection.mapa_lab.views import ProcessView
from gpvae_core.inspection.views import Array

PAPER_SIGMA = 0.02
"""The paper states no noise for its Fig. 1; this much lets the four points' posteriors overlap as they do there."""
MOST_DRAWS = 12
GRID_Z, GRID_X = 801, 241
MARGIN = 4.0
"""Noise deviations that the axis of x reaches beyond f."""


@dataclass(frozen=True)
class LatentCurve:
    """A prior on a grid of latents and a function of them with P coordinates."""

    z: Array
    """(G,) evenly spaced."""
    log_prior: Array
    """(G,)."""
    f: Array
    """(G, P)."""


@dataclass(frozen=True)
class ProcessDraw:
    """n points: latents (n,), f(z_i) (n, P) and noise (n, P)."""

    latents: Array
    means: Array
    noise: Array

    @property
    def x(self) -> Array:
        return self.means + self.noise


def check(draws: int, noise: float) -> None:
    """Raises UserError unless 1 <= draws <= MOST_DRAWS and the noise is above 0."""
    if not 1 <= draws <= MOST_DRAWS:
        raise UserError(f"wanted 1 to {MOST_DRAWS} points of the generative process, got {draws}")
    if not (noise > 0 and math.isfinite(noise)):
        raise UserError(f"wanted a noise scale above 0 (the standard deviation of epsilon), got {noise:g}")


def log_normal(square: Array, sigma: float, dimensions: int) -> Array:
    """Return log N(x; f, sigma^2 I) in nats from |x - f|^2."""
    return -0.5 * square / sigma**2 - dimensions * (math.log(sigma) + 0.5 * math.log(2 * math.pi))


def _squares(x: Array, f: Array) -> Array:
    """(A, P), (B, P) -> (A, B): squared distances."""
    return ((x[:, None, :] - f[None, :, :]) ** 2).sum(-1)


def log_index(x: Array, centres: Array, sigma: float) -> Array:
    """(n, P), (n, P) -> (n, n): log of eq. 7 with centres f(z_i), of eq. 8 with centres x_i."""
    return log_softmax(-0.5 * _squares(x, centres) / sigma**2, axis=1)


def describe(
    curve: LatentCurve, drawn: ProcessDraw, coordinate: int, sigma: float, *, title: str, label: str, unit: str
) -> ProcessView:
    """Return the view of one coordinate of x; posteriors are those given all of them."""
    f, step = curve.f[:, coordinate], math.log(curve.z[1] - curve.z[0])
    seen = np.concatenate([f, drawn.x[:, coordinate]])
    x = np.linspace(seen.min() - MARGIN * sigma, seen.max() + MARGIN * sigma, GRID_X)
    log_joint = curve.log_prior + log_normal((x[:, None] - f) ** 2, sigma, 1)
    unnormalised = curve.log_prior - 0.5 * _squares(drawn.x, curve.f) / sigma**2
    return ProcessView(
        title=title,
        x_label=label,
        z=curve.z,
        x=x,
        log_prior=curve.log_prior,
        f=f,
        log_joint=log_joint,
        log_px=np.asarray(logsumexp(log_joint, axis=1)) + step,
        latents=drawn.latents,
        means=drawn.means[:, coordinate],
        noise=drawn.noise[:, coordinate],
        observed=drawn.x[:, coordinate],
        log_posterior=unnormalised - np.asarray(logsumexp(unnormalised, axis=1, keepdims=True)) - step,
        mapa=np.exp(log_index(drawn.x, drawn.x, sigma)),
        empirical=np.exp(log_index(drawn.x, drawn.means, sigma)),
        sigma=sigma,
        latent_unit=unit,
    )


def _paper(title: str, function: Callable[[Array], Array], u: Array, eps: Array, sigma: float) -> ProcessView:
    z = (np.arange(GRID_Z) + 0.5) / GRID_Z  # midpoints: every one stands for an equal share of [0, 1]
    curve = LatentCurve(z, np.zeros(GRID_Z), function(z)[:, None])
    drawn = ProcessDraw(u, function(u)[:, None], eps[:, None])
    return describe(curve, drawn, 0, sigma, title=title, label="x", unit="")


def paper_processes(seed: int = 0, draws: int = 4, noise: float = PAPER_SIGMA) -> tuple[ProcessView, ProcessView]:
    """z ~ U[0, 1] under f(z) = (0.5 - z)^2 (variant 1) and f(z) = 0.25 z^2 (variant 2), which share p(x).

    Both columns show the same x_i: with z' = |1 - 2z|, uniform as well, 0.25 z'^2 = (0.5 - z)^2.

    Raises:
        UserError: no draws or more than MOST_DRAWS, or a noise that is not above 0.
    """
    check(draws, noise)
    generator = np.random.default_rng(seed)
    u, eps = generator.random(draws), noise * generator.standard_normal(draws)
    return (
        _paper("Variant 1: f(z) = (0.5 − z)²", lambda z: (0.5 - z) ** 2, u, eps, noise),
        _paper("Variant 2: f(z) = 0.25 z²", lambda z: 0.25 * z**2, np.abs(1.0 - 2.0 * u), eps, noise),
    )
