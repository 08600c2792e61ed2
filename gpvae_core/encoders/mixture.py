"""Mixture encoder ME: a mixture of diagonal Gaussians from one network (Kim & Pavlovic 2021, sec. 5).

Means and scales are trained by the objective through the samples. The weights are trained by the ELBO of the training
images with an estimator of their own (`weights_reward`), whatever the objective and without KL warm-up; regularisers
that sample the posterior do not train them.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.mixture import GaussianMixture, gradient_only
from gpvae_core.encoders.base import ENCODERS, Encoder, EncoderConfig, LogJoint, Stage
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.nets.base import NetConfig
from gpvae_core.types import EventShape

SPREAD = 0.01
"""Factor of each component's random initial weights when all components start as the Gaussian of one VAE."""


def weights_reward(
    log_joint: LogJoint, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Return zeros that have the gradient of the ELBO in the weights of the encoder's own mixture, `q.base()`.

    The gradient is sum_c dw_c E_c[log p(x,z) - log q(z|x)], estimated by one z of each component: unbiased however
    distant the components are, at the cost of one decoder pass for each component.
    """
    mixture = q.base()
    assert isinstance(mixture, GaussianMixture)
    with torch.no_grad():
        z = mixture.sample_components(generator)
        log_w = (log_joint(x, z) - mixture.log_prob(z)).T
        # The term E_q[dlog q] = 0 drops out. As sum_c dw_c = 0, the mean may be subtracted, which reduces the variance.
        advantage = log_w - (mixture.log_w.exp() * log_w).sum(-1, keepdim=True)
    return (gradient_only(mixture.log_w.exp()) * advantage).sum(-1)


class MixtureEncoder(Encoder):
    """Encoder x -> weights, means and standard deviations of C components, from one trunk."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int, components: int) -> None:
        super().__init__()
        self.components = components
        self.trunk = net.trunk(event_shape)
        self.head = nn.Linear(net.feature_dim, components * 2 * latent_dim)
        self.weights = nn.Linear(net.feature_dim, components)

    def forward(self, x: Float[Tensor, "B C H W"]) -> GaussianMixture:
        features = self.trunk(x)
        raw = self.head(features).to(self.head.weight.dtype).unflatten(-1, (self.components, -1))
        m, raw_s = raw.chunk(2, dim=-1)
        log_w = self.weights(features).to(raw.dtype).log_softmax(-1)
        return GaussianMixture(log_w, m, nn.functional.softplus(raw_s) + 1e-6)

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("all", ("",), 1.0, reward=weights_reward),)

    def size(self) -> int:
        return self.components

    @property
    def origins(self) -> str:
        return (
            f"an 'me' encoder with {self.components} components can start from a run trained with --method vae, "
            "or with --method me and as many components"
        )

    def take_base(self, base: BaseFunctions) -> None:
        """Start all components near the Gaussian of a trained VAE."""
        self.trunk.load_state_dict(base.trunk.state_dict())
        # C copies of the VAE's mean and scale rows; the random parts keep the components from being identical.
        weight = SPREAD * self.head.weight + base.head.weight.repeat(self.components, 1)
        bias = SPREAD * self.head.bias + base.head.bias.repeat(self.components)
        self.head.load_state_dict({"weight": weight, "bias": bias})


class ComponentsConfig(EncoderConfig):
    """Settings that all mixture encoders have: the number of components."""

    count: ClassVar[str] = "components"
    counts: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    components: int = Field(default=3, ge=1, le=64, description="number of Gaussians in the mixture")


@ENCODERS.register("mixture")
class MixtureConfig(ComponentsConfig):
    """Mixture of diagonal Gaussians, all components trained together; me:5 has 5."""

    kind: ClassVar[str] = "mixture"
    method: ClassVar[str] = "me"
    family: ClassVar[str] = "mixture of Gaussians (ME)"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> MixtureEncoder:
        return MixtureEncoder(net, event_shape, latent_dim, self.components)
