"""Amortized inference: an encoder that is trained together with the decoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Int64
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError
from gpvae_core.inference.base import INFERENCES, Inference, InferenceConfig, Step, TrainingSetup, cut
from gpvae_core.priors.base import PriorConfig
from gpvae_core.progress import Progress
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE
from gpvae_core.validation import validation_elbo

EXTENT, NODES = 6.0, 801
"""Extent in prior standard deviations, and number of nodes, of the quadrature that scores weights."""


class Amortized(Inference):
    """Inference by an encoder: trains encoder and decoder together on the bound of `training_bound`."""

    def __init__(self, setup: TrainingSetup, score: Callable[[TrainingSetup], float]) -> None:
        self._setup = setup
        self._score = score

    def batches(self, generator: torch.Generator, batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
        return cut(torch.randperm(len(self._setup.train), generator=generator, device=generator.device), batch_size)

    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        vae, train = self._setup.vae, self._setup.train
        return Step(training_bound(vae, train.batch(index), len(train), self._setup.samples, generator, settings))

    def figures(self) -> dict[str, float]:
        return {}

    def score(self) -> float:
        return self._score(self._setup)

    def finish(self, progress: Progress) -> dict[str, float]:
        """Do nothing, as the trained model is complete."""
        return {}


def elbo_score(setup: TrainingSetup) -> float:
    """Return the mean ELBO of the validation images in nats."""
    return validation_elbo(setup.vae, setup.validation, setup.seed)


@torch.no_grad()
def log_px_score(setup: TrainingSetup) -> float:
    """Return the mean log p(x) of the validation points in nats, by the rectangle rule along the latent line (d = 1).

    The nodes are the same for every decoder and epoch: precise enough to compare epochs, and two hundred times as fast
    as `Line`.
    """
    vae, x = setup.vae, setup.validation.all()
    vae.eval()
    prior = vae.prior(x[:1])
    mean, std = float(prior.mean), float(prior.variance.sqrt())
    # log p(x) = log sum_i p(x|z_i) p(z_i) dz; the half weights of the two end nodes do not matter, EXTENT standard
    # deviations from the prior's mean.
    z = mean + std * torch.linspace(-EXTENT, EXTENT, NODES, device=x.device)[:, None]
    log_weight = vae.log_prior(z).cpu().double() + math.log(2 * EXTENT * std / (NODES - 1))
    return float(torch.logsumexp(vae.likelihood.grid_table(vae.decode(z)).log_prob(x) + log_weight, 1).mean())


SCORES: dict[str, Callable[[TrainingSetup], float]] = {"elbo": elbo_score, "log_px": log_px_score}
"""Value of `kept_by` -> score by which the best weights are chosen."""


@INFERENCES.register("amortized")
class AmortizedConfig(InferenceConfig):
    """Amortized inference: encoder and decoder are trained together."""

    kind: ClassVar[str] = "amortized"
    method: ClassVar[str] = ""
    kept_by: Literal["elbo", "log_px"] = Field(
        default="elbo",
        description="score by which the best weights are chosen: elbo, the validation ELBO, or log_px, log p(x) of the "
        "validation points by quadrature (d = 1), which does not depend on how well the encoder fits the posteriors",
    )

    def extra(self, prior: PriorConfig, columns: Sequence[Column], latent_dim: int) -> nn.Module | None:
        return None

    def start(self, vae: VAE, data: Dataset, seed: int) -> None:
        """Do nothing, as all weights start at random."""

    def begin(self, setup: TrainingSetup, progress: Progress) -> Amortized:
        if self.kept_by == "log_px" and setup.vae.latent_dim != 1:
            raise UserError(
                f"kept_by=log_px is a quadrature along a line: wanted latent_dim=1, got {setup.vae.latent_dim}"
            )
        return Amortized(setup, SCORES[self.kept_by])

    @property
    def score_name(self) -> str:
        return {"elbo": "validation ELBO", "log_px": "validation log p(x)"}[self.kept_by]

    @property
    def finishes(self) -> bool:
        """True where the best weights were chosen by another score, as their ELBO is then computed at the end."""
        return self.kept_by != "elbo"

    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        return {}
