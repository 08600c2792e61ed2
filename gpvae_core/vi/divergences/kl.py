"""The two directions of the Kullback-Leibler divergence."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence


@DIVERGENCES.register("reverse-kl")
class ReverseKlConfig(WeightDivergence):
    """KL(q || p) = E_q[-log w]: seeks a mode, as q must vanish where p does (Ganguly et al. 2023, eq. 25)."""

    kind: ClassVar[str] = "reverse-kl"

    def value(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        return -(log_mass.exp() * log_w).sum()

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        return -log_w


@DIVERGENCES.register("forward-kl")
class ForwardKlConfig(WeightDivergence):
    """KL(p || q) = E_q[w log w]: covers the mass, as q must not vanish where p does not."""

    kind: ClassVar[str] = "forward-kl"

    def value(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        return ((log_mass + log_w).exp() * log_w).sum()

    def coefficient(self, log_w: Tensor, log_mass: Tensor) -> Tensor:
        # grad -int p log q
        return -log_w.exp()
