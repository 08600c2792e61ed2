"""Mixture encoder ME: a mixture of diagonal Gaussians from one network (Kim & Pavlovic 2021, sec. 5).

Means and scales follow the objective through the samples. The weights follow the ELBO at the training images by an
estimate of their own (`weights_reward`), with any objective, with no KL warm-up; regularisers that draw samples of an
answer do not move them.
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
"""How much of its own random start each component keeps when all start as one VAE's Gaussian."""


def weights_reward(
    log_joint: LogJoint, x: Float[Tensor, "B C H W"], q: Posterior, generator: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Return zero, with the gradient of the ELBO in the weights of the encoder's own mixture, `q.base()`.

    It is sum_c dw_c E_c[log p(x,z) - log q(z|x)], by one z of each component: unbiased however far apart the components
    lie, for a decoder pass for each of them.
    """
    mixture = q.base()
    assert isinstance(mixture, GaussianMixture)
    with torch.no_grad():
        z = mixture.sample_components(generator)
        worth = (log_joint(x, z) - mixture.log_prob(z)).T
        # E_q[dlog q] = 0 drops out. The mean worth may be taken off, as sum_c dw_c = 0: with less variance.
        worth = worth - (mixture.log_w.exp() * worth).sum(-1, keepdim=True)
    return (gradient_only(mixture.log_w.exp()) * worth).sum(-1)


class MixtureEncoder(Encoder):
    """The encoder x -> weights, means and standard deviations of C components, from one trunk."""

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
        """Put all components near the VAE's Gaussian."""
        self.trunk.load_state_dict(base.trunk.state_dict())
        weight = SPREAD * self.head.weight + base.head.weight.repeat(self.components, 1)
        bias = SPREAD * self.head.bias + base.head.bias.repeat(self.components)
        self.head.load_state_dict({"weight": weight, "bias": bias})


class ComponentsConfig(EncoderConfig):
    """Settings that all mixtures have: the number of components."""

    count: ClassVar[str] = "components"
    counts: ClassVar[tuple[int, ...]] = (2, 3, 4, 5)
    components: int = Field(default=3, ge=1, le=64, description="Gaussians in the mixture")


@ENCODERS.register("mixture")
class MixtureConfig(ComponentsConfig):
    """Mixture of diagonal Gaussians, trained blindly, all components at once; me:5 has 5."""

    kind: ClassVar[str] = "mixture"
    method: ClassVar[str] = "me"

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> MixtureEncoder:
        return MixtureEncoder(net, event_shape, latent_dim, self.components)
