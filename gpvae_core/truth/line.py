"""The true posterior and log p(x) at d = 1 by quadrature along the latent line, with nodes dense where needed.

The line is divided into panels, which are halved until the decoder changes little across each panel and is nearly
linear within it; each panel has the nodes of a Gauss-Legendre rule. The remaining error is measured: the same integral
is computed once more with all panels halved.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import GenerativeModel

EXTENT = 8.0
"""Reach of the line on each side of the prior's mean, in standard deviations of the prior; N(0, 1) has 1e-15 of its
mass beyond."""
PANEL = 0.125
"""Width of the panels before any is halved, in standard deviations of the prior."""
MAX_MOVE, MAX_BEND = 0.5, 1e-5
"""Largest change of the decoder's output across a panel, and largest deviation from a straight line in its middle; in
standard deviations of the noise where the likelihood has one, else in units of the decoder's output."""
MAX_PANELS, MAX_DECODED, MAX_HALVINGS = 60_000, 25_000_000, 40
"""Limits of a line: number of panels, of decoder outputs at their nodes (200 MB), and rounds of halving."""
ORDER = 4
"""Number of nodes in a panel."""
MAX_FLOATS = 4_000_000
"""Number of log joints in memory together."""
NODES = 20_000
"""Number of nodes in one product for the density on a plane."""
MAX_ERROR, MAX_END_MASS = 1e-4, 1e-6
"""Largest error of log p(x) that passes, in nats, and largest share of the mass in the two outermost panels."""


@dataclass(frozen=True)
class LineMoments:
    """log p(x), mean, variance and entropy of p(z|x) of B images."""

    log_px: Float64[Tensor, " B"]
    mean: Float64[Tensor, " B"]
    variance: Float64[Tensor, " B"]
    entropy: Float64[Tensor, " B"]
    """-E[log p(z|x)] in nats."""

    @property
    def negentropy(self) -> Float64[Tensor, " B"]:
        """Entropy of the Gaussian with the same moments minus the entropy, in nats; 0 for a Gaussian posterior."""
        return (0.5 * torch.log(2.0 * math.pi * math.e * self.variance) - self.entropy).clamp_min(0.0)


@dataclass(frozen=True)
class Line:
    """The latent line decoded once, by the model with its weights in float64."""

    model: GenerativeModel
    """Copy of the model on the CPU, in float64."""
    edges: Float64[Tensor, " E"]
    """Ends of the panels, ascending."""
    z: Float64[Tensor, " G"]
    """Nodes, ascending, G = ORDER (E - 1)."""
    log_weight: Float64[Tensor, " G"]
    """Log quadrature weight of each node in an integral over z."""
    table: LikelihoodTable
    """Computes log p(x|z) of any image at the nodes."""

    @staticmethod
    @torch.no_grad()
    def build(model: GenerativeModel, extent: float = EXTENT, progress: Progress = silent) -> Line:
        """Place the panels for this decoder and decode their nodes.

        Raises:
            UserError: the model does not have exactly 1 latent dimension.
        """
        if model.latent_dim != 1:
            raise UserError(
                "the true posterior by quadrature along a line wants 1 latent dimension, "
                f"this model has {model.latent_dim}"
            )
        # A copy of the whole model, and not of its decoder and likelihood alone, keeps the prior of its class.
        exact = copy.deepcopy(model).cpu().double().eval()
        return _decoded(exact, _panels(exact, extent, progress), progress)

    @cached_property
    def halved(self) -> Line:
        """The line with every panel halved."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        return _decoded(self.model, torch.cat([self.edges, middle]).sort().values, silent)

    def log_px(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """Return log p(x) in nats."""
        return torch.cat([self._log_terms(part).logsumexp(1) for part in self._parts(x)])

    def error(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """Return the change of log p(x) in nats when all panels are halved."""
        return (self.log_px(x) - self.halved.log_px(x)).abs()

    def end_mass(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """Return the posterior mass in the two outermost panels; if it is not tiny, more may lie beyond the ends."""
        parts = [self._log_terms(part).softmax(1) for part in self._parts(x)]
        return torch.cat([p[:, :ORDER].sum(1) + p[:, -ORDER:].sum(1) for p in parts])

    def passed(self, x: Float[Tensor, "B C H W"]) -> Bool[Tensor, " B"]:
        """Return whether the quadrature can be trusted: error at most MAX_ERROR, end mass at most MAX_END_MASS."""
        return (self.error(x) <= MAX_ERROR) & (self.end_mass(x) <= MAX_END_MASS)

    def posterior(self, x: Float[Tensor, "B C H W"]) -> tuple[Float64[Tensor, " G"], Float64[Tensor, "B G"]]:
        """Return the nodes and log p(z|x) at them in nats; in integrals the nodes have the weights exp(log_weight)."""
        log_terms = torch.cat([self._log_terms(part) for part in self._parts(x)])
        return self.z, log_terms - log_terms.logsumexp(1, keepdim=True) - self.log_weight

    @torch.no_grad()
    def log_posterior_at(
        self, x: Float[Tensor, "1 C H W"], z: Float64[Tensor, " N"], log_px: float
    ) -> Float64[Tensor, " N"]:
        """Return log p(z|x) of one image in nats at any latents, given its log p(x)."""
        log_p = self.model.likelihood.log_prob(x, self.model.decode(z[:, None]))
        return log_p + self.model.log_prior(z[:, None]) - log_px

    @torch.no_grad()
    def log_px_on_plane(
        self, x: NDArray[np.floating], y: NDArray[np.floating], sigma: float, floor: float
    ) -> NDArray[np.float64]:
        """Return log p(x, y) of all points of a plane, (Gy, Gx), in nats and at least `floor`; the noise is sigma's.

        p(x, y) = int N(x; f_1(z), sigma^2) N(y; f_2(z), sigma^2) p(z) dz: the integrand is a product of a function of x
        and one of y, so that one matrix product over the nodes gives all points.
        """
        density = np.zeros((len(y), len(x)))
        log_scale = math.log(sigma) + 0.5 * math.log(2 * math.pi)
        for z, log_weight in zip(self.z.split(NODES), self.log_weight.split(NODES), strict=True):
            f = self.model.decode(z[:, None]).flatten(1).numpy()
            weight = (self.model.log_prior(z[:, None]) + log_weight).exp().numpy()
            along_x, along_y = (
                np.exp(-0.5 * (axis[:, None] - f[:, j]) ** 2 / sigma**2 - log_scale) for j, axis in enumerate((x, y))
            )
            density += (along_y * weight) @ along_x.T
        return np.log(np.maximum(density, math.exp(floor)))

    def moments(self, x: Float[Tensor, "B C H W"]) -> LineMoments:
        """Return log p(x), mean, variance and entropy of p(z|x)."""
        parts = [self._moments(part) for part in self._parts(x)]
        return LineMoments(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _moments(self, x: Float[Tensor, "B C H W"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        log_terms = self._log_terms(x)
        log_px = log_terms.logsumexp(1)
        # p is the mass of a node, p(z|x) times its weight: the density in the entropy is p / weight.
        log_p = log_terms - log_px[:, None]
        p = log_p.exp()
        mean = p @ self.z
        variance = (p * (self.z - mean[:, None]).square()).sum(1)
        return log_px, mean, variance, -(p * (log_p - self.log_weight)).sum(1)

    def _parts(self, x: Float[Tensor, "B C H W"]) -> tuple[Tensor, ...]:
        return x.cpu().double().split(max(1, MAX_FLOATS // len(self.z)))

    @torch.no_grad()
    def _log_terms(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, "B G"]:
        """Return the log of p(x, z) times the node's weight, whose sum over the nodes is p(x)."""
        return self.table.log_prob(x) + (self.model.log_prior(self.z[:, None]) + self.log_weight)


def _panels(model: GenerativeModel, extent: float, progress: Progress) -> Float64[Tensor, " E"]:
    """Return the ends of panels across which the decoder moves by at most MAX_MOVE and bends by at most MAX_BEND.

    Each round halves the panels that exceed one of the limits. With ReLU the decoder is piecewise linear: soon only
    panels that contain a kink are left, and these shrink until the kink does not matter.
    """
    unit = model.likelihood.noise_scale() or 1.0
    most = min(MAX_PANELS, MAX_DECODED // (ORDER * math.prod(model.event_shape)))
    prior = model.prior(torch.zeros(1, dtype=torch.float64))
    mean, std = float(prior.mean), float(prior.variance.sqrt())
    panels = math.ceil(2.0 * extent / PANEL)
    edges = torch.linspace(mean - extent * std, mean + extent * std, 1 + panels, dtype=torch.float64)
    left, right = edges[:-1], edges[1:]
    g_left, g_right = _flat(model, left), _flat(model, right)
    fine: list[Tensor] = []  # left ends of the panels that are fine enough
    for halving in range(MAX_HALVINGS):
        progress(halving, MAX_HALVINGS, "placing panels on the latent line")
        middle = 0.5 * (left + right)
        g_middle = _flat(model, middle)
        # bend: deviation of the middle from the chord, as the second difference measures curvature
        move = (g_right - g_left).norm(dim=1)
        bend = (g_middle - 0.5 * (g_left + g_right)).norm(dim=1)
        coarse = (move > MAX_MOVE * unit) | (bend > MAX_BEND * unit)
        fine.append(left[~coarse])
        if not bool(coarse.any()) or 2 * int(coarse.sum()) + sum(map(len, fine)) > most:
            fine.append(left[coarse])
            break
        # Both halves of each coarse panel; outputs at their ends are known, so that a round decodes only middles.
        left, right = torch.cat([left[coarse], middle[coarse]]), torch.cat([middle[coarse], right[coarse]])
        g_left, g_right = (
            torch.cat([g_left[coarse], g_middle[coarse]]),
            torch.cat([g_middle[coarse], g_right[coarse]]),
        )
    else:
        fine.append(left)
    progress(MAX_HALVINGS, MAX_HALVINGS, "placing panels on the latent line")
    return torch.cat([*fine, edges[-1:]]).sort().values


def _decoded(model: GenerativeModel, edges: Float64[Tensor, " E"], progress: Progress) -> Line:
    """Return the line with these panels, its nodes decoded."""
    # Nodes and weights on [-1, 1], moved to each panel: z = centre + half width * node.
    nodes, weights = (torch.from_numpy(values) for values in leggauss(ORDER))
    half = 0.5 * (edges[1:] - edges[:-1])
    z = (0.5 * (edges[1:] + edges[:-1])[:, None] + half[:, None] * nodes).flatten()
    log_weight = (half[:, None] * weights).log().flatten()
    g = _flat(model, z, progress).reshape(-1, *model.event_shape)
    return Line(model, edges, z, log_weight, model.likelihood.grid_table(g))


@torch.no_grad()
def _flat(model: GenerativeModel, z: Float64[Tensor, " N"], progress: Progress = silent) -> Float64[Tensor, "N P"]:
    """Return the decoder's output at these latents, with the P values of an image in one row."""
    g = torch.empty(len(z), math.prod(model.event_shape), dtype=torch.float64)
    chunk = decodes_at_once(torch.device("cpu"))
    for start in range(0, len(z), chunk):
        progress(start, len(z), "decoding the latent line")
        g[start : start + chunk] = model.decode(z[start : start + chunk, None]).flatten(1)
    progress(len(z), len(z), "decoding the latent line")
    return g
