"""A refined answer together with the encoder's answer that it came from."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Gaussian, Posterior, Samples, Uncertainty


class RefinedPosterior(Posterior):
    """The density of `answer`; `base()` is the encoder's own answer `start`, and the uncertainty is the encoder's."""

    def __init__(self, answer: Posterior, start: Posterior) -> None:
        self.answer, self.start = answer, start

    def rsample_and_log_prob(self, k: int, generator: torch.Generator | None = None) -> Samples:
        return self.answer.rsample_and_log_prob(k, generator)

    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        return self.answer.log_prob(z)

    @property
    def mean(self) -> Float[Tensor, "B D"]:
        return self.answer.mean

    @property
    def variance(self) -> Float[Tensor, "B D"]:
        return self.answer.variance

    def kl(
        self, prior: Posterior, generator: torch.Generator | None = None, samples: Samples | None = None
    ) -> Float[Tensor, " B"]:
        """Return KL(q || prior) of the refined answer in nats."""
        return self.answer.kl(prior, generator, samples)

    def as_gaussian(self) -> Gaussian | None:
        return self.answer.as_gaussian()

    def detached(self) -> Posterior:
        return self.answer.detached()

    def base(self) -> Posterior:
        return self.start

    def uncertainty(self) -> Uncertainty | None:
        return self.start.uncertainty()
