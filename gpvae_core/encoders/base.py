"""The contract of an encoder: what makes "one file per family" true."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.nets.base import NetConfig
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.types import EventShape


@dataclass(frozen=True)
class Uncertainty:
    """How unsure a Bayesian encoder is about an instance, per latent dimension (Kim & Pavlovic 2021, sec. 5.3).

    f: V[f_j(x)|D], variance of the mean function, (B, D), in squared latent units.
    h: V[h_j(x)|D], variance of the standard-deviation function, (B, D), in squared latent units.
    """

    f: Float[Tensor, "B D"]
    h: Float[Tensor, "B D"]

    @property
    def trace_f(self) -> Float[Tensor, " B"]:
        return self.f.sum(-1)

    @property
    def trace_h(self) -> Float[Tensor, " B"]:
        return self.h.sum(-1)

    @property
    def total(self) -> Float[Tensor, " B"]:
        """Tr V[f] + Tr V[h], the quantity of Fig. 1."""
        return self.trace_f + self.trace_h


Samples = tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]
"""z and log q(z|x)."""


def sampled_kl(samples: Samples) -> Float[Tensor, " B"]:
    """KL(q || N(0, I)) in nats, the mean of log q(z|x) - log p(z) over the samples."""
    z, log_q = samples
    log_p = -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
    return (log_q - log_p).mean(0)


class Posterior(ABC):
    """q(z|x) for a batch of B instances."""

    @abstractmethod
    def rsample_and_log_prob(
        self, k: int, generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "K B D"], Float[Tensor, "K B"]]:
        """`k` reparametrised samples of each instance and their log q(z|x) in nats."""

    @abstractmethod
    def log_prob(self, z: Float[Tensor, "K B D"]) -> Float[Tensor, "K B"]:
        """log q(z|x) in nats."""

    @property
    @abstractmethod
    def mean(self) -> Float[Tensor, "B D"]:
        """E_q[z]."""

    @property
    @abstractmethod
    def variance(self) -> Float[Tensor, "B D"]:
        """Marginal variances of q(z|x)."""

    @abstractmethod
    def kl(self, generator: torch.Generator | None = None, samples: Samples | None = None) -> Float[Tensor, " B"]:
        """The per-instance KL term of the training bound, in nats: in closed form where there is one.

        Elsewhere by Monte Carlo over `samples` of this posterior (z and log q), or over fresh ones without them.
        """

    @abstractmethod
    def detached(self) -> Posterior:
        """The same density cut off from its parameters: log_prob(z) has a gradient in z alone."""

    @abstractmethod
    def base(self) -> Posterior:
        """What the family starts from: N(b, c^2) for the GP encoder, itself for a plain one."""

    @abstractmethod
    def uncertainty(self) -> Uncertainty | None:
        """The encoder's own uncertainty, or None for one that has no notion of it."""


LogJoint = Callable[[Tensor, Tensor], Tensor]
"""log p(x, z) of the model in nats: images (B, C, H, W) and latents (K, B, D) -> (K, B)."""


@dataclass(frozen=True)
class Stage:
    """A stretch of training: its name, the parameters it moves, and its share of the epochs."""

    name: str
    parameters: tuple[str, ...]
    """Prefixes of names in the VAE ('encoder.', 'decoder.'); '' stands for all."""
    share: float
    enter: Callable[[], None] | None = None
    """Called before each epoch of the stage, to put the encoder into its state; calling it again changes nothing."""
    reward: Callable[[LogJoint, Tensor, Posterior, torch.Generator | None], Tensor] | None = None
    """What this stage adds to the training surrogate for each image, (B,) nats: (log_joint, x, q, generator) -> it."""


class Encoder(nn.Module, ABC):
    """x -> q(z|x)."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "B C H W"]) -> Posterior: ...

    @abstractmethod
    def global_kl(self) -> Float[Tensor, ""]:
        """KL of the encoder's own random weights to their prior, in nats; zero for all but Bayesian encoders."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """What is trained when; parameter names are prefixes, '' stands for all."""

    @abstractmethod
    def start_from(self, other: Encoder) -> None:
        """Take over what a trained encoder of this or a simpler family knows. Raises UserError where nothing fits."""


class EncoderConfig(PartConfig):
    """Settings of one family: only its own fields, defaults that work."""

    @abstractmethod
    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> Encoder:
        """The untrained encoder; random weights come from torch's global generator."""


ENCODERS: Registry[type[EncoderConfig]] = Registry("encoder", "gpvae_core.encoders")

ALL_AT_ONCE = (Stage("all", ("",), 1.0),)
