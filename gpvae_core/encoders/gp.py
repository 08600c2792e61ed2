"""The Gaussian-process (Bayesian random function) encoder of Kim & Pavlovic 2021.

q(z|x,W,U) = N(b(x) + W psi_m(x), Diag(c(x) + U psi_s(x))^2)   (eq. 9), with q(W,U) of eq. 11. Inference uses the
marginalised encoder of eq. 13; training the bound of eq. 15 with the expected KL of eq. 16.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from gpvae_core.densities.gp_posterior import ExpectedKL, FunctionMoments, GPPosterior
from gpvae_core.encoders.base import ENCODERS, BaseFunctionEncoder, EncoderConfig
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.gp.random_weights import RandomWeights, Variances
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST, MOST_COUNT
from gpvae_core.types import EventShape


class GPEncoder(BaseFunctionEncoder):
    """Encoder x -> N(m(x), Diag(v(x))), marginalised over its random functions (eq. 13)."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, config: GPEncoderConfig) -> None:
        super().__init__(net, event_shape, latent_dim)
        self.config = config
        self.psi_m = net.trunk(event_shape)
        self.psi_s = net.trunk(event_shape)
        self.w = RandomWeights(latent_dim, net.feature_dim, config.start_scale)
        self.u = RandomWeights(latent_dim, net.feature_dim, config.start_scale)
        self._variances = Variances(self.w, self.u)

    def moments(self, x: Float[Tensor, "B C H W"]) -> FunctionMoments:
        """Return the base functions b and c, and the means and variances of f and h, at x."""
        b, c = self.base(x)
        psi_m, psi_s = self.psi_m(x).to(self.w.mu.dtype), self.psi_s(x).to(self.u.mu.dtype)
        with torch.autocast(x.device.type, enabled=False):  # the GP algebra stays in float32
            # Both branches compute the same variances: the first with gradients, the second by one product for W and U.
            if torch.is_grad_enabled():
                f_var, h_var = self.w.variance(psi_m), self.u.variance(psi_s)
            else:
                f_var, h_var = self._variances(torch.stack([psi_m, psi_s]))
            return FunctionMoments(b, c, self.w.mean(psi_m), f_var, self.u.mean(psi_s), h_var)

    @property
    def origins(self) -> str:
        return "a 'gp' encoder can start from a run trained with --method vae or --method gp"

    def forward(self, x: Float[Tensor, "B C H W"]) -> GPPosterior:
        return GPPosterior(self.moments(x), self.config.expected_kl, self.config.kl_samples)

    def global_kl(self) -> Float[Tensor, ""]:
        """Return KL(q(W,U) || N(0,I)) in nats, which eq. 15 divides by N."""
        return self.w.kl() + self.u.kl()

    def take_base(self, base: BaseFunctions) -> None:
        """Load b and c from a trained VAE, and their features as initial values of psi_m and psi_s."""
        super().take_base(base)
        self.psi_m.load_state_dict(base.trunk.state_dict())
        self.psi_s.load_state_dict(base.trunk.state_dict())


@ENCODERS.register("gp")
class GPEncoderConfig(EncoderConfig):
    """Gaussian-process encoder of Kim & Pavlovic 2021: random mean and deviation functions, marginalised."""

    kind: ClassVar[str] = "gp"
    method: ClassVar[str] = "gp"
    family: ClassVar[str] = "GP encoder, marginalised over its random functions"
    expected_kl: ExpectedKL = Field(default="monte_carlo", description="estimator of E[log(c + u'psi)^2] in eq. 16")
    kl_samples: int = Field(
        default=1, ge=1, le=MOST_COUNT, description="number of samples of the Monte Carlo expected KL"
    )
    start_scale: float = Field(
        default=0.05, gt=0, le=MOST, description="initial standard deviation of W and U (mean 0)"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> GPEncoder:
        return GPEncoder(net, event_shape, latent_dim, self)
