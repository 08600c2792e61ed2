"""The interface of inference in training: the bound of a batch, the score of the weights, and the final step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from gpvae_core.bounds import Bound
from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import Dataset
from gpvae_core.encoders.base import Stage
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import PartConfig
from gpvae_core.priors.base import PriorConfig
from gpvae_core.progress import Progress
from gpvae_core.registry import Registry
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


@dataclass(frozen=True)
class TrainingSetup:
    """The model, the data and the settings with which inference is set up."""

    vae: VAE
    train: DeviceSplit
    validation: DeviceSplit
    likelihood: str
    """Kind of the likelihood, its name in the registry."""
    samples: int
    """Number of samples of z for each image and step (`train.samples`)."""
    seed: int
    start_noise_scale: float | None
    """sigma_x at the start of training, in the units of x; None for a likelihood without one. The model's own is
    learned, and `begin` must give the same after every stop."""


@dataclass(frozen=True)
class Step:
    """The bound of a mini-batch."""

    bound: Bound
    passes: int | None = None
    """Number of codes that were encoded and decoded for it; None where inference does not count them."""


class Inference(ABC):
    """Inference of a run in training; it has what it derived from the data, but no state that training changes."""

    @abstractmethod
    def batches(self, generator: torch.Generator, batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
        """Return the batches of this epoch: indices of training images, each of which is in one batch.

        A missing frame, of which no pixel was observed, may be in none.
        """

    @abstractmethod
    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        """Return the bound of these training images, and the surrogate to differentiate."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Return what stands in the metrics of the epoch that ends, beside bound and score, by name."""

    @abstractmethod
    def score(self) -> float:
        """Return the score of the current weights on the validation images, in nats; larger is better."""

    @abstractmethod
    def finish(self, progress: Progress) -> dict[str, float]:
        """Turn the model, which has the best weights, into one that can be used as any VAE; idempotent.

        Returns figures of merit by name; an empty dictionary where nothing is to be done.
        """


class InferenceConfig(PartConfig):
    """Settings of one kind of inference."""

    only: ClassVar[Mapping[str, Any]] = {}
    """Parts (by kind) and settings (dotted keys) that a run with this inference must have."""

    @abstractmethod
    def extra(self, prior: PriorConfig, columns: Sequence[Column], latent_dim: int) -> nn.Module | None:
        """Return what the model has beside encoder, decoder and likelihood; None if there is nothing.

        Args:
            columns: the auxiliary columns of the data.

        Raises:
            UserError: the prior or the columns do not suit this inference.
        """

    def adapt(self, vae: VAE, net: NetConfig, decoder: NetConfig) -> None:
        """Change the model that was built, in place; nothing by default. Override where networks take columns too.

        Args:
            net: the networks of the encoder.
            decoder: those of the decoder.
        """
        return

    def stages(self, vae: VAE) -> tuple[Stage, ...]:
        """Return the stages of training: by default those of the encoder. Override where inference has its own."""
        return vae.encoder.stages()

    @abstractmethod
    def start(self, vae: VAE, data: Dataset, seed: int) -> None:
        """Set what starts at the training data, in a model whose other weights are at their start already."""

    def remarks(self, prior: PriorConfig, data: Dataset) -> tuple[str, ...]:
        """Return what one should know of a training on these data before it begins; by default nothing."""
        return ()

    conditional: ClassVar[bool] = False
    """Whether the model is one of images given their auxiliary columns, so that a run needs data with columns, and
    `begin` returns a `ConditionalInference`. Single images without columns have then no log p(x)."""
    takes_missing: ClassVar[bool] = False
    """Whether it trains on data with missing pixels and missing frames (`Split.observed`)."""

    @property
    @abstractmethod
    def score_name(self) -> str:
        """The name under which `Inference.score` is shown."""

    @property
    @abstractmethod
    def finishes(self) -> bool:
        """Whether the model can be used only after `Inference.finish`, where its validation ELBO is then computed."""

    @abstractmethod
    def begin(self, setup: TrainingSetup, progress: Progress) -> Inference:
        """Derive what inference needs before the first step, from the data and the setup alone.

        A resumed run begins again with trained weights, so that nothing may be derived from the model's parameters.

        Raises:
            UserError: the model or the data do not suit this inference.
        """

    @abstractmethod
    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        """Return the settings (dotted keys) that a run of this latent dimension has by default."""


def cut(order: Int64[Tensor, " N"], batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
    """Return the batches into which an order of all images is cut."""
    return order.split(batch_size)


INFERENCES: Registry[type[InferenceConfig]] = Registry("inference", "gpvae_core.inference")
