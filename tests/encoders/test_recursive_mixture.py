"""The recursive mixture on a model with a bimodal posterior: quadrature, closed forms, and stages in real training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.densities.mixture import GaussianMixture
from gpvae_core.encoders.base import Stage
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.recursive_mixture import (
    RecursiveMixtureConfig,
    RecursiveMixtureEncoder,
    bounded_kl,
    cross_entropy,
    greedy_reward,
    sub_mixture,
)
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.regularisers.weight_norm import WeightNormConfig
from gpvae_core.run_files import read_tensors
from gpvae_core.training import train
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE

SHAPE = (1, 2, 2)
NET = FullyConnectedConfig(hidden=16)
AXIS = torch.linspace(-5, 5, 2001)


class Square(nn.Module):
    """g(z) = z^2 in every pixel: z and -z explain an image equally well."""

    def forward(self, z: Tensor) -> Tensor:
        return z.square().view(-1, 1, 1, 1).expand(-1, *SHAPE)


def model(encoder: RecursiveMixtureEncoder) -> VAE:
    return VAE(Square(), GaussianConfig(sigma_x=0.8, learn_sigma_x=False).build(), encoder, 1, SHAPE)


def images(n: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    level = 1.0 + torch.rand(n, 1, 1, 1, generator=generator)
    return level.expand(-1, *SHAPE).contiguous()


@torch.no_grad()
def bound(vae: VAE, x: Tensor, components: int = 9) -> Tensor:
    """ELBO of each image, (B,), by quadrature; of the first `components` alone, where there are more."""
    z = AXIS.view(-1, 1, 1).expand(-1, len(x), -1)
    log_joint = vae.log_joint(x, z)
    log_q = sub_mixture(vae.encoder(x), 0, components).log_prob(z)
    return (log_q.exp() * (log_joint - log_q)).sum(0) * (AXIS[1] - AXIS[0])


@torch.no_grad()
def log_px(vae: VAE, x: Tensor) -> Tensor:
    z = AXIS.view(-1, 1, 1).expand(-1, len(x), -1)
    return vae.log_joint(x, z).logsumexp(0) + (AXIS[1] - AXIS[0]).log()


def train_stage(vae: VAE, stage: Stage, x: Tensor, steps: int = 150) -> None:
    """As the training loop does: only what the stage names moves, its reward is added."""
    moving = [p for name, p in vae.named_parameters() if name.startswith(stage.parameters) and p.requires_grad]
    optimizer, generator = torch.optim.Adam(moving, lr=1e-2), torch.Generator().manual_seed(1)
    for _ in range(steps):
        assert stage.enter is not None
        stage.enter()
        optimizer.zero_grad()
        (-training_bound(vae, x, len(x), 4, generator, BoundSettings(reward=stage.reward)).surrogate).backward()
        optimizer.step()


@pytest.mark.parametrize("freeze", [True, False])
def test_the_bound_of_the_mixture_never_falls_when_a_component_is_added(freeze: bool) -> None:
    torch.manual_seed(3)
    encoder = RecursiveMixtureConfig(components=3, freeze_earlier=freeze).build(NET, SHAPE, 1)
    vae, x = model(encoder), images()
    truth = log_px(vae, x)
    levels: list[Tensor] = []
    for m, stage in enumerate(encoder.stages(), start=1):
        assert stage.enter is not None
        stage.enter()
        assert encoder.components_in_use == m
        if m == 2:
            assert torch.allclose(bound(vae, x), levels[0], atol=1e-4)
        if m == 3:
            share = encoder.config.start_weight
            assert torch.all(bound(vae, x) > (1 - share) * levels[1] + share * bound(vae, x, 1) - 1e-4)
        old = {
            name: p.clone()
            for name, p in encoder.named_parameters()
            if not f"encoder.{name}".startswith(stage.parameters)
        }
        train_stage(vae, stage, x)
        assert all(torch.equal(dict(encoder.named_parameters())[name], value) for name, value in old.items())
        levels.append(bound(vae, x))
        assert torch.all(levels[-1] < truth + 1e-3)
    means = [float(level.mean()) for level in levels]
    assert means[1] > means[0] + 0.4, "the second mode, worth log 2, is found"
    assert means[2] > means[1] - 0.02


def test_a_second_component_lives_on_a_second_mode() -> None:
    torch.manual_seed(4)
    encoder = RecursiveMixtureConfig(components=2).build(NET, SHAPE, 1)
    vae, x = model(encoder), images()
    for stage in encoder.stages():
        train_stage(vae, stage, x)
    with torch.no_grad():
        q = encoder(x)
    assert torch.all(q.log_w.exp()[:, 1] > 0.1)
    assert torch.all(q.m[:, 0] * q.m[:, 1] < -0.5), "one on each side of zero"
    assert torch.all(log_px(vae, x) - bound(vae, x) < 0.2)


@pytest.mark.parametrize("share", [0.05, 1e-6])
def test_a_new_component_follows_the_elbo_with_its_whole_weight(share: float) -> None:
    """E_{q_2}[log p - log Q_2] by quadrature, Q_2 held fixed: the rest of its gradient, in q_2 alone, at any weight."""
    vae, n = model(RecursiveMixtureConfig(components=2).build(NET, SHAPE, 1)), 20_000
    x = images(1).expand(n, *SHAPE)
    log_w = torch.tensor([[1.0 - share, share]]).log()
    m, s = torch.tensor([[[1.2], [0.4]]]), torch.tensor([[[0.3], [0.3]]])
    q, z = GaussianMixture(log_w, m.requires_grad_(), s.requires_grad_()), AXIS.view(-1, 1, 1)
    worth = (vae.log_joint(x[:1], z) - q.log_prob(z)).detach()
    weight = sub_mixture(q, 1, 2).log_prob(z).exp() * (AXIS[1] - AXIS[0])
    expected = torch.autograd.grad((1 - share) * (weight * worth).sum(), [m, s])

    leaves = [value.detach().expand(n, -1, *value.shape[2:]).clone().requires_grad_() for value in (m, s, log_w)]
    of_decoder = torch.ones((), requires_grad=True)
    reward = greedy_reward(
        lambda x, z: of_decoder * vae.log_joint(x, z),
        x,
        GaussianMixture(leaves[2], leaves[0], leaves[1]),
        2,
        torch.Generator().manual_seed(0),
    )
    assert float(reward.detach().abs().max()) == 0.0
    of_m, of_s, of_weights, none = torch.autograd.grad(reward.sum(), [*leaves, of_decoder], allow_unused=True)
    assert none is None
    assert of_weights is None or not of_weights.any()
    for grad, exact in zip((of_m, of_s), expected, strict=True):
        assert grad is not None
        assert float(grad[:, 0].abs().max()) == 0.0
        error = float(grad[:, 1].std()) / n**0.5
        assert abs(float(exact[0, 1])) > 10 * error
        assert float(grad[:, 1].mean()) == pytest.approx(float(exact[0, 1]), abs=4 * error)


def test_the_bounded_kl_has_its_value_and_a_gradient_in_the_new_component_alone() -> None:
    torch.manual_seed(0)
    log_w = torch.randn(2, 3).log_softmax(-1).requires_grad_()
    m, s = torch.randn(2, 3, 2).requires_grad_(), (torch.rand(2, 3, 2) + 0.5).requires_grad_()
    q = GaussianMixture(log_w, m, s)
    old, new = sub_mixture(q, 0, 2), sub_mixture(q, 2, 3)
    z = old.sample(100_000, torch.Generator().manual_seed(1))
    kl = (old.log_prob(z) - new.log_prob(z)).mean(0)
    actual = torch.stack([bounded_kl(q, 3, 100.0, torch.Generator().manual_seed(i)) for i in range(400)])
    assert torch.allclose(actual.mean(0), kl, rtol=0.05)
    assert torch.allclose(cross_entropy(old, new), -new.log_prob(z).mean(0), rtol=0.02)
    actual[0].sum().backward()
    for value in (m, s):
        assert value.grad is not None
        assert float(value.grad[:, 2].abs().min()) > 0
        assert float(value.grad[:, :2].abs().max()) == 0.0
    low = bounded_kl(q, 3, 0.01, torch.Generator().manual_seed(0))
    assert torch.equal(low, torch.full((2,), 0.01))
    assert all(float(grad.abs().max()) == 0.0 for grad in torch.autograd.grad(low.sum(), [m, s]))


@torch.no_grad()
def test_weights_are_those_of_the_recursion() -> None:
    torch.manual_seed(1)
    encoder = RecursiveMixtureConfig(components=4).build(NET, SHAPE, 2)
    x = torch.rand(5, *SHAPE)
    expected = torch.ones(5, 1)
    for component in encoder.further:
        e = component(x)[2].sigmoid().unsqueeze(1)
        expected = torch.cat([(1 - e) * expected, e], dim=1)
    assert torch.allclose(encoder(x).log_w.exp(), expected, atol=1e-6)


def test_training_goes_through_the_stages_and_keeps_how_many_components_are_in_use(tmp_path: Path) -> None:
    data = DataConfig(name="digits")
    settings = {"epochs": 6, "net.hidden": 16, "components": 3, "encoder.first_share": 0.3, "lr": 2e-3}
    in_use: list[int] = []

    def on_epoch(epoch: int, vae: VAE, row: dict[str, object]) -> None:
        assert isinstance(vae.encoder, RecursiveMixtureEncoder)
        in_use.append(vae.encoder.components_in_use)

    run = train(make_config("rme", data, (1, 8, 8), settings), tmp_path / "rme", device="cpu", on_epoch=on_epoch)
    assert in_use == [1, 1, 2, 2, 3, 3]
    assert int(read_tensors(run / "last" / "weights.safetensors")["encoder.added"]) == 3
    assert int(read_tensors(run / "best" / "weights.safetensors")["encoder.added"]) in (1, 2, 3)


@torch.no_grad()
def test_stages_that_were_passed_over_are_made_up_for_and_a_longer_run_loses_no_component() -> None:
    encoder = RecursiveMixtureConfig(components=4).build(NET, SHAPE, 2)
    assert encoder.components_in_use == 4, "as built, before any stage"
    enter = [stage.enter for stage in encoder.stages()]
    assert math.isclose(sum(stage.share for stage in encoder.stages()), 1.0)
    for m, expected in ((1, 1), (1, 1), (3, 3), (2, 3), (4, 4), (1, 4)):
        go = enter[m - 1]
        assert go is not None
        go()
        assert encoder.components_in_use == expected


@torch.no_grad()
@pytest.mark.parametrize("norm", [None, 100.0])
def test_it_starts_from_a_vae(norm: float | None) -> None:
    """With weights that are normalised too, here by a norm that leaves those of the VAE as they are."""
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, 2), torch.rand(6, *SHAPE)
    module = RecursiveMixtureConfig(components=2).build(NET, SHAPE, 2)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(module)
    module.start_from(plain)
    for m in (1, 2):
        module.add_up_to(m)
        assert torch.allclose(module(x).mean, plain(x).mean, atol=1e-6)
        assert torch.allclose(module(x).variance, plain(x).variance, rtol=1e-5)
    start = module.config.start_weight
    assert torch.allclose(module(x).log_w.exp(), torch.tensor([[1 - start, start]]).expand(6, 2))
    with pytest.raises(UserError, match="as many components"):
        RecursiveMixtureConfig(components=3).build(NET, SHAPE, 2).start_from(module)
