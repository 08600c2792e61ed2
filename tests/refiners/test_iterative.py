"""Iterative amortized inference: neutral at the start, trained as its objective says, and good after training."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.methods import parse_refiner
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.refiners.iterative import Iterative
from gpvae_core.runs import load_run
from gpvae_core.training_bound import training_bound
from gpvae_core.vae import VAE
from tests.derivatives import directional
from tests.oracles import LinearGaussianVAE, kl_to_standard_normal

SHAPE = (1, 4, 4)


def build(text: str = "iterative:2", d: int = 2) -> Iterative:
    torch.manual_seed(0)
    refiner = parse_refiner(text).build(FullyConnectedConfig(), SHAPE, d)
    assert isinstance(refiner, Iterative)
    return refiner


def test_an_untrained_network_changes_nothing(vae: VAE, x: torch.Tensor) -> None:
    q = vae.encoder(x)
    refined = build("iterative:3")(vae, x, q)
    assert torch.allclose(refined.mean, q.mean)
    assert torch.allclose(refined.variance, q.variance)


def test_the_encoder_is_trained_through_an_untrained_network(vae: VAE, x: torch.Tensor) -> None:
    """With no moves its gradient is that of the plain ELBO at the same samples."""
    vae.requires_grad_(True)
    weights = list(vae.encoder.parameters())
    actual = []
    for refiner in (vae.refiner, build("iterative:3")):
        q = refiner(vae, x, vae.encoder(x))
        z, _ = q.rsample_and_log_prob(2, torch.Generator().manual_seed(0))
        actual.append(
            torch.autograd.grad((vae.log_likelihood(x, z).mean(0) - kl_to_standard_normal(q)).mean(), weights)
        )
    for plain, through in zip(*actual, strict=True):
        assert torch.allclose(plain, through, atol=1e-4, rtol=1e-3)


def test_gradient_of_one_step() -> None:
    """What the network sees does not depend on its weights in the first step: the gradient is the objective's."""
    oracle = LinearGaussianVAE.make(2, SHAPE, sigma_x=0.3)
    vae, x, refiner = oracle.vae(shift=torch.ones(2)).double(), oracle.images(6).double(), build("iterative:1").double()
    weights = list(refiner.parameters())
    generator = torch.Generator().manual_seed(3)
    direction = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
    with torch.no_grad():
        for w, v in zip(weights, direction, strict=True):
            w.add_(0.2 * v)

    def bound() -> torch.Tensor:
        q = refiner(vae, x, vae.encoder(x))
        z, _ = q.rsample_and_log_prob(3, torch.Generator().manual_seed(1))
        return (vae.log_likelihood(x, z).mean(0) - kl_to_standard_normal(q)).mean()

    gradient = torch.autograd.grad(bound(), weights)
    exact = sum(float((g * v).sum()) for g, v in zip(gradient, direction, strict=True))
    assert exact == pytest.approx(directional(bound, weights, direction, 1e-6), rel=1e-4)


def test_training_closes_the_gap_of_a_bad_encoder() -> None:
    """On a linear-Gaussian model the network learns to come close to the best diagonal Gaussian."""
    oracle = LinearGaussianVAE.make(2, SHAPE, sigma_x=0.5)
    std = oracle.precision.diagonal().rsqrt()
    vae = oracle.vae(shift=2 * std, std=2 * std).requires_grad_(False)
    vae.refiner = build("iterative:3,svi_samples=8")
    optimizer = torch.optim.Adam(vae.refiner.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(120):
        bound = training_bound(vae, oracle.images(64, seed=step), 1000, 4, generator)
        optimizer.zero_grad()
        (-bound.surrogate).backward()
        optimizer.step()
    x = oracle.images(50, seed=999)
    gaps = []
    with torch.no_grad():
        for q in (vae.encoder(x), vae.infer(x)):
            elbos = [oracle.elbo(x[i : i + 1], q.mean[i : i + 1], torch.diag(q.variance[i])) for i in range(50)]
            gaps.append(float((oracle.best_diagonal_elbo(x) - torch.cat(elbos)).mean()))
    assert gaps[0] > 4
    assert 0 <= gaps[1] < 0.05 * gaps[0]


def test_it_cannot_refine_a_run_that_was_not_trained_with_it(vae_run: object) -> None:
    with pytest.raises(UserError, match="refiner 'iterative' has parameters of its own: train a run with --method iai"):
        load_run(str(vae_run), refiner="iterative:2")
