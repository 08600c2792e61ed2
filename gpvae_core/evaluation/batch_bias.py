"""How far q(z_i) of the SVGP-VAE moves with the mini-batch in which instance i is (Jazbec et al. 2021, eq. 9 and C.4).

mu_b and A_b of eq. 9 are estimates, from a batch of b of N instances, of Titsias's optimum mu_T and A_T, and biased
ones, as the inverse of an estimate is not an estimate of the inverse. Batches are drawn as in training. The distance of
q_b(z_i) from q(z_i) of all instances is KL(q_b(z_i) || q(z_i)), summed over channels: in nats as the bound is, and, of
Gaussians, finite for any two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.evaluation.process import inference_of
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.conditional import LEAST_VARIANCE, columns_of
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inference.gp_prior.svgp import BatchOptimum
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit

BATCHES = 20
"""Batches in which each instance is taken, of as many orders of all training images."""


@dataclass(frozen=True)
class BatchBias:
    """The movement of q(z_i) with the batch, of some training images."""

    index: NDArray[np.int64]
    """Index of each image among the training images."""
    kl: Float[np.ndarray, " n"]
    """Mean over batches of KL(q_b(z_i) || q(z_i)) in nats."""
    kl_spread: Float[np.ndarray, " n"]
    """Standard deviation over batches of that KL in nats."""
    bias: Float[np.ndarray, " n"]
    """Distance of the mean over batches of mu_b(z_i) from mu(z_i), in posterior standard deviations: the root of its
    mean square over channels."""
    bias_by_chance: Float[np.ndarray, " n"]
    """What that distance would be on average without any bias, as the batches are few."""
    batches: int
    batch_size: int


def takes_batches(run: Run) -> bool:
    """Return whether q(z_i) of a run is estimated from mini-batches, as by svgp without groups."""
    model = run.model.extra
    return isinstance(model, GPModel) and isinstance(model.family, BatchOptimum) and not model.prior.group


@torch.no_grad()
def batch_bias(
    run: Run,
    index: NDArray[np.int64],
    batches: int = BATCHES,
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> BatchBias:
    """Return how far q(z_i) of training images moves with their batch.

    Args:
        index: the images.
        batches: number of batches of each image, at least 2.
        batch_size: images in a batch (default: that of the run's training).

    Raises:
        UserError: the method is not svgp, there are groups, a number is too small, or an image has no observed pixel.
    """
    if not takes_batches(run):
        raise UserError("the bias of mini-batches is that of method 'svgp' without groups, as eq. 9 has it")
    size = run.config.train.batch_size if batch_size is None else batch_size
    if batches < 2 or size < 1:
        raise UserError(f"wanted at least 2 batches of at least 1 image, got {batches} of {size}")
    engine, train = inference_of(run, seed), DeviceSplit(run.data.train, run.device)
    model = run.model.extra
    assert isinstance(model, GPModel)
    inputs, pseudo = model.prior.at(columns_of(train)), engine.pseudo_observations(train)
    chosen = torch.as_tensor(index, device=run.device)
    if not bool(torch.isin(chosen, train.seen).all()):
        raise UserError("a missing frame is in no batch: wanted images of which a pixel was observed")
    full = engine.predictor().predict(inputs[chosen])
    generator = torch.Generator(run.device).manual_seed(seed)
    means, distances = [], []
    for done in range(batches):
        found = _one_order(model, engine.batches(generator, size), len(train.seen), inputs, pseudo, chosen)
        means.append(found.mean)
        distances.append(divergence(found, full).sum(0))
        progress(done + 1, batches, "mini-batches of eq. 9")
    mean, kl = torch.stack(means), torch.stack(distances)
    std = full.variance.clamp_min(LEAST_VARIANCE).sqrt()
    bias = ((mean.mean(0) - full.mean) / std).square().mean(0).sqrt()
    chance = ((mean / std).var(0) / batches).mean(0).sqrt()
    figures = (t.cpu().double().numpy() for t in (kl.mean(0), kl.std(0), bias, chance))
    return BatchBias(index, *figures, batches=batches, batch_size=min(size, len(train.seen)))


def _one_order(
    model: GPModel,
    batches: Sequence[Tensor],
    count: int,
    inputs: Float[Tensor, "N F"],
    pseudo: PseudoObservations,
    chosen: Int64[Tensor, " n"],
) -> Marginals:
    """Return the marginals (D, n) of the chosen instances, each by the batch that has it."""
    mean = pseudo.mean.new_empty(len(pseudo.mean), len(chosen))
    variance = torch.empty_like(mean)
    for batch in batches:
        members, places = (chosen[:, None] == batch).nonzero(as_tuple=True)
        if len(members):
            own = PseudoObservations(pseudo.mean[None, :, batch], pseudo.precision[None, :, batch])
            q = model.family.approximate(model.prior, inputs[None, batch], own, len(batch) / count).marginals
            mean[:, members], variance[:, members] = q.mean[0, :, places], q.variance[0, :, places]
    return Marginals(mean, variance)


def divergence(q: Marginals, p: Marginals) -> Float[Tensor, "*batch D N"]:
    """Return KL(q || p) of the marginals in nats."""
    of_q, of_p = q.variance.clamp_min(LEAST_VARIANCE), p.variance.clamp_min(LEAST_VARIANCE)
    ratio = of_q / of_p
    return 0.5 * (ratio - 1 - ratio.log() + (q.mean - p.mean).square() / of_p)
