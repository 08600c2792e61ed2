"""The empiricalized model, whose prior is uniform over codes z_i (Yacoby et al. 2024, eq. 3-7, 29).

Eq. 7: p(i|n) = p(x_n | z_i) / sum_j p(x_n | z_j). `DecodedCodes` holds fixed codes, decoded once; `EmpiricalizedModel`
wraps a VAE in training, whose codes g(x_i) and decoder change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gpvae_core.device import decodes_at_once
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.mapa.bound import mapa_bound
from gpvae_core.mapa.draws import IndexDraw
from gpvae_core.priors.pushforward import Pushforward
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE, GenerativeModel

AT_ONCE = 4096
"""Largest number of points encoded and decoded in one piece with a gradient. More points are processed in chunks that
are recomputed in the backward pass, so that only one chunk's activations are in memory."""
PAIR_VALUES = 2**24
"""Largest number of values of x_n - f(z_i) computed in one piece with a gradient (64 MiB of float32)."""
QUERIES = 256
"""Number of points whose log-likelihood is computed in one batch."""

Source = Callable[[Int64[Tensor, " m"]], Float[Tensor, "m C H W"]]
"""Function from indices to the training points, on the model's device."""


def code_decoder(decoder: nn.Module) -> nn.Module:
    """Return the part of a decoder that takes codes z: f of a decoder f(h(u)), and any other decoder itself."""
    return decoder.f if isinstance(decoder, Pushforward) else decoder


@dataclass(frozen=True)
class DecodedCodes:
    """The empiricalized model of eq. 6 with N fixed codes, which are decoded once.

    The log-likelihoods of an image then take one product with the table of decoded codes.
    """

    table: LikelihoodTable

    @classmethod
    @torch.no_grad()
    def build(cls, vae: GenerativeModel, codes: Float[Tensor, "N D"], progress: Progress = silent) -> DecodedCodes:
        """Decode the codes with the model's current weights.

        Raises:
            UserError: there are no codes, or they do not have the model's latent dimension.
        """
        if codes.shape[1] != vae.latent_dim or len(codes) == 0:
            raise UserError(f"wanted codes of shape (N, {vae.latent_dim}) with N > 0, got {tuple(codes.shape)}")
        points = codes.to(next(vae.decoder.parameters()))
        g = torch.empty(len(codes), *vae.event_shape, dtype=points.dtype, device=points.device)
        chunk = decodes_at_once(points.device)
        for start in range(0, len(codes), chunk):
            progress(start, len(codes), "decoding the training codes")
            g[start : start + chunk] = vae.decode(points[start : start + chunk])
        progress(len(codes), len(codes), "decoding the training codes")
        return cls(vae.likelihood.grid_table(g))

    @torch.no_grad()
    def log_index_posterior(self, x: Float[Tensor, "B C H W"]) -> Float64[Tensor, "B N"]:
        """Return log p(i|n) of eq. 7 in nats; float64 on the CPU."""
        return torch.log_softmax(self.table.log_prob(x), dim=1)


def index_posterior(
    vae: GenerativeModel, codes: Float[Tensor, "N D"], x: Float[Tensor, "B C H W"]
) -> Float64[Tensor, "B N"]:
    """Return log p(i|n) of eq. 7 with z_i = codes, in nats. Use `DecodedCodes` for repeated calls."""
    return DecodedCodes.build(vae, codes).log_index_posterior(x)


class EmpiricalizedModel:
    """The empiricalized model of a VAE in training; every call uses the current f, g and likelihood.

    The codes z_i = g(x_i) are the encoder's means. They replace the prior, so that its map h is not used. Indices
    refer to the training points and are on the CPU.
    """

    def __init__(self, vae: VAE, points: Source, n_total: int) -> None:
        self._vae, self.points, self.n_total = vae, points, n_total
        self._f = GenerativeModel(code_decoder(vae.decoder), vae.likelihood, vae.latent_dim, vae.event_shape)

    def bound(self, index: Int64[Tensor, " B"], draw: IndexDraw) -> tuple[Float[Tensor, " B"], int]:
        """Return the bound of eq. 29 at these training points, in nats, and the number of distinct codes it needed."""
        # Points of a batch share neighbours, so that each distinct code is encoded and decoded only once.
        distinct, position = distinct_indices(torch.cat([draw.head, draw.tail], dim=1), self.n_total)
        g = self.reconstruct(distinct)
        log_p = self.log_pairs(self.points(index), g, position.to(g.device))
        k = draw.head.shape[1]
        return mapa_bound(log_p[:, :k], log_p[:, k:], draw.log_q.to(log_p), self.n_total), len(distinct)

    def code(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m D"]:
        """Return the codes g(x_i) of these training points."""
        return self._vae.encoder(self.points(index)).mean

    def reconstruct(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m C H W"]:
        """Return the reconstructions f(g(x_i)) of these training points."""
        if len(index) <= AT_ONCE:
            return self._f.decode(self.code(index))
        return torch.cat([recomputed(lambda i: self._f.decode(self.code(i)), part) for part in index.split(AT_ONCE)])

    def log_pairs(
        self, x: Float[Tensor, "B C H W"], g: Float[Tensor, "m C H W"], position: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        """Return log p(x_b | g[position_bj]) in nats."""

        def log_prob(x: Tensor, position: Tensor) -> Tensor:
            # NOTE: the gradient of `embedding` is summed in a fixed order on every device; that of g[position] is not.
            decoded = nn.functional.embedding(position, g.flatten(1)).unflatten(-1, g.shape[1:])
            return self._vae.likelihood.log_prob(x[:, None], decoded)

        rows = max(1, PAIR_VALUES // max(1, position.shape[1] * math.prod(g.shape[1:])))
        if len(x) <= rows:
            return log_prob(x, position)
        parts = zip(x.split(rows), position.split(rows), strict=True)
        return torch.cat([recomputed(log_prob, *part) for part in parts])

    @torch.no_grad()
    def decoded(self, index: Int64[Tensor, " m"], progress: Progress = silent) -> DecodedCodes:
        """Encode and decode these training points in chunks, without gradients."""
        chunks = index.split(decodes_at_once(next(self._vae.decoder.parameters()).device))
        return DecodedCodes.build(self._f, torch.cat([self.code(part) for part in chunks]), progress)

    @torch.no_grad()
    def log_likelihood(self, x: Float[Tensor, "B C H W"], index: Int64[Tensor, " M"]) -> Float64[Tensor, " B"]:
        """Return log 1/M sum_i p(x | f(z_i)), in nats, over the M codes `index`; all codes give eq. 4."""
        table = self.decoded(index).table
        return torch.cat([_log_mean(table.log_prob(part)) for part in x.split(QUERIES)])


def distinct_indices(pairs: Int64[Tensor, "B M"], n_total: int) -> tuple[Int64[Tensor, " m"], Int64[Tensor, "B M"]]:
    """Return the distinct indices in ascending order, and the position of each entry of `pairs` among them.

    This is `torch.unique` with inverse, for indices below N, without a sort.
    """
    used = torch.zeros(n_total, dtype=torch.bool)
    used[pairs.flatten()] = True
    return used.nonzero()[:, 0], (used.cumsum(0) - 1)[pairs]  # cumsum - 1: number of used indices below each one


def recomputed(compute: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """Return `compute(*arguments)`; its activations are not stored but recomputed in the backward pass."""
    result = checkpoint(compute, *arguments, use_reentrant=False, preserve_rng_state=False)
    assert isinstance(result, Tensor)
    return result


def _log_mean(log_p: Float64[Tensor, "B M"]) -> Float64[Tensor, " B"]:
    """Return the log of the mean of exp(log_p) over each row."""
    # NOTE: after subtraction of the largest term, float32 is accurate enough and several times faster.
    top = log_p.amax(1, keepdim=True)
    return (log_p - top).float().exp_().sum(1).double().log() + top[:, 0] - math.log(log_p.shape[1])
