"""Recursive mixture encoder RME (Kim & Pavlovic 2020): a mixture whose components are added one at a time.

Q_1 = q_1, Q_m = (1 - e_m(x)) Q_{m-1} + e_m(x) q_m with q_m a diagonal Gaussian. In stage m all components so far (or,
with `freeze_earlier`, only q_m and e_m) and the decoder maximise the bound under Q_m plus
eta min(C, KL(Q_{m-1} || q_m)), which keeps q_m from copying Q_{m-1}. The part of the KL that depends on q_m is in
closed form, the entropy of Q_{m-1} is sampled. The ELBO's own gradient in q_m is e_m times that of
E_{q_m}[log p(x,z) - log Q_m(z|x)], and while e_m is small the KL would dominate it: so in its stage q_m follows the
gradient without the factor (`greedy_reward`). The weights e_m follow the ELBO by an estimator of their own
(`weights_reward`). With an objective other than the ELBO both still follow the ELBO, without KL warm-up.

Readings where the paper leaves a choice: q_m starts as a copy of q_1 with a small e_m. The bound F is concave in Q, so
that at the start it is at least (1 - e_m) F(Q_{m-1}) + e_m F(q_1): unchanged for m = 2, later lower by at most
e_m (F(Q_{m-1}) - F(q_1)). The decoder is trained in every stage, on the mixture of that stage, so that a run has as
many decoder steps as with any other method; with a frozen decoder only the encoder is trained. As a changing decoder
would leave fixed earlier components behind, they are trained on by default; the bounded KL trains q_m alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.mixture import GaussianMixture, gradient_only
from gpvae_core.encoders.base import ENCODERS, Encoder, LogJoint, Stage
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.encoders.mixture import ComponentsConfig, weights_reward
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import MOST
from gpvae_core.types import EventShape

SHARED = ("decoder.", "likelihood.", "refiner.")
"""Parameters that are trained in every stage."""
ENTROPY_SAMPLES = 8
"""Number of samples of Q_{m-1} for its entropy, which has no gradient and only decides where the KL reaches C."""
BEFORE_STAGES = 0
"""State of an encoder before its first stage, in which it uses all its components."""


class Component(nn.Module):
    """Network x -> mean and standard deviations of q_m and the logit of e_m, with one trunk."""

    def __init__(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> None:
        super().__init__()
        self.base = BaseFunctions(net, event_shape, latent_dim)
        self.share = nn.Linear(net.feature_dim, 1)

    def forward(
        self, x: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"], Float[Tensor, " B"]]:
        features = self.base.trunk(x)
        m, s = self.base.from_features(features)
        return m, s, self.share(features).squeeze(-1).to(m.dtype)


class RecursiveMixtureEncoder(Encoder):
    """Encoder x -> Q_m, m the number of components added so far."""

    def __init__(
        self, net: NetConfig, event_shape: EventShape, latent_dim: int, config: RecursiveMixtureConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.first = BaseFunctions(net, event_shape, latent_dim)
        further = (Component(net, event_shape, latent_dim) for _ in range(config.components - 1))
        self.further = nn.ModuleList(further)
        self.added = nn.Buffer(torch.tensor(BEFORE_STAGES))

    def forward(self, x: Float[Tensor, "B C H W"]) -> GaussianMixture:
        m, s = self.first(x)
        means, scales, log_w = [m], [s], torch.zeros_like(m[:, :1])
        for component in self.further[: self.components_in_use - 1]:
            m, s, logit = component(x)
            means.append(m)
            scales.append(s)
            log_w = _with_component(log_w, logit)
        return GaussianMixture(log_w, torch.stack(means, dim=1), torch.stack(scales, dim=1))

    @property
    def components_in_use(self) -> int:
        """m, the number of components in the mixture."""
        return int(self.added) or self.config.components

    def stages(self) -> tuple[Stage, ...]:
        n, share = self.config.components, self.config.first_share
        if n == 1:
            share = 1.0
        out = [Stage("component 1", ("encoder.first.", *SHARED), share, self._entering(1))]
        for m in range(2, n + 1):
            first = m - 2 if self.config.freeze_earlier else 0
            earlier = () if self.config.freeze_earlier else ("encoder.first.",)
            moves = (*earlier, *(f"encoder.further.{i}." for i in range(first, m - 1)), *SHARED)
            reward = partial(stage_reward, number=m, eta=self.config.eta, bound=self.config.kl_bound)
            out.append(Stage(f"component {m}", moves, (1 - share) / (n - 1), self._entering(m), reward))
        return tuple(out)

    def _entering(self, m: int) -> Callable[[], None]:
        return partial(self.add_up_to, m)

    @torch.no_grad()
    def add_up_to(self, m: int) -> None:
        """Add components until there are m; does nothing if there are m already, as in a continued run."""
        if int(self.added) == BEFORE_STAGES:
            self.added.fill_(1)
        start = self.config.start_weight
        for i in range(int(self.added) - 1, m - 1):
            component = self.further[i]
            assert isinstance(component, Component)
            component.base.load_state_dict(self.first.state_dict())
            # With zero weights and the logit of `start_weight` as bias, e_m(x) is start_weight for every x.
            bias = torch.full_like(component.share.bias, math.log(start / (1 - start)))
            component.share.load_state_dict({"weight": torch.zeros_like(component.share.weight), "bias": bias})
        self.added.clamp_(min=m)

    def size(self) -> int:
        return self.config.components

    @property
    def origins(self) -> str:
        return (
            f"an 'rme' encoder with {self.config.components} components can start from a run trained with "
            "--method vae, or with --method rme and as many components"
        )

    def take_base(self, base: BaseFunctions) -> None:
        """Load the Gaussian of a trained VAE as the first component."""
        self.first.load_state_dict(base.state_dict())


def _with_component(log_w: Float[Tensor, "B M"], logit: Float[Tensor, " B"]) -> Float[Tensor, "B N"]:
    """Return the log weights of (1 - e) Q + e q for e = sigmoid(logit)."""
    # log(1 - e) = logsigmoid(-logit), without cancellation where e is close to 0 or 1
    logit = logit.unsqueeze(-1)
    log_rest = nn.functional.logsigmoid(-logit)
    return torch.cat([log_w + log_rest, nn.functional.logsigmoid(logit)], dim=-1)


def stage_reward(
    log_joint: LogJoint,
    x: Float[Tensor, "B C H W"],
    q: Posterior,
    generator: torch.Generator | None,
    number: int,
    eta: float,
    bound: float,
) -> Float[Tensor, " B"]:
    """Return the reward of stage m = `number` for each image, in nats.

    Its value is eta min(C, KL(Q_{m-1} || q_m)); its gradient has those of `greedy_reward` and `weights_reward` besides.
    Where q was refined, all are of the encoder's own mixture.
    """
    mixture = q.base()
    assert isinstance(mixture, GaussianMixture)
    kl_reward = eta * bounded_kl(mixture, number, bound, generator)
    greedy = greedy_reward(log_joint, x, mixture, number, generator)
    return kl_reward + greedy + weights_reward(log_joint, x, q, generator)


def greedy_reward(
    log_joint: LogJoint,
    x: Float[Tensor, "B C H W"],
    q: GaussianMixture,
    number: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " B"]:
    """Return zeros that have the gradient of (1 - e_m) E_{q_m}[log p(x,z) - log Q_m(z|x)] in q_m alone, by one z.

    m is `number`. The ELBO's gradient in q_m is e_m times that of the expectation; the sum of both has the factor 1,
    however small e_m is.
    """
    z = sub_mixture(q, number - 1, number).sample_components(generator)
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        log_w = log_joint(x, leaf) - q.detached().log_prob(leaf)
        (gradient,) = torch.autograd.grad(log_w.sum(), leaf)
    factor = 1.0 - q.log_w[:, number - 1].exp().detach()
    # gradient_only(z) is zero and has the gradient of z: the sum is zero and has the gradient dlog w/dz dz/d(m, s).
    return factor * (gradient * gradient_only(z)).sum((0, -1))


def bounded_kl(
    q: GaussianMixture, number: int, bound: float, generator: torch.Generator | None = None
) -> Float[Tensor, " B"]:
    """Return min(C, KL(Q_{m-1} || q_m)) for m = `number`, in nats."""
    old, new = sub_mixture(q, 0, number - 1).detached(), sub_mixture(q, number - 1, number)
    # KL(Q || q) = E_Q[log Q] - E_Q[log q]: the first by samples and without a gradient, the second in closed form
    log_old = old.log_prob(old.sample(ENTROPY_SAMPLES, generator)).mean(0)
    return (log_old + cross_entropy(old, new)).clamp_max(bound)


def cross_entropy(q: GaussianMixture, p: GaussianMixture) -> Float[Tensor, " B"]:
    """Return -E_q[log p] in nats, in closed form, for p with a single component."""
    # E[(z - m')^2] = s^2 + (m - m')^2 for z ~ N(m, s^2)
    square = (q.s.square() + (q.m - p.m).square()) / p.s.square()
    by_component = (0.5 * square + p.s.log() + 0.5 * math.log(2 * math.pi)).sum(-1)
    return (q.log_w.exp() * by_component).sum(-1)


def sub_mixture(q: GaussianMixture, first: int, end: int) -> GaussianMixture:
    """Return the mixture of the components first to end - 1, with their weights normalised."""
    return GaussianMixture(q.log_w[:, first:end].log_softmax(-1), q.m[:, first:end], q.s[:, first:end])


@ENCODERS.register("recursive_mixture")
class RecursiveMixtureConfig(ComponentsConfig):
    """Mixture grown one Gaussian at a time, each pushed away from those before (Kim & Pavlovic 2020); rme:5 has 5."""

    kind: ClassVar[str] = "recursive_mixture"
    method: ClassVar[str] = "rme"
    family: ClassVar[str] = "recursive mixture of Gaussians (RME)"
    eta: float = Field(
        default=1.0, ge=0, le=MOST, description="weight of the bounded KL that pushes a new component away"
    )
    kl_bound: float = Field(default=10.0, gt=0, le=MOST, description="C, upper bound of that KL in nats")
    start_weight: float = Field(default=0.05, gt=0, lt=1, description="initial weight of a new component")
    freeze_earlier: bool = Field(default=False, description="keep earlier components fixed while a new one is trained")
    first_share: float = Field(
        default=0.5, gt=0, lt=1, description="fraction of the epochs for the first component; the others share the rest"
    )

    def build(self, net: NetConfig, event_shape: EventShape, latent_dim: int) -> RecursiveMixtureEncoder:
        return RecursiveMixtureEncoder(net, event_shape, latent_dim, self)
