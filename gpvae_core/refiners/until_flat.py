"""Adam on the objectives of many rows at once, such as images, until that of a row no longer grows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Objective = Callable[[Tensor, Sequence[Tensor]], tuple[Tensor, list[Tensor]]]
"""Function (rows, their coordinates) -> the objective of each of these rows, and its gradient in the coordinates."""


def per_row(values: Float[Tensor, " B"], like: Tensor) -> Tensor:
    """Return `values` (B,) as (B, 1, ...), so that they multiply the rows of `like`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class AdamUntilFlat:
    """Settings of Adam (Kingma & Ba 2015) with a step size for each image, reduced when a window gains too little."""

    samples: int
    """Number of samples of z for a gradient; at least 2 D are drawn, so that their second moments can be matched."""
    max_windows: int
    """Largest number of windows."""
    drops: int
    """Number of reductions of its step size after which an image is finished."""
    window: int = 10
    """Number of steps in a window, whose mean coordinates are a candidate for the best."""
    step_size: float = 0.1
    """In the coordinates' units: standard deviations (mean), nats (log standard deviation), or 1 (shape)."""
    shrink: float = 0.3
    """Factor by which the step size is reduced."""
    gain: float = 3e-3
    """Gain of a window, in nats, below which the step size is reduced."""
    beta_1: float = 0.9
    beta_2: float = 0.99
    epsilon: float = 1e-12
    """Adam's epsilon, added to the root of the second moment."""


class _Adam:
    """Adam's state: coordinates, which it moves uphill in place, and their moments; finished images can be removed."""

    def __init__(self, settings: AdamUntilFlat, coordinates: Sequence[Tensor]) -> None:
        self.settings, self.coordinates = settings, list(coordinates)
        self.first_moment = [torch.zeros_like(t) for t in coordinates]
        self.second_moment = [torch.zeros_like(t) for t in coordinates]
        self.steps = 0

    def step(self, gradients: Sequence[Tensor], step_size: Float[Tensor, " B"]) -> None:
        """Take one step along the gradients."""
        s = self.settings
        self.steps += 1
        for t, g, m, v in zip(self.coordinates, gradients, self.first_moment, self.second_moment, strict=True):
            # m and v are running means that start at 0; divided by 1 - beta^t, the weights of their t terms sum to 1.
            # NOTE: separate products and sums. Fused ones may be rounded differently at the end of a tensor.
            m.mul_(s.beta_1).add_((1 - s.beta_1) * g)
            v.mul_(s.beta_2).add_((1 - s.beta_2) * g * g)
            scale = per_row(step_size, t) / (1 - s.beta_1**self.steps)
            t.add_(scale * m / ((v / (1 - s.beta_2**self.steps)).sqrt() + s.epsilon))

    def keep(self, rows: Tensor) -> None:
        """Keep the state of some images, drop that of the others."""
        for values in (self.coordinates, self.first_moment, self.second_moment):
            values[:] = [value[rows] for value in values]


@torch.no_grad()
def climb(
    objective: Objective, origin: Sequence[Tensor], settings: AdamUntilFlat
) -> tuple[list[Tensor], Float[Tensor, " B"]]:
    """Return the best coordinates reached from `origin`, (B, ...) each, and the mean objective over their window.

    A row whose objective is never finite stays at its origin, with a best objective of -inf.
    """
    # `best`, `best_value`, `step_size` and `drops` have a row for each image; `active` holds the numbers of the images
    # that are not finished, and Adam's tensors, `mean`, `value` and `gain` have a row for each of these alone.
    best, adam = [t.clone() for t in origin], _Adam(settings, [t.clone() for t in origin])
    best_value = torch.full_like(origin[0].flatten(1)[:, 0], -math.inf)
    active = torch.arange(len(best_value), device=best_value.device)
    step_size, drops = torch.full_like(best_value, settings.step_size), torch.zeros_like(active)
    for _ in range(settings.max_windows):
        mean, value = _take_window(objective, active, adam, step_size[active])
        gain = value - best_value[active]
        for kept, new in zip(best, mean, strict=True):
            kept[active[gain > 0]] = new[gain > 0]
        best_value[active] = torch.where(gain > 0, value, best_value[active])
        stalled = active[~(gain > settings.gain)]  # also where the objective is not finite
        step_size[stalled] *= settings.shrink
        drops[stalled] += 1
        unfinished = drops[active] < settings.drops
        active = active[unfinished]
        if len(active) == 0:
            break
        adam.keep(unfinished)
    return best, best_value


def _take_window(
    objective: Objective, rows: Tensor, adam: _Adam, step_size: Float[Tensor, " B"]
) -> tuple[list[Tensor], Tensor]:
    """Take the steps of a window; return the mean coordinates of the window, and its mean objective."""
    window = adam.settings.window
    total, mean = torch.zeros_like(step_size), [torch.zeros_like(t) for t in adam.coordinates]
    for _ in range(window):
        value, gradients = objective(rows, adam.coordinates)
        total += value / window
        for sums, t in zip(mean, adam.coordinates, strict=True):
            sums += t / window
        adam.step(gradients, step_size)
    return mean, total
