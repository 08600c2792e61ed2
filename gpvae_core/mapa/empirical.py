"""The empiricalized model with amortized codes z_i = g(x_i), and its bound (Yacoby et al. 2024, eq. 3-7, 29)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gpvae_core.device import decodes_at_once
from gpvae_core.mapa.bound import mapa_bound
from gpvae_core.mapa.draws import IndexDraw
from gpvae_core.mapa.kernel import EmpiricalModel
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
    """f of a decoder f(h(u)): codes are z's."""
    return decoder.f if isinstance(decoder, Pushforward) else decoder


class Empiricalized:
    """f, g and the likelihood of a VAE as they are at any time: codes z_i = g(x_i) are the encoder's means.

    A prior's map h has no part in it: codes take the place of the prior. Indices are those of the training points, and
    the CPU's.
    """

    def __init__(self, vae: VAE, points: Source, n_total: int) -> None:
        self._vae, self.points, self.n_total = vae, points, n_total
        self._f = GenerativeModel(behind_prior(vae.decoder), vae.likelihood, vae.latent_dim, vae.event_shape)

    def bound(self, index: Int64[Tensor, " B"], draw: IndexDraw) -> tuple[Float[Tensor, " B"], int]:
        """Eq. 29 of these training points, and how many codes were encoded and decoded: each distinct one once."""
        distinct, place = distinct_of(torch.cat([draw.head, draw.tail], dim=1), self.n_total)
        g = self.reconstruct(distinct)
        log_p = self.log_pairs(self.points(index), g, place.to(g.device))
        k = draw.head.shape[1]
        return mapa_bound(log_p[:, :k], log_p[:, k:], draw.log_q.to(log_p), self.n_total), len(distinct)

    def code(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m D"]:
        """g(x_i)."""
        return self._vae.encoder(self.points(index)).mean

    def reconstruct(self, index: Int64[Tensor, " m"]) -> Float[Tensor, "m C H W"]:
        """f(g(x_i)) of distinct training points."""
        if len(index) <= AT_ONCE:
            return self._f.decode(self.code(index))
        return torch.cat([again(lambda i: self._f.decode(self.code(i)), part) for part in index.split(AT_ONCE)])

    def log_pairs(
        self, x: Float[Tensor, "B C H W"], g: Float[Tensor, "m C H W"], place: Int64[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        """log p(x_b | g[place_bj]) in nats."""

        def some(x: Tensor, place: Tensor) -> Tensor:
            # An embedding's gradient is summed in a fixed order on every device; that of g[place] is not.
            each = nn.functional.embedding(place, g.flatten(1)).unflatten(-1, g.shape[1:])
            return self._vae.likelihood.log_prob(x[:, None], each)

        rows = max(1, PAIR_VALUES // max(1, place.shape[1] * math.prod(g.shape[1:])))
        if len(x) <= rows:
            return some(x, place)
        return torch.cat([again(some, *part) for part in zip(x.split(rows), place.split(rows), strict=True)])

    @torch.no_grad()
    def decoded(self, index: Int64[Tensor, " m"], progress: Progress = silent) -> EmpiricalModel:
        """The model with these codes, each once, decoded in chunks and without a gradient."""
        chunks = index.split(decodes_at_once(next(self._vae.decoder.parameters()).device))
        return EmpiricalModel.build(self._f, torch.cat([self.code(part) for part in chunks]), progress)

    @torch.no_grad()
    def log_likelihood(self, x: Float[Tensor, "B C H W"], index: Int64[Tensor, " M"]) -> Float64[Tensor, " B"]:
        """log 1/M sum_i p(x | f(z_i)) in nats over these codes: eq. 4 where they are all."""
        table = self.decoded(index).table
        return torch.cat([_log_mean(table.log_prob(part)) for part in x.split(QUERIES)])


def distinct_of(pairs: Int64[Tensor, "B M"], n_total: int) -> tuple[Int64[Tensor, " m"], Int64[Tensor, "B M"]]:
    """The distinct indices in order, and the place of each pair's among them: `torch.unique` of indices below N."""
    used = torch.zeros(n_total, dtype=torch.bool)
    used[pairs.flatten()] = True
    return used.nonzero()[:, 0], (used.cumsum(0) - 1)[pairs]


def again(compute: Callable[..., Tensor], *given: Tensor) -> Tensor:
    """`compute(*given)`, whose intermediate values are not kept for the backward pass but computed once more."""
    found = checkpoint(compute, *given, use_reentrant=False, preserve_rng_state=False)
    assert isinstance(found, Tensor)
    return found


def _log_mean(log_p: Float64[Tensor, "B M"]) -> Float64[Tensor, " B"]:
    """log of the mean of exp(log_p); relative to the largest float32 is exact enough, and several times faster."""
    top = log_p.amax(1, keepdim=True)
    return (log_p - top).float().exp_().sum(1).double().log() + top[:, 0] - math.log(log_p.shape[1])
