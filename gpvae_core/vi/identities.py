"""Identities of the papers that can be checked by numbers: the Fisher information, and the bound of the GP encoder.

The Fisher information is the curvature of the KL (Ganguly et al. 2023, app. B and C). The KL of the GP encoder's
q(W, U) to p(W, U|D) is log p^(D) minus the sum of the ELBOs (Kim & Pavlovic 2021, eq. 17 to 23).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.part_text import parse_part
from gpvae_core.vi.families.base import VI_FAMILIES, FamilyConfig
from gpvae_core.vi.families.gaussian import GaussianFamily

Array = NDArray[np.float64]
NODES = 24
"""Nodes of a Gauss-Hermite rule in one dimension: exact for polynomials up to the degree 47."""
MOST_DIMENSIONS = 3
REACH = 7.0
AXIS = np.linspace(-REACH, REACH, 281)
"""Grid over one random weight, in standard deviations of its prior."""
RULE = hermegauss(NODES)


@dataclass(frozen=True)
class FisherInformation:
    """The Fisher information of a Gaussian in its parameters, four times: each is (P, P), and they agree.

    >>> import gpvae_core as gpvae
    >>> information = gpvae.fisher_information("mean-field", mean=(0.0,), sd=0.5)  # in (m, log s): Diag(1 / s^2, 2)
    >>> information.score_products.round(6).tolist()
    [[4.0, 0.0], [0.0, 2.0]]
    >>> information.largest_difference < 1e-9
    True
    """

    score_products: Array
    """E_q[grad log q (grad log q)'], its definition."""
    log_density: Array
    """-E_q[Hessian of log q] (app. C)."""
    kl: Array
    """Hessian of KL(q || q') in the parameters of q' at q' = q."""
    symmetric_kl: Array
    """Half the Hessian of the symmetrized KL of eq. 11 (app. B)."""

    @property
    def largest_difference(self) -> float:
        """Largest difference between two of the four."""
        four = np.stack([self.score_products, self.log_density, self.kl, self.symmetric_kl])
        return float(np.ptp(four, axis=0).max())


def fisher_information(family: FamilyConfig | str, mean: tuple[float, ...], sd: float = 1.0) -> FisherInformation:
    """Return the Fisher information of N(mean, sd^2 I) in the parameters of a Gaussian family, computed in four ways.

    Args:
        family: 'mean-field', with the parameters m and log s, or 'full' or 'block:2', also with C (`GaussianFamily`).

    Raises:
        UserError: the family is no Gaussian, or there are more than 3 latents.

    >>> import gpvae_core as gpvae
    >>> gpvae.fisher_information("full", mean=(0.0, 1.0)).kl.shape
    (8, 8)
    """
    if not 1 <= len(mean) <= MOST_DIMENSIONS:
        raise UserError(f"wanted 1 to {MOST_DIMENSIONS} latents, for quadrature, got {len(mean)}")
    config = parse_part(family, VI_FAMILIES) if isinstance(family, str) else family
    built = config.build(torch.tensor(mean, dtype=torch.float64), sd, 0)
    if not isinstance(built, GaussianFamily):
        raise UserError(f"wanted a Gaussian family (mean-field, block or full), got '{config.kind}'")
    names, shapes = zip(*[(name, value.shape) for name, value in built.named_parameters()], strict=True)
    here = torch.cat([value.detach().reshape(-1) for value in built.parameters()])

    def density(parameters: Tensor) -> Posterior:
        parts = parameters.split([shape.numel() for shape in shapes])
        values = {name: part.reshape(shape) for name, shape, part in zip(names, shapes, parts, strict=True)}
        return torch.func.functional_call(built, values, ())

    nodes, weights = _gauss_hermite(len(mean))
    z = built.density().detached().as_gaussian()
    assert z is not None
    points = (z.mean + nodes @ z.lower_factor()[0].T).unsqueeze(1)

    def log_q(parameters: Tensor) -> Float[Tensor, " G"]:
        return density(parameters).log_prob(points)[:, 0]

    def kl(parameters: Tensor, other: Tensor) -> Float[Tensor, ""]:
        p = density(other).as_gaussian()
        q = density(parameters).as_gaussian()
        assert p is not None
        assert q is not None
        return q.kl_to(p)[0]

    scores = torch.func.jacrev(log_q)(here)
    curvature = torch.func.hessian(lambda parameters: weights @ log_q(parameters))(here)
    forward = torch.func.hessian(lambda other: kl(here, other))(here)
    backward = torch.func.hessian(lambda parameters: kl(parameters, here))(here)
    return FisherInformation(
        (scores.T * weights @ scores).numpy(), -curvature.numpy(), forward.numpy(), (0.5 * (forward + backward)).numpy()
    )


def _gauss_hermite(d: int) -> tuple[Float[Tensor, "G D"], Float[Tensor, " G"]]:
    """Return nodes and weights for the mean of a polynomial of a standard normal variable in d dimensions.

    Exact up to the degree 7 in each; products of two scores have the degree 4.
    """
    x, w = (torch.from_numpy(part) for part in hermegauss(4))
    w = w / w.sum()
    nodes = torch.cartesian_prod(*[x] * d).reshape(-1, d)
    return nodes, torch.cartesian_prod(*[w] * d).reshape(-1, d).prod(1)


@dataclass(frozen=True)
class ToyGPEncoder:
    """A GP encoder with one latent and one feature, of which every term of eq. 17 to 23 is a small integral.

    Given the random weights w and u, q(z|x, w, u) = N(b x + w x, (c + u psi)^2) (eq. 9), with w ~ N(mu, sigma^2) and
    u ~ N(eta, gamma^2) (eq. 11). The decoder is p(x|z) = N(z + bend z^2, noise^2), and the prior N(0, 1).

    >>> import gpvae_core as gpvae
    >>> toy = gpvae.ToyGPEncoder()
    >>> bool(abs(toy.kl - (toy.log_evidence - toy.elbos.sum())) < 1e-6)  # eq. 17
    True
    """

    x: tuple[float, ...] = (-1.2, 0.3, 0.9)
    b: float = 0.4
    c: float = 0.6
    psi: float = 0.07
    mu: float = 0.2
    sigma: float = 0.3
    eta: float = -0.3
    gamma: float = 0.5
    bend: float = 0.0
    noise: float = 0.8

    def __post_init__(self) -> None:
        if not self.c > REACH * abs(self.psi):
            raise UserError(
                f"wanted c above {REACH:g} |psi|, so that c + u psi stays positive, got {self.c:g} and psi={self.psi:g}"
            )
        if not min(self.sigma, self.gamma) >= 0.1 or not self.noise > 0:
            raise UserError("wanted sigma and gamma of at least 0.1, for the grid over w and u, and a positive noise")

    @cached_property
    def _grid(self) -> tuple[Array, Array, Array, Array]:
        """w, u (G, G), and the log masses of q(w, u) and of the prior N(0, I) at them."""
        w, u = np.meshgrid(AXIS, AXIS, indexing="ij")
        log_area = 2 * math.log(AXIS[1] - AXIS[0])
        log_q = _log_normal(w, self.mu, self.sigma) + _log_normal(u, self.eta, self.gamma) + log_area
        return w, u, log_q, _log_normal(w, 0.0, 1.0) + _log_normal(u, 0.0, 1.0) + log_area

    def _terms(self, x: float) -> tuple[Array, Array]:
        """Return E_q(z|x,w,u)[log p(x|z)] and KL(q(z|x,w,u) || p(z)) of one point at the grid's weights, (G, G)."""
        w, u, *_ = self._grid
        m, s = (self.b + w) * x, self.c + self.psi * u
        nodes, weights = RULE
        z = m[..., None] + s[..., None] * nodes
        log_p = self._log_likelihood(x, z) @ (weights / weights.sum())
        return log_p, 0.5 * (s**2 + m**2 - 1.0) - np.log(s)

    def _log_likelihood(self, x: float, z: Array) -> Array:
        return _log_normal(np.asarray(x), z + self.bend * z**2, self.noise)

    @cached_property
    def surrogates(self) -> Array:
        """(N, G, G) L(w, u; x) of eq. 10 of each point, in nats."""
        terms = [self._terms(x) for x in self.x]
        return np.stack([log_p - kl for log_p, kl in terms])

    @cached_property
    def log_evidence(self) -> float:
        """log p^(D), the log of the prior's mean of exp(sum of L), in nats (below eq. 17)."""
        return float(np.logaddexp.reduce(self.surrogates.sum(0) + self._grid[3], axis=None))

    @cached_property
    def kl(self) -> float:
        """KL(q(w, u) || p(w, u|D)) in nats by its definition, eq. 19 and 20: an integral over w and u."""
        log_q, log_prior = self._grid[2], self._grid[3]
        log_posterior = log_prior + self.surrogates.sum(0) - self.log_evidence
        return float((np.exp(log_q) * (log_q - log_posterior)).sum())

    @cached_property
    def kl_to_prior(self) -> float:
        """KL(q(w, u) || N(0, I)) in nats, in closed form."""
        pairs = ((self.mu, self.sigma), (self.eta, self.gamma))
        return sum(0.5 * (s**2 + m**2 - 1.0) - math.log(s) for m, s in pairs)

    @cached_property
    def kl_by_surrogates(self) -> float:
        """The same KL by eq. 21: log p^(D) + KL(q || N(0, I)) - sum_x E_q(w,u)[L]."""
        return self.log_evidence + self.kl_to_prior - float((np.exp(self._grid[2]) * self.surrogates).sum())

    @cached_property
    def elbos(self) -> Array:
        """(N,) ELBO of each point by eq. 18, its first term an integral of z over the marginalised encoder (eq. 23)."""
        expected_kl = np.array([(np.exp(self._grid[2]) * self._terms(x)[1]).sum() for x in self.x])
        return self._reconstruction(marginal=True) - expected_kl - self.kl_to_prior / len(self.x)

    @cached_property
    def matched_elbos(self) -> Array:
        """(N,) the same with the Gaussian of eq. 13, which has the marginalised encoder's moments, in its place.

        It is equal for a decoder that is linear in z (bend = 0), whose log p(x|z) is quadratic.
        """
        return self.elbos - self._reconstruction(marginal=True) + self._reconstruction(marginal=False)

    def _reconstruction(self, marginal: bool) -> Array:
        """Return E_q(z|x)[log p(x|z)] of each point: over the density of eq. 23, or over N(m, v) of eq. 13."""
        z = np.linspace(-9.0, 9.0, 1501)
        values = []
        for x in self.x:
            m = (self.b + self.mu) * x
            v = (self.c + self.eta * self.psi) ** 2 + (self.sigma * x) ** 2 + (self.gamma * self.psi) ** 2
            q = self.marginalised(x, z) if marginal else np.exp(_log_normal(z, m, math.sqrt(v)))
            values.append((q * self._log_likelihood(x, z)).sum() * (z[1] - z[0]))
        return np.array(values)

    def marginalised(self, x: float, z: Array) -> Array:
        """Return the density q(z|x) of eq. 23 at z (K,), (K,): the integral of q(z|x, w, u) over w and u."""
        nodes, weights = RULE
        share = np.outer(weights, weights) / weights.sum() ** 2
        w, u = self.mu + self.sigma * nodes[:, None], self.eta + self.gamma * nodes[None, :]
        m, s = (self.b + w) * x + 0.0 * u, np.abs(self.c + self.psi * u) + 0.0 * w
        return (share[..., None] * np.exp(_log_normal(z, m[..., None], s[..., None]))).sum((0, 1))


def _log_normal(x: Array, m: float | Array, s: float | Array) -> Array:
    """Return log N(x; m, s^2)."""
    return -0.5 * ((x - m) / s) ** 2 - np.log(s) - 0.5 * math.log(2 * math.pi)
