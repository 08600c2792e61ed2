"""A refiner's steps: a few images at a time, except where training goes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from gpvae_core.refiners.base import Model

Parts: TypeAlias = Sequence[Tensor]
"""The tensors that a Gaussian is made of, each with B rows."""
Climb: TypeAlias = Callable[[Tensor, Parts, bool], list[Parts]]
"""A map (images, start, whether to keep the graph) -> the Gaussian after each step."""


def is_trained(model: Model, start: Parts, own: Iterable[Tensor] = ()) -> bool:
    """Tell whether someone may ask for gradients through the steps; `own` are the refiner's parameters."""
    weights = [*model.decoder.parameters(), *model.likelihood.parameters(), *start, *own]
    return torch.is_grad_enabled() and any(w.requires_grad for w in weights)


def in_rows(climb: Climb, model: Model, x: Tensor, start: Parts, rows: int, own: Iterable[Tensor] = ()) -> list[Parts]:
    """Return the path from `start`: in the graph where training can go through it, else detached, `rows` at once."""
    if is_trained(model, start, own):
        return climb(x, start, True)
    split = zip(x.split(rows), *(part.detach().split(rows) for part in start), strict=True)
    with torch.no_grad():
        paths = [climb(some, parts, False) for some, *parts in split]
        return [_joined(at_one_step) for at_one_step in zip(*paths, strict=True)]


def _joined(some: Sequence[Parts]) -> Parts:
    return [torch.cat(parts) for parts in zip(*some, strict=True)]
