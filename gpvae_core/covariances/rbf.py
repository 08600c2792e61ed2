"""The squared-exponential kernel."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES
from gpvae_core.covariances.stationary import StationaryConfig


@COVARIANCES.register("rbf")
class RbfConfig(StationaryConfig):
    """RBF (squared exponential): sigma^2 exp(-|x - x'|^2 / (2 l^2))."""

    kind: ClassVar[str] = "rbf"

    def kappa(self, r: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.exp(-0.5 * r.square())
