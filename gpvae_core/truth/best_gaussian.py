"""The best Gaussian q* of one instance: what the family can do when nothing is amortized (Cremer et al. 2018).

ELBO(q) = E_q[log p(x|z)] - KL(q || N(0, I)) is maximised over mean and covariance, diagonal and full, for each instance
by itself. The KL is exact; only the expected log-likelihood is estimated. All instances see the same noise, so that the
answer for an instance does not depend on which others are in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gpvae_core.progress import Progress, silent
from gpvae_core.refiners.noise import whitened
from gpvae_core.vae import VAE

SCORE_SAMPLES = 1024
"""Quasi-random samples of the final scores, common to the encoder and the best Gaussians."""
PRIOR_SAMPLES = 256
"""Samples of the prior among which a start is sought."""
MAX_MODES = 4
"""Starts taken from the caller for one instance."""
DECODES_AT_ONCE = 2048
"""Latents decoded together; bounds the memory. Convolutions are faster in few, small networks in many."""
SCORED_AT_ONCE = 1024
START_STD = (0.02, 0.3)
"""Range of the standard deviation of starts that have none of their own (prior samples, the caller's)."""


@dataclass(frozen=True)
class BestGaussians:
    """The best Gaussians of B instances and their ELBOs in nats, scored with common random numbers."""

    diagonal_mean: Float[Tensor, "B D"]
    diagonal_std: Float[Tensor, "B D"]
    diagonal_elbo: Float[Tensor, " B"]
    full_mean: Float[Tensor, "B D"]
    full_chol: Float[Tensor, "B D D"]
    full_elbo: Float[Tensor, " B"]
    encoder_elbo: Float[Tensor, " B"]
    """ELBO of the Gaussian with the encoder's mean and variances; never above `diagonal_elbo`."""


@dataclass(frozen=True)
class Gaussians:
    """N(mean, L L') of R rows, L = Diag(std) (I + lower) with `lower` strictly lower triangular: scale-free shape."""

    mean: Float[Tensor, "R D"]
    log_std: Float[Tensor, "R D"]
    lower: Float[Tensor, "R D D"]

    @staticmethod
    def diagonal(mean: Float[Tensor, "R D"], std: Float[Tensor, "R D"]) -> Gaussians:
        return Gaussians(mean, std.log(), mean.new_zeros(*mean.shape, mean.shape[-1]))

    @property
    def chol(self) -> Float[Tensor, "R D D"]:
        return self.log_std.exp().unsqueeze(-1) * (torch.eye(self.mean.shape[-1]).to(self.mean) + self.lower)

    def kl(self) -> Float[Tensor, " R"]:
        """KL(q || N(0, I)) in nats; the diagonal of L is std."""
        trace = self.chol.square().sum((-2, -1))
        return 0.5 * (trace + (self.mean.square() - 1.0 - 2.0 * self.log_std).sum(-1))

    def sample(self, eps: Float[Tensor, "K D"]) -> Float[Tensor, "K R D"]:
        return self.mean + torch.einsum("rij,kj->kri", self.chol, eps)

    def pick(self, rows: Tensor) -> Gaussians:
        return Gaussians(self.mean[rows], self.log_std[rows], self.lower[rows])

    def where(self, condition: Tensor, other: Gaussians) -> Gaussians:
        """Rows of this one where `condition` (R,), of the other elsewhere."""
        flat, square = condition[:, None], condition[:, None, None]
        return Gaussians(
            torch.where(flat, self.mean, other.mean),
            torch.where(flat, self.log_std, other.log_std),
            torch.where(square, self.lower, other.lower),
        )


def gaussian_elbo(
    vae: VAE, x: Float[Tensor, "R C H W"], q: Gaussians, eps: Float[Tensor, "K D"]
) -> Float[Tensor, " R"]:
    """E_q[log p(x|z)] - KL(q || N(0,I)) in nats: the expectation over z = mean + L eps, the KL in closed form."""
    return vae.log_likelihood(x, q.sample(eps)).mean(0) - q.kl()


def matched_noise(k: int, d: int, generator: torch.Generator) -> Float[Tensor, "K D"]:
    """k antithetic normal samples rotated and scaled to covariance I: exact for a quadratic integrand. k/2 >= d."""
    half = whitened(torch.randn(k // 2, d, generator=generator, dtype=torch.float64))
    return torch.cat([half, -half]).float()


def sobol_noise(k: int, d: int, seed: int) -> Float[Tensor, "K D"]:
    """k scrambled Sobol points mapped to N(0, I): unbiased, with less variance than independent samples."""
    u = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed).draw(k, dtype=torch.float64)
    tiny = 2.0**-33
    return torch.special.ndtri(u.clamp(tiny, 1.0 - tiny)).float()


# -- ascent ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ascent:
    """How the bound is climbed: Adam, whose step shrinks for a row when a window brings it no gain."""

    samples: int
    max_windows: int
    drops: int
    """A row is done when its step has been shrunk this often."""
    window: int = 10
    lr: float = 0.1
    """Step in units of the row's standard deviations (mean), nats (log std), or 1 (shape)."""
    shrink: float = 0.3
    gain: float = 3e-3
    """Nats by which a window must be better."""


SEARCH = Ascent(samples=8, max_windows=5, drops=1)
POLISH = Ascent(samples=16, max_windows=30, drops=3)
BETA_1, BETA_2, TINY = 0.9, 0.99, 1e-12


class _Adam:
    """Adam (ascending) with one step size a row; rows can be taken out."""

    def __init__(self, theta: list[Tensor]) -> None:
        self.theta = theta
        self.first = [torch.zeros_like(t) for t in theta]
        self.second = [torch.zeros_like(t) for t in theta]
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], lr: Float[Tensor, " R"]) -> None:
        self.steps += 1
        for t, g, m, v in zip(self.theta, gradients, self.first, self.second, strict=True):
            m.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
            v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
            scale = lr.reshape(-1, *[1] * (t.ndim - 1)) / (1 - BETA_1**self.steps)
            t.add_(scale * m / ((v / (1 - BETA_2**self.steps)).sqrt() + TINY))

    def keep(self, rows: Tensor) -> None:
        for values in (self.theta, self.first, self.second):
            values[:] = [value[rows] for value in values]


def _moved(start: Gaussians, theta: Sequence[Tensor]) -> Gaussians:
    """`start` moved by (mean in its standard deviations, log std[, shape])."""
    lower = start.lower + torch.tril(theta[2], -1) if len(theta) > 2 else start.lower
    return Gaussians(start.mean + start.log_std.exp() * theta[0], start.log_std + theta[1], lower)


def maximise(
    vae: VAE, x: Float[Tensor, "R C H W"], start: Gaussians, how: Ascent, seed: int, shape: bool
) -> tuple[Gaussians, Float[Tensor, " R"]]:
    """The best Gaussians reached from `start`, and their ELBO over the last useful window; `shape` frees `lower`.

    The decoder's parameters collect no gradients, and a caller's no_grad does not stop the ascent.
    """
    d = start.mean.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    zeros = [torch.zeros_like(start.mean), torch.zeros_like(start.mean), torch.zeros_like(start.lower)]
    adam = _Adam(zeros if shape else zeros[:2])
    best = [t.clone() for t in adam.theta]
    best_score = torch.full_like(start.mean[:, 0], -math.inf)
    active = torch.arange(len(x), device=x.device)
    lr, drops = torch.full_like(best_score, how.lr), torch.zeros_like(active)
    for _ in range(how.max_windows):
        rows, origin = x[active], start.pick(active)
        score = torch.zeros_like(best_score[active])
        average = [torch.zeros_like(t) for t in adam.theta]
        for _ in range(how.window):
            eps = matched_noise(max(how.samples, 2 * d), d, generator).to(x)
            value, gradients = _value_and_gradient(vae, rows, origin, adam.theta, eps)
            score += value / how.window
            for total, t in zip(average, adam.theta, strict=True):
                total += t / how.window
            adam.step(gradients, lr[active])
        gained = score - best_score[active]
        better = active[gained > 0]
        best_score[better] = score[gained > 0]
        for kept, t in zip(best, average, strict=True):
            kept[better] = t[gained > 0]
        stuck = active[~(gained > how.gain)]
        lr[stuck] *= how.shrink
        drops[stuck] += 1
        going = drops[active] < how.drops
        active = active[going]
        if len(active) == 0:
            break
        adam.keep(going)
    return _moved(start, best), best_score


def _value_and_gradient(
    vae: VAE, x: Tensor, start: Gaussians, theta: Sequence[Tensor], eps: Tensor
) -> tuple[Tensor, Sequence[Tensor]]:
    """ELBO of each row and its gradient with respect to `theta` alone."""
    with torch.enable_grad():
        free = [t.detach().requires_grad_() for t in theta]
        value = gaussian_elbo(vae, x, _moved(start, free), eps)
        gradients = torch.autograd.grad(value.sum(), free)
    return value.detach(), [g.nan_to_num(0.0, 0.0, 0.0) for g in gradients]


# -- starts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Starts:
    """Start Gaussians of several instances in one list: row r is one of instance `owner[r]`."""

    q: Gaussians
    owner: Int[Tensor, " R"]


def _starts(
    vae: VAE, x: Tensor, encoder: Gaussians, given: Sequence[Tensor] | None, generator: torch.Generator
) -> _Starts:
    """The encoder's q, its base, the best sample of the prior, and what the caller gives."""
    everyone = torch.arange(len(x), device=x.device)
    posterior = vae.infer(x)
    std = encoder.log_std.exp().clamp(*START_STD)
    means, stds, owners = [encoder.mean], [encoder.log_std.exp()], [everyone]
    base = posterior.base()
    if base is not posterior:
        means, stds, owners = [*means, base.mean], [*stds, base.variance.sqrt()], [*owners, everyone]
    means, stds, owners = [*means, _best_of_prior(vae, x, generator)], [*stds, std], [*owners, everyone]
    for i, modes in enumerate(given or ()):
        chosen = torch.as_tensor(modes).to(x).reshape(-1, vae.latent_dim)[:MAX_MODES]
        means.append(chosen)
        stds.append(std[i].expand_as(chosen))
        owners.append(everyone[i].expand(len(chosen)))
    return _Starts(Gaussians.diagonal(torch.cat(means), torch.cat(stds)), torch.cat(owners))


def _best_of_prior(vae: VAE, x: Tensor, generator: torch.Generator) -> Float[Tensor, "B D"]:
    """Of PRIOR_SAMPLES latents, the one with the largest log p(x|z) for each image. They are decoded once."""
    z = torch.randn(PRIOR_SAMPLES, 1, vae.latent_dim, generator=generator).to(x)
    g = vae.decode(z)
    score = torch.stack([vae.likelihood.log_prob(one, g[:, 0]) for one in x], dim=1)
    return z[score.argmax(0), 0]


def _winners(score: Tensor, owner: Tensor, count: int) -> Int[Tensor, " B"]:
    """Row with the largest score of each instance."""
    order = torch.argsort(score.nan_to_num(-math.inf, -math.inf, -math.inf), stable=True)
    best = torch.zeros(count, dtype=torch.long, device=score.device)
    for row, instance in zip(order.tolist(), owner[order].tolist(), strict=True):
        best[instance] = row
    return best


# -- all together ----------------------------------------------------------------------------------------------------


def best_gaussians(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    seed: int = 0,
    starts: Sequence[Tensor] | None = None,
    progress: Progress = silent,
) -> BestGaussians:
    """The best diagonal and full Gaussian of each image.

    Every start (the encoder's q, its base, the best of some prior samples, and `starts`) is climbed a little with a
    diagonal covariance; the best one is climbed to the end, first with a diagonal, from there with a full covariance.
    All are scored with SCORE_SAMPLES fresh quasi-random samples, and the encoder's q is kept where nothing beats it.

    Args:
        starts: for each image, latents (J, D) to start from as well, such as the modes of its true posterior.
    """
    rows = 2 + (max((len(s) for s in starts), default=0) if starts else 1)
    chunk = max(1, DECODES_AT_ONCE // (rows * max(SEARCH.samples, 2 * vae.latent_dim)))
    found = []
    for low in range(0, len(x), chunk):
        part = slice(low, low + chunk)
        found.append(_of_chunk(vae, x[part], seed, starts[part] if starts else None))
        progress(min(low + chunk, len(x)), len(x), "best Gaussians")
    return BestGaussians(*(torch.cat([getattr(f, name) for f in found]) for name in BestGaussians.__dataclass_fields__))


@torch.no_grad()
def _of_chunk(vae: VAE, x: Tensor, seed: int, given: Sequence[Tensor] | None) -> BestGaussians:
    posterior = vae.infer(x)
    encoder = Gaussians.diagonal(posterior.mean, posterior.variance.sqrt())
    starts = _starts(vae, x, encoder, given, torch.Generator().manual_seed(seed))
    searched, score = maximise(vae, x[starts.owner], starts.q, SEARCH, seed + 1, shape=False)
    diagonal, _ = maximise(vae, x, searched.pick(_winners(score, starts.owner, len(x))), POLISH, seed + 2, shape=False)
    eps = sobol_noise(SCORE_SAMPLES, vae.latent_dim, seed).to(x)
    encoder_elbo, diagonal_elbo = _scores(vae, x, encoder, eps), _scores(vae, x, diagonal, eps)
    diagonal = diagonal.where(diagonal_elbo > encoder_elbo, encoder)
    diagonal_elbo = torch.maximum(diagonal_elbo.nan_to_num(-math.inf), encoder_elbo)
    full, _ = maximise(vae, x, diagonal, POLISH, seed + 3, shape=True)
    full_elbo = _scores(vae, x, full, eps)
    full = full.where(full_elbo > diagonal_elbo, diagonal)
    full_elbo = torch.maximum(full_elbo.nan_to_num(-math.inf), diagonal_elbo)
    return BestGaussians(
        diagonal.mean, diagonal.log_std.exp(), diagonal_elbo, full.mean, full.chol, full_elbo, encoder_elbo
    )


def _scores(vae: VAE, x: Tensor, q: Gaussians, eps: Tensor) -> Float[Tensor, " B"]:
    """ELBOs in nats, few images at a time."""
    chunk = max(1, SCORED_AT_ONCE // len(eps))
    parts = [torch.arange(low, min(low + chunk, len(x)), device=x.device) for low in range(0, len(x), chunk)]
    return torch.cat([gaussian_elbo(vae, x[part], q.pick(part), eps) for part in parts])
