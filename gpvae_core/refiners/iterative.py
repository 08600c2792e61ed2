"""Iterative amortized inference (Marino et al. 2018): a network maps the ELBO's gradient to an update of the posterior.

Its inputs are the mean, the log standard deviations and the ELBO's gradient of an image, its outputs a move and a gate
for each coordinate:

    m <- m + s gate_m reach tanh(move_m),    log s <- log s + gate_s reach tanh(move_s)

As in the paper the inputs are detached, so that no second derivatives are needed: training reaches the encoder through
the sums above and the network through moves and gates. The bound is that of the last posterior. The last layer starts
at zero, so that an untrained network leaves the encoder's posterior unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.movable import MovableDiagonal
from gpvae_core.densities.noise import step_noise
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST_SAMPLES, MOST_UNITS
from gpvae_core.refiners.ascent import DECODES_AT_ONCE, elbo_and_gradients, refined_path
from gpvae_core.refiners.base import REFINERS, Model, Refiner, RefinerConfig
from gpvae_core.refiners.rows import Parts, in_rows
from gpvae_core.types import EventShape

REACH = 2.0
"""Largest move of a coordinate in one step, in standard deviations (mean) or nats (log standard deviation)."""


def log_scaled(g: Tensor) -> Tensor:
    """Return sign(g) log(1 + |g|), which brings gradients of all magnitudes to one scale (Andrychowicz et al. 2016)."""
    return g.sign() * g.abs().log1p()


class Update(nn.Module):
    """Network (m, log s, gradient) -> a move of each coordinate between -REACH and REACH."""

    def __init__(self, latent_dim: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(4 * latent_dim, hidden), nn.LayerNorm(hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU()
        )
        self.move = nn.Linear(hidden, 2 * latent_dim)
        self.gate = nn.Linear(hidden, 2 * latent_dim)
        nn.init.zeros_(self.move.weight)
        nn.init.zeros_(self.move.bias)

    def forward(
        self, q: MovableDiagonal, gradients: Sequence[Tensor]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """Return the moves (a, b) of mean and log standard deviations, in the coordinates of `q`."""
        inputs = torch.cat([q.m, q.s.log(), *(log_scaled(g) for g in gradients)], dim=-1).detach()
        features = self.body(inputs)
        moves = self.gate(features).sigmoid() * REACH * self.move(features).tanh()
        a, b = moves.to(q.m.dtype).chunk(2, dim=-1)
        return a, b


class Iterative(Refiner):
    """Refiner by `steps` updates of one network, with gradients estimated from `samples` samples."""

    def __init__(self, latent_dim: int, hidden: int, steps: int, samples: int) -> None:
        super().__init__()
        self.update = Update(latent_dim, hidden)
        self.steps, self.samples = steps, samples

    def path(
        self, model: Model, x: Tensor, q: Posterior, generator: torch.Generator | None = None
    ) -> Sequence[Posterior]:
        start = MovableDiagonal.matching(q)
        noise = step_noise(self.steps, self.samples, start.m, generator)

        def ascent(images: Tensor, parts: Parts, through: bool) -> list[Parts]:
            current = start.from_parts(parts)
            path = [current]
            for eps in noise:
                # As in the paper, the network's inputs are detached: no second derivatives of the decoder.
                detached = start.from_parts([part.detach() for part in current.parts()])
                _, gradients = elbo_and_gradients(model, images, detached, detached.origin(), eps)
                current = current.moved(self.update(detached, gradients))
                path.append(current)
            return [step.parts() for step in path]

        rows = max(1, DECODES_AT_ONCE // self.samples)
        path = in_rows(ascent, model, x, start.parts(), rows, parameters=self.parameters())
        return refined_path(q, [start.from_parts(parts) for parts in path])


@REFINERS.register("iterative")
class IterativeConfig(RefinerConfig):
    """Iterative amortized inference (Marino et al. 2018): a network maps gradients to updates of the posterior."""

    kind: ClassVar[str] = "iterative"
    method: ClassVar[str] = "iai"
    count: ClassVar[str] = "steps"
    steps: int = Field(default=4, ge=1, le=MOST_SAMPLES, description="refinement steps for each image")
    update_hidden: int = Field(
        default=128, gt=0, le=MOST_UNITS, description="units of each hidden layer of the update network"
    )
    svi_samples: int = Field(
        default=2, ge=1, le=MOST_SAMPLES, description="samples of z for the gradient of a refinement step"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Iterative:
        return Iterative(latent_dim, self.update_hidden, self.steps, self.svi_samples)
