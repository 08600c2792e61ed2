"""The interface of a method of variational inference: a state that it improves step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.part import PartConfig
from gpvae_core.registry import Registry
from gpvae_core.vi.families.base import FamilyConfig, VIFamily
from gpvae_core.vi.targets.base import VITarget

BOUND_SAMPLES, BOUND_SEED = 512, 0
"""Samples of an ELBO without a closed form, and their seed: the same noise in every step, so that steps compare."""


@dataclass(frozen=True)
class Start:
    """What a method starts from."""

    target: VITarget
    family: FamilyConfig
    m: Float[Tensor, " D"]
    """Mean of q(z), or of the particles."""
    sd: float
    """Standard deviation of q(z), or of the particles."""
    seed: int


class VariationalInference(ABC):
    """One inference: its state after some steps."""

    @abstractmethod
    def step(self) -> None:
        """Improve the state by one step."""

    @abstractmethod
    def density(self) -> Posterior | None:
        """Return q(z), a density of one row without a gradient; None for particles."""

    def particles(self) -> Float[Tensor, "K D"] | None:
        """Return the particles that stand for q(z); None (the default) for a density."""
        return None

    def family(self) -> VIFamily | None:
        """Return the family whose parameters the steps move; None (the default) for particles and encoders."""
        return None

    def bound(self) -> float | None:
        """Return the bound on log p(x) that the method reports, in nats; None where it has none."""
        return None


@torch.no_grad()
def sampled_elbo(target: VITarget, q: Posterior) -> float:
    """Return the ELBO by the same noise at every call, in nats."""
    generator = torch.Generator().manual_seed(BOUND_SEED)
    z, log_q = q.rsample_and_log_prob(BOUND_SAMPLES, generator)
    return float((target.log_density(z[:, 0]) - log_q[:, 0]).mean())


class MethodConfig(PartConfig):
    """Settings of one method."""

    method: ClassVar[str] = ""
    takes_family: ClassVar[bool] = True
    """Whether q(z) is of a family; particles have none."""
    trains_network: ClassVar[bool] = False
    """Whether a step is one of a network over many data sets, which takes longer than that of one q(z)."""

    @abstractmethod
    def begin(self, start: Start) -> VariationalInference:
        """Return the method's state before its first step.

        Raises:
            UserError: the method does not take the target or the family.
        """


VI_METHODS: Registry[type[MethodConfig]] = Registry("method of variational inference", "gpvae_core.vi.methods")
