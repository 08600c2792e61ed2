"""log p(x) by importance sampling from a mixture of Gaussians fitted to a frozen model (Yacoby et al. 2024, sec. 6).

The paper's estimator, for any number of latent dimensions: (a) an encoder whose q(z|x) is a mixture of 50 diagonal
Gaussians is fitted to the frozen generative model by an importance-weighted bound of S = 500 samples; (b) log p(x) is
the importance-weighted bound of that q with S = 20,000 samples. It is a lower bound in expectation, whatever the fit.
So q may be fitted to the points at which log p(x) is estimated: that makes the bound tighter, and it stays a bound.

In (a) the samples are stratified: n of each component c, weighted by the component's own w_c,

    L = log sum_c w_c 1/n sum_j p(x, z_cj) / q(z_cj|x),   z_cj ~ N(m_c, s_c^2).

Its expectation lies below log p(x), as E exp(L) = p(x), and it is smooth in weights, means and standard deviations
alike, because no component is drawn. The paper does not say how it differentiates the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.encoders.mixture import MixtureConfig, MixtureEncoder
from gpvae_core.errors import UserError
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST, MOST_COUNT, MOST_POINTS, Settings
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import GenerativeModel

FLOATS_AT_ONCE = 4_000_000
"""Number of elements in the largest tensor; about ten of that size are in memory during a step."""


class MixtureProposalSettings(Settings):
    """Settings of the mixture's fit and of the bound; the defaults are those of Yacoby et al. 2024 (C.2).

    >>> import gpvae_core as gpvae
    >>> gpvae.EvaluationSettings(mixture=gpvae.MixtureProposalSettings(epochs=10)).mixture.components
    50
    """

    components: int = Field(default=50, ge=1, le=64, description="number of Gaussians in the mixture")
    samples: int = Field(
        default=500,
        ge=1,
        le=MOST_POINTS,
        description="samples of each point and step in the fit (at least one of each component)",
    )
    lr: float = Field(default=1e-3, gt=0, le=MOST, description="learning rate of Adam")
    batch_size: int = Field(default=1000, ge=1, le=MOST_COUNT, description="points in a mini-batch")
    epochs: int = Field(
        default=100, ge=0, le=MOST_COUNT, description="passes over the points in the fit (0: q is not fitted)"
    )
    bound_samples: int = Field(default=20_000, ge=1, le=MOST_POINTS, description="samples of the bound, S")


PAPER = MixtureProposalSettings()
"""The paper's settings."""


@dataclass(frozen=True)
class MixtureEstimate:
    """Lower bounds of log p(x) of B points, with their effective sample sizes."""

    log_px: Float64[Tensor, " B"]
    """log 1/S sum_s w_s in nats, a lower bound in expectation."""
    ess: Float64[Tensor, " B"]
    """Effective sample size, at most S; where it is small the bound is loose and its noise large."""

    @property
    def se(self) -> Float64[Tensor, " B"]:
        """Standard error of log_px in nats, to first order: at most 1 / sqrt(ESS)."""
        return self.ess.rsqrt()


def stratified_bound(
    model: GenerativeModel,
    x: Float[Tensor, "B C H W"],
    q: GaussianMixture,
    samples: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " B"]:
    """Return the bound L of the module's docstring in nats, with about `samples` samples of each point.

    Each component has the same number of samples, at least one.
    """
    components = q.log_w.shape[-1]
    n = max(1, samples // components)
    z = torch.stack([q.sample_components(generator) for _ in range(n)])
    flat = z.flatten(0, 1)
    # log (w_c p(x, z_cj) / q(z_cj|x)), (n, components, B)
    log_w = (model.log_joint(x, flat) - q.log_prob(flat)).unflatten(0, (n, components)) + q.log_w.T
    return log_w.flatten(0, 1).logsumexp(0) - math.log(n)


def fit_mixture_proposal(
    model: GenerativeModel,
    x: Float[Tensor, "N C H W"],
    net: NetConfig,
    settings: MixtureProposalSettings = PAPER,
    seed: int = 0,
    progress: Progress = silent,
) -> MixtureEncoder:
    """Fit a mixture encoder to the posteriors of the points `x`; the generative model does not change.

    Args:
        net: configuration of the encoder's network.

    Raises:
        UserError: there are no points, or the fit diverged.
    """
    if len(x) == 0:
        raise UserError("wanted points to fit the mixture proposal to, got none")
    encoder = _untrained_encoder(model, net, settings.components, seed).to(x.device)
    generator = torch.Generator(x.device).manual_seed(seed)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=settings.lr)
    at_once = _points_at_once(model, settings.samples, settings.components)
    steps = -(-len(x) // settings.batch_size)
    for epoch in range(settings.epochs):
        order = torch.randperm(len(x), generator=generator, device=x.device)
        for number, batch in enumerate(order.split(settings.batch_size), 1):
            optimizer.zero_grad(set_to_none=True)
            for part in batch.split(at_once):
                bound = stratified_bound(model, x[part], encoder(x[part]), settings.samples, generator)
                # NOTE: with `inputs` no gradient accumulates in the decoder's parameters.
                (-bound.sum() / len(batch)).backward(inputs=list(encoder.parameters()))
            optimizer.step()
            progress(epoch * steps + number, settings.epochs * steps, "fitting the mixture proposal")
    if not all(bool(p.isfinite().all()) for p in encoder.parameters()):
        raise UserError("the fit of the mixture proposal diverged: a smaller learning rate may help")
    return encoder.eval().requires_grad_(False)


def _untrained_encoder(model: GenerativeModel, net: NetConfig, components: int, seed: int) -> MixtureEncoder:
    """Return the encoder before the fit, its components' means drawn from a Gaussian with the prior's moments."""
    d, prior = model.latent_dim, model.prior(torch.empty(1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = MixtureConfig(components=components).build(net, model.event_shape, d)
        with torch.no_grad():
            means = prior.mean + prior.variance.sqrt() * torch.randn(components, d)
            encoder.head.bias.view(components, 2, d)[:, 0] = means
    return encoder


def _points_at_once(model: GenerativeModel, samples: int, components: int) -> int:
    """Return the number of points whose samples are in memory together."""
    return max(1, FLOATS_AT_ONCE // (samples * _floats_of_a_sample(model, components)))


def _floats_of_a_sample(model: GenerativeModel, components: int) -> int:
    """Return the size of one sample in the largest tensor: the mixture's log densities or the decoded image."""
    return max(components * model.latent_dim, math.prod(model.event_shape))


@torch.no_grad()
def mixture_log_px(
    model: GenerativeModel,
    x: Float[Tensor, "N C H W"],
    encoder: MixtureEncoder,
    samples: int,
    seed: int = 0,
    progress: Progress = silent,
) -> MixtureEstimate:
    """Return the importance-weighted bound of `samples` samples from the mixture for each point, in bounded memory.

    Raises:
        UserError: `samples` is below 1.
    """
    if samples < 1:
        raise UserError(f"wanted at least 1 sample of the mixture proposal, got {samples}")
    generator = torch.Generator(x.device).manual_seed(seed)
    # log sum w and log sum w^2, accumulated over the draws
    log_sum, log_sum_squares = (torch.full((len(x),), -torch.inf, dtype=torch.float64) for _ in range(2))
    draws = max(1, min(samples, FLOATS_AT_ONCE // _floats_of_a_sample(model, encoder.components)))
    points = _points_at_once(model, draws, encoder.components)
    for low in range(0, len(x), points):
        part = slice(low, low + points)
        q = encoder(x[part])
        for done in range(0, samples, draws):
            z = q.sample(min(draws, samples - done), generator)
            log_w = (model.log_joint(x[part], z) - q.log_prob(z)).cpu().double()
            log_sum[part] = torch.logaddexp(log_sum[part], log_w.logsumexp(0))
            log_sum_squares[part] = torch.logaddexp(log_sum_squares[part], (2.0 * log_w).logsumexp(0))
        progress(min(low + points, len(x)), len(x), f"log p(x) by {samples} samples of the mixture")
    # ESS = (sum w)^2 / sum w^2
    return MixtureEstimate(log_sum - math.log(samples), (2.0 * log_sum - log_sum_squares).exp())
