"""A refiner's steps on a few images at a time, except where training differentiates through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from gpvae_core.refiners.base import Model

Parts: TypeAlias = Sequence[Tensor]
"""The parameters of a Gaussian, each with B rows."""
Ascent: TypeAlias = Callable[[Tensor, Parts, bool], list[Parts]]
"""Function (images, start, whether to keep the graph) -> the Gaussian after each step."""


def is_trained(model: Model, start: Parts, parameters: Iterable[Tensor] = ()) -> bool:
    """Return whether gradients through the steps may be needed; `parameters` are the refiner's own."""
    weights = [*model.decoder.parameters(), *model.likelihood.parameters(), *start, *parameters]
    return torch.is_grad_enabled() and any(w.requires_grad for w in weights)


def in_rows(
    ascent: Ascent, model: Model, x: Tensor, start: Parts, rows: int, parameters: Iterable[Tensor] = ()
) -> list[Parts]:
    """Return the path from `start`, in the graph if anything is trained, else detached and `rows` images at a time."""
    if is_trained(model, start, parameters):
        return ascent(x, start, True)
    split = zip(x.split(rows), *(part.detach().split(rows) for part in start), strict=True)
    with torch.no_grad():
        paths = [ascent(images, parts, False) for images, *parts in split]
        return [_joined(chunks) for chunks in zip(*paths, strict=True)]


def _joined(chunks: Sequence[Parts]) -> Parts:
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]
