"""Amortized variational inference (Ganguly et al. 2023, Algorithm 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.part import MOST, MOST_SAMPLES, MOST_UNITS
from gpvae_core.vi.families.gaussian import GaussianFamily
from gpvae_core.vi.methods.base import VI_METHODS, MethodConfig, Start, VariationalInference, sampled_elbo
from gpvae_core.vi.methods.natural import gaussian_family
from gpvae_core.vi.targets.base import VITarget


class DataEncoder(nn.Module):
    """Network from a data set to the parameters of q(z); before training it returns those of the start."""

    def __init__(self, family: GaussianFamily, features: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.family = family.requires_grad_(False)
        size = sum(parameter.numel() for parameter in family.parameters())
        # Weights from the generator, so that they do not depend on torch's global one; the last layer begins at zero.
        first = torch.randn(hidden, features, generator=generator, dtype=torch.float64) / features**0.5
        self.first, self.bias = nn.Parameter(first), nn.Parameter(torch.zeros(hidden, dtype=torch.float64))
        self.last = nn.Parameter(torch.zeros(size, hidden + features + 1, dtype=torch.float64))

    def forward(self, data: Float[Tensor, " F"]) -> Posterior:
        """Return q(z) for one data set; a linear map beside the hidden layer gives a linear posterior mean exactly."""
        hidden = torch.tanh(self.first @ data + self.bias)
        moved = self.last @ torch.cat([hidden, data, data.new_ones(1)])
        values, at = {}, 0
        for name, parameter in self.family.named_parameters():
            values[name] = parameter + moved[at : at + parameter.numel()].reshape(parameter.shape)
            at += parameter.numel()
        return torch.func.functional_call(self.family, values, ())


class AmortizedInference(VariationalInference):
    """Trains one encoder on data sets drawn from the model; q(z) is what it says of the target's own data."""

    def __init__(self, settings: AmortizedVIConfig, start: Start) -> None:
        self._settings, self._target = settings, start.target
        self._generator = torch.Generator().manual_seed(start.seed)
        features, family = start.target.data_vector(), gaussian_family(start, "amortized inference")
        self._sets = [start.target.redrawn(self._generator) for _ in range(settings.data_sets)]
        self._encoder = DataEncoder(family, len(features), settings.hidden, self._generator)
        trained = [parameter for parameter in self._encoder.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=settings.rate)

    def density(self) -> Posterior:
        return self.of(self._target)

    @torch.no_grad()
    def of(self, target: VITarget) -> Posterior:
        """Return what the encoder says of any data set of this model."""
        return self._encoder(target.data_vector()).detached()

    def _batch(self) -> Sequence[VITarget]:
        order = torch.randperm(len(self._sets), generator=self._generator)
        return [self._sets[int(j)] for j in order[: self._settings.batch]]

    def step(self) -> None:
        loss = torch.zeros((), dtype=torch.float64)
        batch = self._batch()
        for target in batch:
            q = self._encoder(target.data_vector())
            z, log_q = q.rsample_and_log_prob(self._settings.samples, self._generator)
            loss = loss - (target.log_density(z[:, 0]) - log_q[:, 0]).mean() / len(batch)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def bound(self) -> float:
        return sampled_elbo(self._target, self.density())


@VI_METHODS.register("amortized")
class AmortizedVIConfig(MethodConfig):
    """Amortized: one encoder for all data sets of the model, trained by the ELBO of batches of them."""

    kind: ClassVar[str] = "amortized"
    count: ClassVar[str] = "data_sets"
    trains_network: ClassVar[bool] = True
    data_sets: int = Field(default=200, ge=1, le=MOST_SAMPLES, description="data sets on which the encoder is trained")
    batch: int = Field(default=8, ge=1, le=MOST_SAMPLES, description="data sets in a batch")
    samples: int = Field(default=4, ge=1, le=MOST_SAMPLES, description="samples of q for each data set and step")
    hidden: int = Field(
        default=16, ge=1, le=MOST_UNITS, description="units of the encoder's hidden layer: its capacity"
    )
    rate: float = Field(default=0.01, gt=0, le=MOST, description="step size of Adam")

    def begin(self, start: Start) -> AmortizedInference:
        return AmortizedInference(self, start)
