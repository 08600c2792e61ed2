"""Householder flow (Tomczak & Welling 2016; Kim & Pavlovic 2021, sec. 5): a rotated diagonal Gaussian.

z_0 ~ N(b(x), Diag(c(x))^2), z_t = (I - 2 v_t v_t' / |v_t|^2) z_{t-1}, v_1 from the encoder network, v_t a linear layer
of v_{t-1}. The reflections have |det| = 1 and are linear, so q(z|x) is the Gaussian N(Q b, Q Diag(c)^2 Q') with
Q = H_T ... H_1, whose density, moments and KL are in closed form.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.rotated_gaussian import RotatedGaussian
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

START = 0.01
"""Factor of the initial weights of the layers for v, with which all v start in one direction and reflections cancel."""


class HouseholderEncoder(BaseFunctionEncoder):
    """Encoder x -> N(Q b, Q Diag(c)^2 Q'), with Q a product of reflections whose vectors come from its network."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, flows: int) -> None:
        super().__init__(net, event_shape, latent_dim)
        self.first = nn.Linear(net.feature_dim, latent_dim)
        self.further = nn.ModuleList(nn.Linear(latent_dim, latent_dim) for _ in range(flows - 1))
        self._start_along_the_first_axis()

    @torch.no_grad()
    def _start_along_the_first_axis(self) -> None:
        """Start all v_t near e_1, so that an even number of reflections is the identity and an odd one negates z_1."""
        for parameter in (*self.first.parameters(), *self.further.parameters()):
            parameter.mul_(START)
        self.first.bias[0] += 1.0
        for layer in self.further:
            assert isinstance(layer, nn.Linear)
            layer.weight += torch.eye(len(layer.weight))

    def forward(self, x: Float[Tensor, "B C H W"]) -> RotatedGaussian:
        features = self.base.trunk(x)
        b, c = self.base.from_features(features)
        # v_1 from the features, v_t from the unnormalised v_{t-1}; all are normalised at the end.
        v = [self.first(features).to(b.dtype)]
        for layer in self.further:
            v.append(layer(v[-1]).to(b.dtype))
        return RotatedGaussian(DiagonalGaussian(b, c), nn.functional.normalize(torch.stack(v), dim=-1))

    def size(self) -> int:
        return len(self.further)

    @property
    def origins(self) -> str:
        return (
            f"an 'hf' encoder with {len(self.further) + 1} flows can start from a run trained with --method vae, "
            "or with --method hf and as many flows"
        )

    def take_base(self, base: BaseFunctions) -> None:
        """Load b and c so that q is the VAE's posterior: b_1 changes its sign if the reflections negate z_1."""
        super().take_base(base)
        if len(self.further) % 2 == 0:
            # An odd number of reflections along e_1 is Diag(-1, 1, ..., 1), which does not change the covariance.
            head = self.base.head
            sign = torch.ones_like(head.bias)
            sign[0] = -1.0
            head.load_state_dict({"weight": sign.unsqueeze(1) * head.weight, "bias": sign * head.bias})


@ENCODERS.register("householder")
class HouseholderConfig(EncoderConfig):
    """Householder flow: a diagonal Gaussian rotated by reflections (Tomczak & Welling 2016); hf:8 has 8."""

    kind: ClassVar[str] = "householder"
    method: ClassVar[str] = "hf"
    family: ClassVar[str] = "Householder flow (HF)"
    count: ClassVar[str] = "flows"
    counts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)
    flows: int = Field(default=4, ge=1, le=64, description="number of reflections")

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> HouseholderEncoder:
        return HouseholderEncoder(net, event_shape, latent_dim, self.flows)
