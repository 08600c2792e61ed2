"""The contract of inference in training: what a batch contributes, how weights are scored, what comes at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.bounds import Bound
from gpvae_core.part import PartConfig
from gpvae_core.progress import Progress
from gpvae_core.registry import Registry
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


@dataclass(frozen=True)
class TrainingSetup:
    """The model, the data and the settings that inference works on."""

    vae: VAE
    train: DeviceSplit
    validation: DeviceSplit
    likelihood: str
    """Kind of the likelihood."""
    samples: int
    """Samples of z for each image and step (`train.samples`)."""
    seed: int


@dataclass(frozen=True)
class Step:
    """The bound of a mini-batch."""

    bound: Bound
    passes: int | None = None
    """Codes that were encoded and decoded for it, where inference counts them."""


class Inference(ABC):
    """Inference in a run in progress; it holds what it derived from the data, and no state that training changes."""

    @abstractmethod
    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        """Return the training images in the order of this epoch, each once; batches are cut from it."""

    @abstractmethod
    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        """Return the bound of these training images, and the surrogate to follow."""

    @abstractmethod
    def score(self) -> float:
        """BoundSettings good the weights are now, by the validation images, in nats; larger is better."""

    @abstractmethod
    def finish(self, progress: Progress) -> dict[str, float]:
        """Make the model, which holds the best weights, one that is used as any VAE; twice gives the same.

        It returns figures of how that went, by name; none where nothing was to be done.
        """


class InferenceConfig(PartConfig):
    """Settings of one kind of inference."""

    only: ClassVar[Mapping[str, Any]] = {}
    """Parts (by kind) and settings (dotted keys) that a run with this inference must have."""

    @property
    @abstractmethod
    def score_name(self) -> str:
        """The name under which `Inference.score` is shown."""

    @property
    @abstractmethod
    def finishes(self) -> bool:
        """True where the model can be used only after `Inference.finish`; its validation ELBO is computed then."""

    @abstractmethod
    def begin(self, setup: TrainingSetup, progress: Progress) -> Inference:
        """Find what is needed of the data before the first step. Raises UserError where model or data do not fit."""

    @abstractmethod
    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        """Return the settings (dotted keys) that a run of this latent dimension has by default."""


INFERENCES: Registry[type[InferenceConfig]] = Registry("inference", "gpvae_core.inference")
