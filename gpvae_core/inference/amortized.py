"""Inference by an encoder, trained with the decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.inference.base import INFERENCES, Inference, InferenceConfig, Materials, Step
from gpvae_core.progress import Progress
from gpvae_core.training_bound import How, training_bound
from gpvae_core.validation import validation_elbo


class Amortized(Inference):
    """The training bound at the encoder's answers (`training_bound`)."""

    def __init__(self, materials: Materials) -> None:
        self._of = materials

    def order(self, generator: torch.Generator) -> Int64[Tensor, " N"]:
        return torch.randperm(len(self._of.train), generator=generator, device=generator.device)

    def step(self, index: Int64[Tensor, " B"], how: How, generator: torch.Generator) -> Step:
        of = self._of
        return Step(training_bound(of.vae, of.train.batch(index), len(of.train), of.samples, generator, how))

    def score(self) -> float:
        return validation_elbo(self._of.vae, self._of.validation, self._of.seed)

    def finish(self, progress: Progress) -> dict[str, float]:
        """The model is ready as it is."""
        return {}


@INFERENCES.register("amortized")
class AmortizedConfig(InferenceConfig):
    """Encoder and decoder are trained together."""

    kind: ClassVar[str] = "amortized"
    method: ClassVar[str] = ""

    def begin(self, materials: Materials, progress: Progress) -> Amortized:
        return Amortized(materials)

    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        return {}
