"""The true posterior and log p(x) at d = 1 by quadrature along the latent line, fine where the decoder is steep.

The line is cut into panels, halved until the decoder moves little across each and is nearly straight within it; in
every panel stand the nodes of a Gauss-Legendre rule. What that leaves is measured: with all panels halved again, the
same integral is computed from other nodes.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Float64
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import GenerativeModel

EXTENT = 8.0
"""The prior has 1e-15 of its mass beyond."""
PANEL = 0.125
"""Widest panel, in prior units."""
MAX_MOVE, MAX_BEND = 0.5, 1e-5
"""How far the decoder may move across a panel, and bend away from a straight line in its middle; in units of the noise
where the likelihood has one, else of the decoder's output."""
MOST_PANELS, MOST_DECODED, MOST_HALVINGS = 60_000, 25_000_000, 40
"""Panels, and decoder outputs at their nodes (200 MB), that a line may have."""
ORDER = 4
"""Nodes of a panel."""
MAX_FLOATS = 4_000_000
"""Log joints held at a time."""
MAX_ERROR, MAX_END_MASS = 1e-4, 1e-6
"""Of a log p(x) that passes: nats, and share of the mass in the two outermost panels."""


@dataclass(frozen=True)
class LineMoments:
    """log p(x) and what else of p(z|x) is an integral, for each of B instances."""

    log_px: Float64[Tensor, " B"]
    mean: Float64[Tensor, " B"]
    variance: Float64[Tensor, " B"]
    entropy: Float64[Tensor, " B"]
    """-E[log p(z|x)], nats."""

    @property
    def negentropy(self) -> Float64[Tensor, " B"]:
        """Entropy of the Gaussian with the same moments less the posterior's; nats, 0 for a Gaussian."""
        return (0.5 * torch.log(2.0 * math.pi * math.e * self.variance) - self.entropy).clamp_min(0.0)


@dataclass(frozen=True)
class Line:
    """The latent line decoded once. All in float64, as the model with its weights in float64 says it."""

    model: GenerativeModel
    """On the CPU, float64."""
    edges: Float64[Tensor, " E"]
    """Ends of the panels, in their order."""
    z: Float64[Tensor, " G"]
    """Nodes, ascending, G = ORDER (E - 1)."""
    log_weight: Float64[Tensor, " G"]
    """Of each node in the integral over z."""
    table: LikelihoodTable
    """log p(x|z) of any instance at the nodes."""

    @staticmethod
    @torch.no_grad()
    def build(model: GenerativeModel, extent: float = EXTENT, progress: Progress = silent) -> Line:
        """Place the panels for this decoder, and decode their nodes.

        Raises:
            UserError: the model's latent dimension is not 1.
        """
        if model.latent_dim != 1:
            raise UserError(
                "the true posterior by quadrature along a line wants 1 latent dimension, "
                f"this model has {model.latent_dim}"
            )
        exact = _in_float64(model)
        return _decoded(exact, _panels(exact, extent, progress), progress)

    @cached_property
    def halved(self) -> Line:
        """The same with every panel halved."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        return _decoded(self.model, torch.cat([self.edges, middle]).sort().values, silent)

    def log_px(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """log p(x) in nats."""
        return torch.cat([self._weighted(part).logsumexp(1) for part in self._parts(x)])

    def error(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """How much log p(x) changes with all panels halved, nats."""
        return (self.log_px(x) - self.halved.log_px(x)).abs()

    def end_mass(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, " B"]:
        """Share of the posterior in the two outermost panels; where it is not tiny, more may lie beyond the ends."""
        parts = [self._weighted(part).softmax(1) for part in self._parts(x)]
        return torch.cat([p[:, :ORDER].sum(1) + p[:, -ORDER:].sum(1) for p in parts])

    def passed(self, x: Float[Tensor, "B C H W"]) -> Bool[Tensor, " B"]:
        """Whether quadrature is to be trusted: error at most MAX_ERROR, mass at the ends at most MAX_END_MASS."""
        return (self.error(x) <= MAX_ERROR) & (self.end_mass(x) <= MAX_END_MASS)

    def posterior(self, x: Float[Tensor, "B C H W"]) -> tuple[Float64[Tensor, " G"], Float64[Tensor, "B G"]]:
        """(nodes, log p(z|x) at them in nats). For integrals the nodes have the weights exp(log_weight)."""
        weighted = torch.cat([self._weighted(part) for part in self._parts(x)])
        return self.z, weighted - weighted.logsumexp(1, keepdim=True) - self.log_weight

    def moments(self, x: Float[Tensor, "B C H W"]) -> LineMoments:
        """log p(x), mean, variance and entropy of p(z|x)."""
        found = [self._moments(part) for part in self._parts(x)]
        return LineMoments(*(torch.cat(column) for column in zip(*found, strict=True)))

    def _moments(self, x: Float[Tensor, "B C H W"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weighted = self._weighted(x)
        log_px = weighted.logsumexp(1)
        log_p = weighted - log_px[:, None]
        p = log_p.exp()
        mean = p @ self.z
        variance = (p * (self.z - mean[:, None]).square()).sum(1)
        return log_px, mean, variance, -(p * (log_p - self.log_weight)).sum(1)

    def _parts(self, x: Float[Tensor, "B C H W"]) -> tuple[Tensor, ...]:
        return x.cpu().double().split(max(1, MAX_FLOATS // len(self.z)))

    @torch.no_grad()
    def _weighted(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, "B G"]:
        """log of p(x, z) times the node's weight."""
        return self.table.log_prob(x) + (self.model.log_prior(self.z[:, None]) + self.log_weight)


def _in_float64(model: GenerativeModel) -> GenerativeModel:
    """A generative model with the same decoder and likelihood, on the CPU; nothing of what infers is copied."""
    decoder, likelihood = copy.deepcopy(model.decoder), copy.deepcopy(model.likelihood)
    return GenerativeModel(decoder, likelihood, model.latent_dim, model.event_shape).cpu().double().eval()


def _panels(model: GenerativeModel, extent: float, progress: Progress) -> Float64[Tensor, " E"]:
    """Ends of panels across which the decoder moves by at most MAX_MOVE and bends by at most MAX_BEND.

    Each round halves the panels that do not do yet; a decoder of straight pieces, as with ReLU, is soon right but for
    the panels that hold a corner, and those shrink until it does not matter.
    """
    unit = model.likelihood.noise_scale() or 1.0
    most = min(MOST_PANELS, MOST_DECODED // (ORDER * math.prod(model.event_shape)))
    edges = torch.linspace(-extent, extent, 1 + math.ceil(2.0 * extent / PANEL), dtype=torch.float64)
    left, right = edges[:-1], edges[1:]
    g_left, g_right = _flat(model, left), _flat(model, right)
    done: list[Tensor] = []
    for halving in range(MOST_HALVINGS):
        progress(halving, MOST_HALVINGS, "placing panels on the latent line")
        middle = 0.5 * (left + right)
        g_middle = _flat(model, middle)
        move = (g_right - g_left).norm(dim=1)
        bend = (g_middle - 0.5 * (g_left + g_right)).norm(dim=1)
        coarse = (move > MAX_MOVE * unit) | (bend > MAX_BEND * unit)
        done.append(left[~coarse])
        if not bool(coarse.any()) or 2 * int(coarse.sum()) + sum(map(len, done)) > most:
            done.append(left[coarse])
            break
        left, right = torch.cat([left[coarse], middle[coarse]]), torch.cat([middle[coarse], right[coarse]])
        g_left, g_right = (
            torch.cat([g_left[coarse], g_middle[coarse]]),
            torch.cat([g_middle[coarse], g_right[coarse]]),
        )
    else:
        done.append(left)
    progress(MOST_HALVINGS, MOST_HALVINGS, "placing panels on the latent line")
    return torch.cat([*done, edges[-1:]]).sort().values


def _decoded(model: GenerativeModel, edges: Float64[Tensor, " E"], progress: Progress) -> Line:
    nodes, weights = (torch.from_numpy(values) for values in leggauss(ORDER))
    half = 0.5 * (edges[1:] - edges[:-1])
    z = (0.5 * (edges[1:] + edges[:-1])[:, None] + half[:, None] * nodes).flatten()
    log_weight = (half[:, None] * weights).log().flatten()
    g = _flat(model, z, progress).reshape(-1, *model.event_shape)
    return Line(model, edges, z, log_weight, model.likelihood.grid_table(g))


@torch.no_grad()
def _flat(model: GenerativeModel, z: Float64[Tensor, " N"], progress: Progress = silent) -> Float64[Tensor, "N P"]:
    """Decoder outputs at these latents."""
    found = torch.empty(len(z), math.prod(model.event_shape), dtype=torch.float64)
    chunk = decodes_at_once(torch.device("cpu"))
    for start in range(0, len(z), chunk):
        progress(start, len(z), "decoding the latent line")
        found[start : start + chunk] = model.decode(z[start : start + chunk, None]).flatten(1)
    progress(len(z), len(z), "decoding the latent line")
    return found
