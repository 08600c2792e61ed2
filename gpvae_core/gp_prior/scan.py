"""Prefixes of an associative operation, in linear work and logarithmic depth (Blelloch 1990)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Elements: TypeAlias = tuple[Tensor, ...]
"""The parts of T elements, each with T along its first axis."""


def prefixes(combine: Callable[[Elements, Elements], Elements], elements: Elements) -> Elements:
    """Return the elements e_1, e_1 * e_2, e_1 * e_2 * e_3, ..., where * is `combine`, applied to many pairs at once.

    Pairs of neighbours are combined first; the prefixes of these are every second prefix of all, and each of the others
    takes one more combination.
    """
    count = len(elements[0])
    if count < 2:
        return elements
    even, odd = tuple(e[0::2] for e in elements), tuple(e[1::2] for e in elements)
    pairs = len(odd[0])
    at_odd = prefixes(combine, combine(tuple(e[:pairs] for e in even), odd))
    after = tuple(e[: len(even[0]) - 1] for e in at_odd)
    at_even = combine(after, tuple(e[1:] for e in even)) if len(even[0]) > 1 else tuple(e[:0] for e in even)
    return tuple(
        _interleaved(torch.cat([first[:1], rest]), second)
        for first, rest, second in zip(even, at_even, at_odd, strict=True)
    )


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """Return even_1, odd_1, even_2, odd_2, ...; there may be one more even one."""
    both = torch.stack([even[: len(odd)], odd], 1).flatten(0, 1)
    return torch.cat([both, even[len(odd) :]])
