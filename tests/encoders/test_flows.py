"""IAF and coupling flows: autodiff Jacobians, the inverse, moments by sampling, the VAE they start at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.flow import Flow, FlowOutput, FlowPosterior
from gpvae_core.encoders.base import ENCODERS, EncoderConfig
from gpvae_core.encoders.flow_encoder import FlowEncoder
from gpvae_core.encoders.flow_net import FlowStep
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.iaf import AutoregressiveStep
from gpvae_core.errors import UserError
from gpvae_core.nets.fc import FullyConnectedConfig

SHAPE = (1, 8, 8)
NET = FullyConnectedConfig(hidden=16)
KINDS = ("iaf", "coupling")


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n))


def config(kind: str, **settings: int) -> EncoderConfig:
    return ENCODERS.get(kind).model_validate(settings)


def encoder(kind: str, d: int, flows: int = 3) -> FlowEncoder:
    """One whose flows bend: every layer as large as torch makes it by default, and a last layer of its own."""
    torch.manual_seed(0)
    module = config(kind, flows=flows, context=6, flow_width=24).build(NET, SHAPE, d)
    assert isinstance(module, FlowEncoder)
    for step in module.flow.steps:
        assert isinstance(step, FlowStep)
        nn.init.normal_(step.net.last.weight, std=0.12)
        nn.init.normal_(step.net.last_context.weight, std=0.12)
    return module


@pytest.mark.parametrize(("kind", "d"), [("iaf", 1), ("iaf", 2), ("iaf", 5), ("coupling", 2), ("coupling", 5)])
def test_log_det_is_that_of_the_autodiff_jacobian(kind: str, d: int) -> None:
    q = encoder(kind, d).double().requires_grad_(False)(digits(3).double())
    z = torch.randn((1, 3, d), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _, log_det = q.flow.forward(z, q.h)
    for i in range(3):
        jacobian = torch.func.jacrev(lambda one, i=i: q.flow.forward(one.view(1, 1, d), q.h[i : i + 1]).z.flatten())
        expected = torch.linalg.slogdet(jacobian(z[0, i]))
        assert float(expected.sign) == 1.0
        assert abs(float(expected.logabsdet)) > 0.01
        assert float(log_det[0, i]) == pytest.approx(float(expected.logabsdet), abs=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 5, 20])
def test_the_inverse_undoes_the_flow(kind: str, d: int) -> None:
    q = encoder(kind, d, flows=8)(digits(4))
    z_0 = torch.randn((6, 4, d), generator=torch.Generator().manual_seed(1))
    there = q.flow.forward(z_0, q.h)
    back = q.flow.forward(there.z, q.h, inverse=True)
    assert float((there.z - z_0).abs().max()) > 0.1
    assert torch.allclose(back.z, z_0, atol=1e-4)
    assert torch.allclose(back.log_det, -there.log_det, atol=1e-4)
    z, log_q = q.rsample_and_log_prob(6, torch.Generator().manual_seed(2))
    assert torch.allclose(q.log_prob(z), log_q, atol=1e-4)


@torch.no_grad()
def test_iaf_is_autoregressive_in_the_stated_order() -> None:
    """Dimension i of the first flow's answer depends on z_1..z_i, that of the second on z_i..z_D."""
    module = encoder("iaf", 4, flows=2)
    h = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    for step, triangle in zip(module.flow.steps, (torch.tril, torch.triu), strict=True):
        jacobian = torch.func.jacrev(step(h))(torch.tensor([[0.3, -0.2, 0.5, 0.1]])).view(4, 4)
        assert torch.equal(jacobian, triangle(jacobian))
        assert int((jacobian.abs() > 1e-6).sum()) == 10


@torch.no_grad()
@pytest.mark.parametrize(("width", "d"), [(1, 2), (1, 6), (3, 6), (5, 6), (6, 6), (4, 11), (7, 50)])
def test_every_dimension_but_the_last_is_seen_by_a_network_of_any_width(width: int, d: int) -> None:
    torch.manual_seed(0)
    step = AutoregressiveStep(torch.arange(d), width, 6)
    nn.init.normal_(step.net.last.weight)
    h = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    jacobian = torch.func.jacrev(step(h))(torch.linspace(-1, 1, d)[None]).view(d, d)
    assert torch.equal(jacobian, jacobian.tril())
    assert bool((jacobian.tril(-1)[:, :-1].abs().amax(0) > 1e-6).all())


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 10])
def test_mean_and_variance_are_those_of_many_samples(kind: str, d: int) -> None:
    q = encoder(kind, d)(digits(3))
    z, _ = q.rsample_and_log_prob(100_000, torch.Generator().manual_seed(3))
    assert torch.all((z.mean(0) - q.mean).abs() < 0.02 * q.variance.sqrt())
    assert torch.allclose(z.var(0) / q.variance, torch.ones_like(q.variance), atol=0.05)
    assert not torch.allclose(q.mean, q.base().mean, atol=0.01)


class Counted(Flow):
    """The affine map z -> z A', which counts the latents that pass."""

    def __init__(self, a: Tensor) -> None:
        self.a, self.passed = a, 0

    def forward(self, z: Tensor, h: Tensor, inverse: bool = False) -> FlowOutput:
        self.passed += len(z)
        return FlowOutput(z @ self.a.T, torch.zeros(z.shape[:2]))

    def detached(self) -> Counted:
        return Counted(self.a)


@pytest.mark.parametrize("d", [2, 6, 40])
def test_in_training_few_latents_give_the_moments(d: int) -> None:
    """Those of an affine map exactly, as the latents' second moments are I; 2,048 an image would cost 100 times a step.

    A density that is not trained has the moments of many.
    """
    a = torch.randn(d, d, generator=torch.Generator().manual_seed(0))
    m, s = torch.randn(3, d, generator=torch.Generator().manual_seed(1)), torch.full((3, d), 0.7)
    flow = Counted(a)
    q = FlowPosterior(DiagonalGaussian(m.clone().requires_grad_(), s), flow, torch.zeros(3, 2))
    assert q.mean.requires_grad
    torch.testing.assert_close(q.mean, m @ a.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.variance, 0.49 * a.square().sum(1).expand(3, d), atol=1e-3, rtol=1e-3)
    assert flow.passed == 1 + 2 * max(16, d)
    frozen = Counted(a)
    assert FlowPosterior(DiagonalGaussian(m, s), frozen, torch.zeros(3, 2)).variance.shape == (3, d)
    assert frozen.passed == 1 + 2048


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [2, 10])
def test_in_training_moments_of_a_flow_that_bends_are_near_those_of_many_latents(kind: str, d: int) -> None:
    q, exact = (encoder(kind, d)(digits(3)) for _ in range(2))
    exact = exact.detached()
    assert q.mean.requires_grad
    assert not exact.mean.requires_grad
    assert ((q.mean - exact.mean) / exact.variance.sqrt()).abs().max() < 0.1
    torch.testing.assert_close(q.variance / exact.variance, torch.ones_like(exact.variance), atol=0.25, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_from_a_vae(kind: str) -> None:
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, 3), digits(8)
    module = config(kind).build(NET, SHAPE, 3)
    module.start_from(plain)
    q = module(x)
    assert isinstance(q, FlowPosterior)
    assert torch.equal(q.base().mean, plain(x).mean)
    assert torch.all((q.mean - plain(x).mean).abs() < 0.05)
    assert torch.allclose(q.variance, plain(x).variance, rtol=0.05)
    again = config(kind).build(NET, SHAPE, 3)
    again.start_from(module)
    assert torch.equal(again(x).mean, q.mean)
    with pytest.raises(UserError, match="the same flows"):
        config(kind, flows=5).build(NET, SHAPE, 3).start_from(module)


def test_one_dimension_cannot_be_coupled() -> None:
    with pytest.raises(UserError, match="at least 2 latent dimensions to couple, got 1"):
        config("coupling").build(NET, SHAPE, 1)
