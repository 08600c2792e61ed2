"""The Laplace refiner: exact on a linear decoder, Newton's step on others, its Jacobian that of autodiff."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LIKELIHOODS
from gpvae_core.likelihoods.base import Likelihood
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.base import Refiner
from gpvae_core.refiners.laplace import covariance_chol
from gpvae_core.refiners.linearise import linearised
from gpvae_core.vae import VAE
from tests.derivatives import directional
from tests.oracles import LinearEncoder, LinearGaussianVAE
from tests.refiners.scores import elbo

SHAPE = (1, 4, 4)
NET = FullyConnectedConfig()


def build(text: str) -> Refiner:
    return parse_refiner(text).build(NET, SHAPE, 2)


def answer(q: object) -> FullGaussian:
    assert isinstance(q, RefinedPosterior)
    assert isinstance(q.refined, FullGaussian)
    return q.refined


@torch.no_grad()
@pytest.mark.parametrize("d", [1, 3])
def test_one_step_is_exact_for_a_linear_decoder(d: int) -> None:
    oracle = LinearGaussianVAE.make(d, SHAPE, sigma_x=0.1)
    vae, x = oracle.vae(shift=torch.ones(d)), oracle.images(5)
    q = answer(build("laplace:1,step_size=1")(vae, x, vae.encoder(x)))
    assert torch.allclose(q.mean.double(), oracle.posterior_mean(x), atol=1e-5)
    covariance = (q.chol @ q.chol.mT)[0].double()
    assert torch.allclose(covariance, oracle.posterior_covariance, rtol=1e-3, atol=1e-7)
    assert torch.allclose(oracle.elbo(x, q.mean, covariance), oracle.log_px(x), atol=1e-3)


@torch.no_grad()
def test_damping_leaves_the_product_of_the_rest_of_the_way() -> None:
    oracle = LinearGaussianVAE.make(2, SHAPE, sigma_x=0.1)
    vae, x = oracle.vae(shift=torch.ones(2)), oracle.images(5)
    path = build("laplace:4").path(vae, x, vae.encoder(x))
    left = math.prod(1 - 0.5 / (t + 1) for t in range(4))
    assert torch.allclose(path[-1].mean - oracle.posterior_mean(x), torch.full((5, 2), left).double(), atol=1e-5)
    covariances = [answer(q).chol @ answer(q).chol.mT for q in path[1:]]
    for covariance in covariances:
        assert torch.allclose(covariance[0].double(), oracle.posterior_covariance, rtol=1e-3, atol=1e-7)


@torch.no_grad()
def test_jacobian_of_a_trained_decoder(vae: VAE, x: Tensor) -> None:
    z = vae.encoder(x).mean
    g, tangents = linearised(vae.decoder, z)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda one: vae.decoder(one.unsqueeze(0)).flatten()))(z)
    assert torch.allclose(g, vae.decoder(z))
    assert torch.allclose(tangents.permute(1, 2, 0), jacobian, atol=1e-5)


@torch.no_grad()
def test_four_steps_are_better_than_the_encoder_on_most_images(vae: VAE, x: Tensor) -> None:
    path = build("laplace:4").path(vae, x, vae.encoder(x))
    before, after = elbo(vae, x, path[0], 2000), elbo(vae, x, path[-1], 2000)
    assert float((after >= before).float().mean()) > 0.6
    assert float((after - before).mean()) > 0.1


def with_likelihood(kind: str, decoder: nn.Module) -> tuple[VAE, Tensor]:
    likelihood: Likelihood = LIKELIHOODS.get(kind)().build()
    zeros = torch.zeros(2, 16), torch.zeros(16), torch.tensor([0.3, -0.4]), torch.full((2,), 0.5)
    vae = VAE(decoder, likelihood, LinearEncoder(*zeros), 2, SHAPE).double()
    return vae, torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(LIKELIHOODS.summaries()))
def test_a_step_is_newtons_for_every_likelihood(kind: str) -> None:
    """With ReLUs the decoder is affine around z, so that Gauss-Newton's Hessian is the Hessian of log p(x, z)."""
    torch.manual_seed(4)
    decoder = FullyConnectedConfig(hidden=12).decoder(2, SHAPE)
    for layer in decoder.children():
        if isinstance(layer, nn.Linear):
            layer.weight.mul_(2.0)
    vae, x = with_likelihood(kind, decoder)
    q = vae.encoder(x)
    first = build("laplace:1,step_size=1")(vae, x, q)
    again = answer(build("laplace:1,step_size=1e-12")(vae, x, q))
    for i in range(3):

        def log_joint(z: Tensor, i: int = i) -> Tensor:
            return vae.log_joint(x[i : i + 1], z.reshape(1, 1, 2)).squeeze()

        start = q.mean[i].double()
        gradient = torch.autograd.functional.jacobian(log_joint, start)
        hessian = torch.autograd.functional.hessian(log_joint, start)
        assert isinstance(gradient, Tensor)
        newton = start - torch.linalg.solve(torch.as_tensor(hessian), gradient)
        assert torch.allclose(first.mean[i].double(), newton, atol=1e-5)
        covariance = (again.chol[i] @ again.chol[i].mT).double()
        assert torch.allclose(covariance, torch.linalg.inv(-torch.as_tensor(hessian)), rtol=1e-4)


def test_training_reaches_decoder_noise_and_the_encoders_mean(vae: VAE, x: Tensor) -> None:
    """By finite differences of the objective along each part of the model, in float64."""
    torch.manual_seed(5)
    decoder = FullyConnectedConfig(hidden=12).decoder(2, SHAPE)
    vae, x = with_likelihood("gaussian", decoder)
    refiner = build("laplace:2")
    shift = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)

    def objective() -> Tensor:
        q = refiner(vae, x, DiagonalGaussian(shift.expand(3, 2), torch.full((3, 2), 0.5).double()))
        z, log_q = q.rsample_and_log_prob(4, torch.Generator().manual_seed(1))
        return (vae.log_joint(x, z) - log_q).mean()

    for weights in ([shift], list(vae.decoder.parameters()), list(vae.likelihood.parameters())):
        generator = torch.Generator().manual_seed(3)
        direction = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
        exact = sum((g * v).sum() for g, v in zip(torch.autograd.grad(objective(), weights), direction, strict=True))
        assert float(exact) == pytest.approx(directional(objective, weights, direction, 1e-6), rel=1e-4)
        assert abs(float(exact)) > 1e-3


def test_an_indefinite_precision_spoils_no_other_row() -> None:
    good = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    bad = torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64)
    L = covariance_chol(torch.stack([good, bad, good]))
    assert torch.allclose(L[0] @ L[0].T, torch.linalg.inv(good))
    assert torch.equal(L[0], L[2])
    assert torch.equal(L, L.tril())
    assert bool(L.isfinite().all())


@pytest.mark.parametrize(("value", "what"), [(-5.0, "an indefinite one"), (math.nan, "not finite")])
def test_a_precision_that_no_jitter_mends_is_named(value: float, what: str) -> None:
    bad = torch.tensor([[1.0, 0.0], [0.0, value]], dtype=torch.float64)
    with pytest.raises(UserError, match=rf"positive definite precision matrix P = .*{what}.* for 1 of 2"):
        covariance_chol(torch.stack([torch.eye(2, dtype=torch.float64), bad]))


def test_a_convolutional_decoder_is_refused() -> None:
    vae = make_config("vae", DataConfig(name="mnist"), (1, 28, 28)).build((1, 28, 28))
    with pytest.raises(UserError, match=r"wants a fully connected ReLU decoder, got a ConvTranspose2d.*fc_equal"):
        build("laplace:2").check(vae)
    with pytest.raises(UserError, match=r"decoder\.kind=fc_equal"):
        make_config("vlae", DataConfig(name="mnist"), (1, 28, 28), {"decoder.kind": "conv"}).build((1, 28, 28))


def test_a_vlae_has_a_fully_connected_decoder_where_others_have_a_convolutional_one() -> None:
    config = make_config("vlae:2", DataConfig(name="mnist"), (1, 28, 28))
    assert config.decoder is not None
    assert config.decoder.kind == "fc_equal"
    assert isinstance(config.net, ConvConfig)
    assert config.refiner.steps == 2  # pyright: ignore[reportAttributeAccessIssue]
