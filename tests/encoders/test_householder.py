"""The Householder flow against the Gaussian that it is: a dense rotation, torch's multivariate normal, a Jacobian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.rotated_gaussian import RotatedGaussian
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.householder import HouseholderConfig, HouseholderEncoder
from gpvae_core.errors import UserError
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.regularisers.weight_norm import WeightNormConfig
from tests.derivatives import directional
from tests.oracles import kl_to_standard_normal

SHAPE = (1, 8, 8)
NET = FullyConnectedConfig(hidden=16)


def digits(n: int) -> Tensor:
    return load(DataConfig(name="digits")).train.pixels(slice(n)).double()


def encoder(d: int, flows: int) -> HouseholderEncoder:
    """One whose vectors point in many directions."""
    torch.manual_seed(0)
    module = HouseholderConfig(flows=flows).build(NET, SHAPE, d)
    for parameter in (*module.first.parameters(), *module.further.parameters()):
        nn.init.normal_(parameter)
    return module.double()


def dense(q: RotatedGaussian, i: int) -> Tensor:
    """Q = H_T ... H_1 of image i, each matrix written out."""
    d = q.v.shape[-1]
    out = torch.eye(d, dtype=q.v.dtype)
    for v in q.v[:, i]:
        h = torch.eye(d, dtype=v.dtype) - 2 * torch.outer(v, v) / v.dot(v)
        assert torch.allclose(h @ h.T, torch.eye(d, dtype=v.dtype), atol=1e-12)
        out = h @ out
    return out


@torch.no_grad()
@pytest.mark.parametrize("flows", [1, 2, 5])
@pytest.mark.parametrize("d", [2, 5])
def test_it_is_the_gaussian_of_the_dense_rotation(d: int, flows: int) -> None:
    q = encoder(d, flows)(digits(4))
    prior = torch.distributions.MultivariateNormal(torch.zeros(d).double(), torch.eye(d).double())
    z, log_q = q.rsample_and_log_prob(6, torch.Generator().manual_seed(1))
    for i in range(4):
        rotation = dense(q, i)
        covariance = rotation @ q.start.variance[i].diag() @ rotation.T
        expected = torch.distributions.MultivariateNormal(rotation @ q.start.mean[i], covariance)
        assert float(covariance.tril(-1).abs().max()) > 1e-4
        assert torch.allclose(q.mean[i], expected.mean, atol=1e-12)
        assert torch.allclose(q.variance[i], covariance.diagonal(), atol=1e-12)
        assert torch.allclose(log_q[:, i], expected.log_prob(z[:, i]), atol=1e-9)
        assert torch.allclose(q.log_prob(z)[:, i], expected.log_prob(z[:, i]), atol=1e-9)
        assert float(kl_to_standard_normal(q)[i]) == pytest.approx(
            float(torch.distributions.kl_divergence(expected, prior)), abs=1e-9
        )


@torch.no_grad()
def test_it_agrees_with_the_full_covariance_gaussian() -> None:
    q = encoder(5, 3)(digits(4))
    full = FullGaussian(q.mean, torch.linalg.cholesky(q.factor @ q.factor.mT))
    z = torch.randn((7, 4, 5), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.allclose(q.log_prob(z), full.log_prob(z), atol=1e-9)
    assert torch.allclose(kl_to_standard_normal(q), kl_to_standard_normal(full), atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("d", [2, 5])
def test_its_jacobian_is_the_rotation_with_determinant_of_one(d: int) -> None:
    q = encoder(d, 3)(digits(1))
    jacobian = torch.func.jacrev(lambda z: q._rotate(z.view(1, 1, d)).flatten())(torch.ones(d, dtype=torch.float64))
    assert torch.allclose(jacobian, dense(q, 0), atol=1e-12)
    assert float(torch.linalg.det(jacobian)) == pytest.approx(-1.0)


@pytest.mark.parametrize("flows", [1, 2])
def test_the_reflections_learn(flows: int) -> None:
    """The gradient of a loss that knows the frame is that of finite differences, in every parameter of the vectors."""
    module, x = encoder(3, flows), digits(3)

    def loss() -> Tensor:
        z, log_q = module(x).rsample_and_log_prob(5, torch.Generator().manual_seed(3))
        return (z * torch.tensor([1.0, 2.0, -1.0])).pow(3).sum() + log_q.sum()

    loss().backward()
    for parameter in (module.first.weight, *module.further.parameters()):
        grad = parameter.grad
        assert grad is not None
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        expected = directional(loss, [parameter], [direction], 1e-6)
        assert abs(expected) > 1e-3
        assert float((grad * direction).sum()) == pytest.approx(expected, rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("norm", [None, 100.0])
@pytest.mark.parametrize("flows", [1, 2, 3, 8])
def test_it_starts_from_a_vae(flows: int, norm: float | None) -> None:
    """With weights that are normalised too, here by a norm that leaves those of the VAE as they are."""
    torch.manual_seed(7)
    plain, x = GaussianEncoderConfig().build(NET, SHAPE, 3), digits(8).float()
    module = HouseholderConfig(flows=flows).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(module)
    module.start_from(plain)
    assert torch.allclose(module(x).mean, plain(x).mean, atol=0.05)
    assert torch.allclose(module(x).variance, plain(x).variance, rtol=0.05)
    again = HouseholderConfig(flows=flows).build(NET, SHAPE, 3)
    if norm is not None:
        WeightNormConfig(norm=norm).prepare(again)
    again.start_from(module)
    assert torch.equal(again(x).mean, module(x).mean)
    with pytest.raises(UserError, match="as many flows"):
        HouseholderConfig(flows=flows + 1).build(NET, SHAPE, 3).start_from(module)
