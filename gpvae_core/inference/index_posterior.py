"""Inference by index posteriors: an empiricalized model is trained by its bound, with indices from any proposal.

The codes are the means of a plain Gaussian encoder, g; its variances are not used in training. At the end the prior is
recovered from the codes and the encoder is fitted, so that the result is an ordinary VAE.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.bounds import Bound
from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError
from gpvae_core.inference.base import Inference, InferenceConfig, Step, TrainingSetup, cut
from gpvae_core.mapa.batches import Batching
from gpvae_core.mapa.bound import check_counts
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.proposals import Proposal
from gpvae_core.mapa.recovery.finish import check_recovery, finish
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.part import MOST_POINTS
from gpvae_core.priors.base import PriorConfig
from gpvae_core.progress import Progress
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE

SCORE_CODES = 10_000
"""Largest number of training codes in the score, evenly spaced."""


@dataclass(frozen=True)
class IndexSampling:
    """The proposal of indices and the batches, prepared from the data before the first step."""

    proposal: Proposal
    batching: Batching


class IndexInference(Inference):
    """Inference by the bound of Yacoby et al. 2024, eq. 29; each distinct code of a batch is decoded once."""

    def __init__(
        self, setup: TrainingSetup, config: IndexInferenceConfig, model: EmpiricalizedModel, sampling: IndexSampling
    ) -> None:
        self._setup, self._config, self._model, self._sampling = setup, config, model, sampling
        self._k = config.summed(model.n_total)

    def batches(self, generator: torch.Generator, batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
        return cut(self._sampling.batching.order(generator), batch_size)

    def figures(self) -> dict[str, float]:
        return {}

    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        draw = self._sampling.proposal.draw(index.cpu(), self._k, self._config.draws, on_cpu(generator))
        value, codes = self._model.bound(index, draw)
        return Step(Bound(value.detach(), value.mean()), codes + draw.passes)

    def score(self) -> float:
        """Return the mean of log 1/M sum_i p(x|f(g(x_i))) over the validation points (eq. 4), from M codes."""
        n = len(self._setup.train)
        self._setup.vae.eval()
        codes = torch.arange(0, n, -(-n // SCORE_CODES))  # step rounded up, so that there are at most SCORE_CODES
        return float(self._model.log_likelihood(self._setup.validation.all(), codes).mean())

    def finish(self, progress: Progress) -> dict[str, float]:
        return finish(self._setup.vae, self._setup.train, self._config, self._setup.seed, progress)


class IndexInferenceConfig(RecoverySettings, InferenceConfig):
    """Settings of inference by index posteriors that do not depend on the proposal."""

    count: ClassVar[str] = "draws"
    counts: ClassVar[tuple[int, ...]] = (50,)
    only: ClassVar[Mapping[str, Any]] = {
        "encoder": "gaussian",
        "refiner": "none",
        "objective": "elbo",
        "regulariser": "none",
        "freeze_decoder": False,
        "train.samples": 1,
        "train.kl_weight": 1.0,
        "train.kl_warmup": 0,
    }
    draws: int = Field(
        default=50,
        ge=0,
        le=MOST_POINTS,
        description="S, number of indices drawn for each point and step besides the most probable ones; 0 with "
        "neighbours=1 is an autoencoder if each point is its own most probable index (MAPA with a Gaussian or "
        "Bernoulli kernel)",
    )
    neighbours: int | None = Field(
        default=None,
        ge=0,
        le=MOST_POINTS,
        description="k, number of most probable indices in each point's bound (default: 10 % of draws, at least 1)",
    )

    @abstractmethod
    def prepare(self, setup: TrainingSetup, model: EmpiricalizedModel, progress: Progress) -> IndexSampling:
        """Return the proposal and the batches for these data.

        Raises:
            UserError: the settings do not suit the data.
        """

    @property
    def score_name(self) -> str:
        return "validation log-likelihood of the empiricalized model"

    @property
    def finishes(self) -> bool:
        return True

    def extra(self, prior: PriorConfig, columns: Sequence[Column], latent_dim: int) -> nn.Module | None:
        return None

    def start(self, vae: VAE, data: Dataset, seed: int) -> None:
        """Do nothing, as all weights start at random."""

    def begin(self, setup: TrainingSetup, progress: Progress) -> IndexInference:
        train = setup.train
        check_recovery(setup.vae, train)
        check_counts(self.summed(len(train)), self.draws, len(train))
        if self.draws > len(train):
            raise UserError(
                f"wanted draws of at most the {len(train)} training points, got {self.draws}; neighbours={len(train)} "
                "with draws=0 sums over all of them"
            )
        model = EmpiricalizedModel(setup.vae, lambda index: train.batch(index.to(train.images.device)), len(train))
        return IndexInference(setup, self, model, self.prepare(setup, model, progress))

    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        """Return a flow as the prior for more than one dimension; in one the Gaussian copula recovers it."""
        return {"prior.kind": "flow"} if latent_dim > 1 else {}

    def summed(self, n_total: int) -> int:
        """Return k, the number of most probable indices in the bound of each point."""
        if self.neighbours is not None:
            return self.neighbours
        return max(1, min(round(self.draws / 10), n_total - 1))


def on_cpu(generator: torch.Generator) -> torch.Generator:
    """Return the generator if it is on the CPU, else one on the CPU whose seed is drawn from it."""
    if generator.device.type == "cpu":
        return generator
    # Drawing the seed advances the generator, so that each call has new noise and a resumed run the same.
    seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
    return torch.Generator().manual_seed(int(seed))
