"""Training goes through the steps: the gradient is that of the unrolled objective."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.densities.noise import step_noise
from gpvae_core.encoders.gaussian import GaussianEncoder
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.semi_amortized import SemiAmortizedConfig
from gpvae_core.run_config import parse_config
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 3, 3)
NET = FullyConnectedConfig(hidden=6)


def tiny(refiner: str) -> VAE:
    torch.manual_seed(3)
    encoder = GaussianEncoder(NET, SHAPE, 2)
    built = parse_refiner(refiner).build(NET, SHAPE, 2)
    return VAE(NET.decoder(2, SHAPE), GaussianLikelihood(0.4, learn=True), encoder, 2, SHAPE, built).double()


def images(n: int = 5) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def objective(vae: VAE, x: Tensor) -> Tensor:
    q = vae.infer(x)
    z, log_q = q.rsample_and_log_prob(3, torch.Generator().manual_seed(7))
    return (vae.log_joint(x, z) - log_q).mean()


def differences(vae: VAE, x: Tensor, names: Callable[[str], bool], h: float = 1e-6) -> tuple[float, float]:
    """The derivative of the objective along a random direction of some weights: by autograd, by central differences."""
    chosen = [p for name, p in vae.named_parameters() if names(name)]
    generator = torch.Generator().manual_seed(11)
    direction = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in chosen]
    gradient = torch.autograd.grad(objective(vae, x), chosen)
    exact = sum(float((g * v).sum()) for g, v in zip(gradient, direction, strict=True))
    values = []
    for sign in (1, -1, -1, 1):
        with torch.no_grad():
            for p, v in zip(chosen, direction, strict=True):
                p.add_(sign * h * v)
            values.append(objective(vae, x))
    return exact, float(values[0] - values[2]) / (2 * h)


@pytest.mark.parametrize("part", ["encoder.", "decoder.", "likelihood."])
@pytest.mark.parametrize(
    "refiner",
    [
        "semi_amortized:1,step_size=0.02",
        "semi_amortized:4,step_size=0.02,momentum=0.5",
        "semi_amortized:4,step_size=0.2,step_unit=std,svi_samples=2,clip=1",
    ],
)
def test_gradient_of_the_unrolled_objective(refiner: str, part: str) -> None:
    exact, numeric = differences(tiny(refiner), images(), lambda name: name.startswith(part))
    assert exact == pytest.approx(numeric, rel=1e-4, abs=1e-5)


def test_the_gradient_through_the_steps_matters() -> None:
    """Cutting the steps from the graph gives another gradient for the decoder: the test above would see it."""
    vae, x = tiny("semi_amortized:4,step_size=0.05"), images()
    through, numeric = differences(vae, x, lambda name: name.startswith("decoder."))
    vae.encoder.requires_grad_(False)
    with torch.no_grad():
        cut = vae.infer(x)
    z, log_q = cut.rsample_and_log_prob(3, torch.Generator().manual_seed(7))
    weights = list(vae.decoder.parameters())
    gradient = torch.autograd.grad((vae.log_joint(x, z) - log_q).mean(), weights)
    generator = torch.Generator().manual_seed(11)
    along = sum(float((g * torch.randn(g.shape, generator=generator, dtype=torch.float64)).sum()) for g in gradient)
    assert abs(along - numeric) > 100 * abs(through - numeric)


def test_compiled_networks_are_refused() -> None:
    with pytest.raises(UserError, match="compile=true gives no second derivatives, which the refiner 'semi_amortized'"):
        make_config("sa:2", DataConfig(name="digits"), (1, 8, 8), {"compile": True})


@torch.no_grad()
def test_a_step_is_plain_gradient_ascent_in_latent_units() -> None:
    """m + 1e-3 dELBO/dm and log s + 1e-3 dELBO/d log s, with the gradient of the linear-Gaussian ELBO at one sample."""
    oracle = LinearGaussianVAE.make(2, (1, 4, 4), sigma_x=0.5)
    std = oracle.precision.diagonal().rsqrt()
    vae, x = oracle.vae(shift=0.5 * std, std=1.5 * std), oracle.images(4)
    q = vae.encoder(x)
    eps = step_noise(1, 1, q.mean)[0][0].double()
    z = q.mean.double() + q.variance.sqrt().double() * eps
    fit = (oracle.posterior_mean(x) - z) @ oracle.precision + z  # d log p(x|z) / dz
    mean = q.mean + 1e-3 * (fit - q.mean)
    s = q.variance.sqrt().double()
    log_std = s.log() + 1e-3 * (fit * eps * s - s.square() + 1)
    gradient = torch.cat([fit - q.mean, fit * eps * s - s.square() + 1], -1)
    assert float(gradient.norm(dim=-1).min()) > 5.0, "the paper limits no gradient, however long"
    actual = parse_refiner("semi_amortized:1").build(NET, SHAPE, 2)(vae, x, q)
    assert torch.allclose(actual.mean.double(), mean, atol=1e-6)
    assert torch.allclose(actual.variance.sqrt().log().double(), log_std, atol=1e-6)


@torch.no_grad()
def test_a_limit_is_an_option_and_a_run_that_was_trained_with_it_keeps_it() -> None:
    """Configs of earlier runs say clip = 5, which was the default."""
    written = {"kind": "semi_amortized", "steps": 2, "step_size": 0.001, "step_unit": "latent", "momentum": 0.0}
    raw = make_config("sa:2", DataConfig(name="digits"), (1, 8, 8)).to_json()
    assert parse_config({**raw, "refiner": {**written, "clip": 5.0, "svi_samples": 1}}).refiner == SemiAmortizedConfig(
        steps=2, clip=5.0
    )
    oracle = LinearGaussianVAE.make(2, (1, 4, 4), sigma_x=0.5)
    vae, x = oracle.vae(shift=torch.ones(2), std=oracle.precision.diagonal().rsqrt()), oracle.images(4)
    q = vae.encoder(x)
    free, limited = (parse_refiner(f"sa:1{clip}").build(NET, SHAPE, 2)(vae, x, q) for clip in ("", ",clip=5"))
    step = [
        torch.cat([p.mean - q.mean, (p.variance / q.variance).log() / 2], -1).norm(dim=-1) / 1e-3
        for p in (free, limited)
    ]
    assert torch.allclose(step[1], step[0].clamp(max=5.0), rtol=1e-3)
    assert float(step[0].max()) > 5.0
