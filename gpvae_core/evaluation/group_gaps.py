"""The gap of the pseudo-observations of groups, such as videos, each with a bound of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.split import Split
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.pseudo_ascent import (
    ASCENT,
    AT_ONCE,
    ascent_noise,
    check_amortized,
    differentiated,
    kept_if_better,
    moved,
)
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.inference.conditional import LEAST_VARIANCE
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import Progress
from gpvae_core.refiners.until_flat import climb
from gpvae_core.runs import Run
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

SCORE_SAMPLES = 64
"""Samples of the latents by which the bounds before and after are compared."""


@dataclass(frozen=True)
class Groups:
    """Some groups as rows of T images, with padding, and the bounds of their pseudo-observations."""

    vae: VAE
    model: GPModel
    x: Float[Tensor, "G T C H W"]
    observed: Bool[Tensor, "G T 1 H W"] | None
    present: Bool[Tensor, "G T"]
    inputs: Float[Tensor, "G T F"]
    pseudo: PseudoObservations

    def bounds(
        self, rows: Tensor, coordinates: Sequence[Tensor], eps: Float[Tensor, "K *rows D"]
    ) -> Float[Tensor, "K G"]:
        """Return the bounds of some groups in nats, of each sample, with pseudo-observations moved by coordinates."""
        own = PseudoObservations(self.pseudo.mean[rows], self.pseudo.precision[rows])
        found = self.model.family.approximate(self.model.prior, self.inputs[rows], moved(own, coordinates), 1.0)
        std = found.marginals.variance.clamp_min(LEAST_VARIANCE).sqrt()
        z = (found.marginals.mean.mT + std.mT * eps).to(self.x.dtype)
        observed = None if self.observed is None else self.observed[rows]
        log_p = self.vae.likelihood.log_prob(self.x[rows], self.vae.decode(z), observed).double()
        return (log_p * self.present[rows]).sum(-1) - found.kl


@torch.no_grad()
def group_gaps(
    run: Run, images: Split, codes: NDArray[np.int64], seed: int, progress: Progress
) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Yield the gaps of the groups with these codes and their errors, some groups at a time."""
    model, engine, split = check_amortized(run), inference_of(run, seed), DeviceSplit(images, run.device)
    group = split.columns[model.prior.group]
    noise = ascent_noise(run.model.latent_dim, seed).to(run.device)
    generator = torch.Generator(run.device).manual_seed(seed)
    longest = int(torch.bincount(group).max())
    done = 0
    for part in torch.as_tensor(codes, device=run.device).split(max(1, AT_ONCE // (len(noise) * longest))):
        # `Series` has its rows in ascending order of the codes.
        index = torch.isin(group, part).nonzero().flatten()
        series, inputs, pseudo = engine.arranged(split, index, engine.pseudo_observations(split, index))
        x, observed = split.batch(index)[series.index], split.observed(index)
        observed = None if observed is None else observed[series.index]
        groups = Groups(run.model, model, x, observed, series.present, inputs, pseudo)
        rows = part.argsort().argsort()
        difference, error = (t[rows] for t in _optimised(groups, noise[:, None, None], generator))
        done += len(part)
        progress(done, len(codes), f"optimising pseudo-observations of each {model.prior.group}")
        yield kept_if_better(difference, error)


def _optimised(
    groups: Groups, noise: Float[Tensor, "K 1 1 D"], generator: torch.Generator
) -> tuple[Float[Tensor, " G"], Float[Tensor, " G"]]:
    """Return the growth of each group's bound with its Monte Carlo error."""
    origin = [torch.zeros_like(groups.pseudo.mean) for _ in range(2)]
    best, _ = climb(differentiated(lambda rows, at: groups.bounds(rows, at, noise).mean(0)), origin, ASCENT)
    everything = torch.arange(len(groups.x), device=groups.x.device)
    pieces, size = [], max(1, AT_ONCE // groups.present.numel())
    for k in torch.arange(SCORE_SAMPLES).split(size):
        shape = (len(k), *groups.present.shape, noise.shape[-1])
        eps = torch.randn(shape, generator=generator, device=groups.x.device, dtype=noise.dtype)
        pieces.append(groups.bounds(everything, best, eps) - groups.bounds(everything, origin, eps))
    growth = torch.cat(pieces)
    return growth.mean(0), growth.std(0) / SCORE_SAMPLES**0.5
