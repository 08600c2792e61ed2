"""The empiricalized model: codes z_i take the place of the prior (Yacoby et al. 2024, eq. 3-7, 29).

Eq. 7: p(i|n) = p(x_n | z_i) / sum_j p(x_n | z_j). `DecodedCodes` are any codes, decoded once; `EmpiricalizedModel` is a
VAE in training, whose codes g(x_i) and decoder move.
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
"""Points encoded and decoded together with their gradient; more of them are done in chunks and again in the backward
pass, so that only one chunk's activations are held."""
PAIR_VALUES = 2**24
"""Numbers of x_n - f(z_i) compared at once (64 MiB of float32); likewise."""
QUERIES = 256
"""Points scored at once."""

Source = Callable[[Int64[Tensor, " m"]], Float[Tensor, "m C H W"]]
"""Training points by their indices, on the model's device."""


def behind_prior(decoder: nn.Module) -> nn.Module:
    """Return f of a decoder f(h(u)), which takes codes z; any other decoder as it is."""
    return decoder.f if isinstance(decoder, Pushforward) else decoder


@dataclass(frozen=True)
class DecodedCodes:
    """N codes decoded once: the empiricalized model of eq. 6, whose prior is uniform over them, at one moment.

    An image then costs one product with the table of the decoded codes.
    """

    table: LikelihoodTable

    @classmethod
    @torch.no_grad()
    def build(cls, vae: GenerativeModel, codes: Float[Tensor, "N D"], progress: Progress = silent) -> DecodedCodes:
        """Decode the codes with the model as it is now."""
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
    """Return log p(i|n) of eq. 7 with z_i = codes, in nats. For many images keep `DecodedCodes`."""
    return DecodedCodes.build(vae, codes).log_index_posterior(x)


class EmpiricalizedModel:
    """The empiricalized model of a VAE in training: f, g and the likelihood are read anew at every call.

    Codes z_i = g(x_i) are the encoder's means. A prior's map h has no part in it, as codes take the place of the prior.
    Indices are those of the training points, on the CPU.
    """

    def __init__(self, vae: VAE, points: Source, n_total: int) -> None:
        self._vae, self.points, self.n_total = vae, points, n_total
        self._f = GenerativeModel(behind_prior(vae.decoder), vae.likelihood, vae.latent_dim, vae.event_shape)

    def bound(self, index: Int64[Tensor, " B"], draw: IndexDraw) -> tuple[Float[Tensor, " B"], int]:
        """Return eq. 29 of these training points in nats, and how many codes were encoded and decoded, each once."""
        distinct, place = distinct_of(torch.cat([draw.head, draw.tail], dim=1), self.n_total)
        g = self.reconstruct(distinct)
        log_p = self.log_pairs(self.points(index), g, place.to(g.device))
        k = draw.head.shape[1]
        return mapa_bound(log_p[:, :k], log_p[:, k:], draw.log_q.to(log_p), self.n_total), len(distinct)

    def code(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m D"]:
        """Return the codes g(x_i)."""
        return self._vae.encoder(self.points(index)).mean

    def reconstruct(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m C H W"]:
        """Return f(g(x_i)) of distinct training points."""
        if len(index) <= AT_ONCE:
            return self._f.decode(self.code(index))
        return torch.cat([again(lambda i: self._f.decode(self.code(i)), part) for part in index.split(AT_ONCE)])

    def log_pairs(
        self, x: Float[Tensor, "B C H W"], g: Float[Tensor, "m C H W"], place: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        """Return log p(x_b | g[place_bj]) in nats."""

        def some(x: Tensor, place: Tensor) -> Tensor:
            # NOTE: an embedding's gradient is summed in a fixed order on every device; that of g[place] is not.
            each = nn.functional.embedding(place, g.flatten(1)).unflatten(-1, g.shape[1:])
            return self._vae.likelihood.log_prob(x[:, None], each)

        rows = max(1, PAIR_VALUES // max(1, place.shape[1] * math.prod(g.shape[1:])))
        if len(x) <= rows:
            return some(x, place)
        return torch.cat([again(some, *part) for part in zip(x.split(rows), place.split(rows), strict=True)])

    @torch.no_grad()
    def decoded(self, index: Int64[Tensor, " m"], progress: Progress = silent) -> DecodedCodes:
        """Encode and decode these training points in chunks, without a gradient."""
        chunks = index.split(decodes_at_once(next(self._vae.decoder.parameters()).device))
        return DecodedCodes.build(self._f, torch.cat([self.code(part) for part in chunks]), progress)

    @torch.no_grad()
    def log_likelihood(self, x: Float[Tensor, "B C H W"], index: Int64[Tensor, " M"]) -> Float64[Tensor, " B"]:
        """Return log 1/M sum_i p(x | f(z_i)) in nats over these codes: eq. 4 where they are all."""
        table = self.decoded(index).table
        return torch.cat([_log_mean(table.log_prob(part)) for part in x.split(QUERIES)])


def distinct_of(pairs: Int64[Tensor, "B M"], n_total: int) -> tuple[Int64[Tensor, " m"], Int64[Tensor, "B M"]]:
    """Return the distinct indices in order, and the place of each pair's among them.

    The same as `torch.unique` of indices below N, without a sort.
    """
    used = torch.zeros(n_total, dtype=torch.bool)
    used[pairs.flatten()] = True
    return used.nonzero()[:, 0], (used.cumsum(0) - 1)[pairs]


def again(compute: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """Return `compute(*given)`, whose intermediate values are computed once more in the backward pass, not kept."""
    found = checkpoint(compute, *given, use_reentrant=False, preserve_rng_state=False)
    assert isinstance(found, Tensor)
    return found


def _log_mean(log_p: Float64[Tensor, "B M"]) -> Float64[Tensor, " B"]:
    """Return the log of the mean of exp(log_p) of each row."""
    # NOTE: relative to the largest term float32 is exact enough, and several times faster.
    top = log_p.amax(1, keepdim=True)
    return (log_p - top).float().exp_().sum(1).double().log() + top[:, 0] - math.log(log_p.shape[1])
