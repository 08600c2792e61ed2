"""The limit on the size of a model, which is checked before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gpvae_core.errors import UserError

MOST_NUMBERS = 2**30
"""Largest number of weights: in float32 they take 4 GiB, and training four times as much."""


class LargestModel(TorchFunctionMode):
    """Context in which layers can be made as long as all their weights are at most MOST_NUMBERS.

    Bounds of single settings do not bound their product, as of the units of a layer and the number of layers. Without
    a limit the process is ended by the system when it fills memory that it does not have.

    >>> with LargestModel():
    ...     layer = torch.nn.Linear(3, 2)
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        """How many numbers the layers made so far hold."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Count the numbers of each tensor that is made by `torch.empty`, as those of torch's layers are.

        Raises:
            UserError: there are more than MOST_NUMBERS.
        """
        if func is torch.empty:
            self.numbers += math.prod(args[0] if args and not isinstance(args[0], int) else args)
            if self.numbers > MOST_NUMBERS:
                raise UserError(
                    f"wanted a model of at most {MOST_NUMBERS:,} weights, got more: fewer units or layers "
                    "(--set net.hidden=...), or smaller images"
                )
        return func(*args, **(kwargs or {}))
