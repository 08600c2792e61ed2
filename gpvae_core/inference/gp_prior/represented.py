"""The vectors of a represented category, found from the images of splits."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpvae_core.inference.conditional import CHUNK, columns_of
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inference.gp_prior.representation import PooledVectors, Representation, context
from gpvae_core.validation import DeviceSplit


def inputs_of_batch(model: GPModel, split: DeviceSplit, index: Int64[Tensor, " B"]) -> Float[Tensor, "B F"]:
    """Return the kernel's inputs of a batch, in training: vectors are found from the batch's own images."""
    values, prior = columns_of(split, index), model.prior
    if model.representation is None:
        return prior.at(values)
    pool = _pool(model)
    _add(pool, model, model.representation, split, index)
    return prior.at(values, pool.vectors()[values[prior.inputs.represented]])


@torch.no_grad()
def find_vectors(model: GPModel, train: DeviceSplit, *others: DeviceSplit) -> None:
    """Find the vectors of all categories, after which `GPPrior.at` takes them; nothing is done without a network.

    A category's vector is that of its training images; of a category without any, that of its context in the others.
    Of a category without an image in any of the splits, the vector found last stays.
    """
    network = model.representation
    if network is None:
        return
    pool = _pool(model)
    for index in train.seen.split(CHUNK):
        _add(pool, model, network, train, index)
    known = pool.known
    for split in others:
        new = context_of(model, split, known)
        for index in new.nonzero().squeeze(1).split(CHUNK):
            _add(pool, model, network, split, index)
    last = model.prior.inputs.vectors
    last.copy_(torch.where(pool.known[:, None], pool.vectors(), last))


def context_of(model: GPModel, split: DeviceSplit, known: Tensor) -> Tensor:
    """Return which images (N,) of a split are the context of a category that is not known from training images."""
    network = model.representation
    assert network is not None
    codes = split.columns[model.prior.inputs.represented]
    seen = torch.zeros_like(codes, dtype=torch.bool).index_fill(0, split.seen, True)
    first = torch.zeros_like(seen).masked_scatter(seen, context(codes[seen], network.most))
    return first & ~known[codes]


def known_categories(model: GPModel, train: DeviceSplit) -> Tensor:
    """Return which categories (categories,) have a training image."""
    codes = train.columns[model.prior.inputs.represented][train.seen]
    return torch.zeros(len(model.prior.inputs.vectors), dtype=torch.bool, device=codes.device).index_fill(
        0, codes, True
    )


def _pool(model: GPModel) -> PooledVectors:
    vectors = model.prior.inputs.vectors
    return PooledVectors(len(vectors), vectors.shape[1], vectors.device)


def _add(
    pool: PooledVectors, model: GPModel, network: Representation, split: DeviceSplit, index: Int64[Tensor, " B"]
) -> None:
    """Add the representations of images with an observed pixel."""
    index = split.seen_of(index)
    pool.add(network(split.batch(index)), split.columns[model.prior.inputs.represented][index])
