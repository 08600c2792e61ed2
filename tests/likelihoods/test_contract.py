"""What every registered likelihood must do, a new one as well, with no edit here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.likelihoods import LIKELIHOODS, Likelihood
from gpvae_core.run_config import parse_config
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import true_posteriors
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 3, 4)
KINDS = list(LIKELIHOODS.summaries())


def built(kind: str) -> Likelihood:
    return LIKELIHOODS.get(kind)().build()


def images(n: int, *lead: int) -> torch.Tensor:
    """Grey levels, black and white among them."""
    x = torch.rand(n, *lead, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (1.4 * x - 0.2).clamp(0.0, 1.0)


def outputs(*lead: int, scale: float = 4.0) -> torch.Tensor:
    return scale * torch.randn(*lead, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_it_broadcasts_and_sums_over_the_pixels(kind: str) -> None:
    likelihood, x, g = built(kind).double(), images(5), outputs(7, 5)
    actual = likelihood.log_prob(x, g)
    assert actual.shape == (7, 5)
    for k, b in ((0, 0), (6, 4), (2, 3)):
        rows = [likelihood.log_prob(x[b, :, i : i + 1], g[k, b, :, i : i + 1]) for i in range(SHAPE[1])]
        torch.testing.assert_close(actual[k, b], torch.stack(rows).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_its_table_is_its_log_prob(kind: str) -> None:
    """In float32, with logits so large that a careless sum would show."""
    likelihood = built(kind)
    x, g = images(6).float(), outputs(300, scale=12.0).float()
    exact = built(kind).double().log_prob(x.double()[:, None], g.double())
    actual = likelihood.grid_table(g.clone()).log_prob(x)
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, exact.detach(), atol=2e-3, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_its_kl_is_the_mean_log_ratio_of_its_samples(kind: str) -> None:
    likelihood, g = built(kind).double(), outputs(5, scale=1.0)
    other = g + 0.5 * outputs(5, scale=1.0).flip(0)
    generator = torch.Generator().manual_seed(2)
    x = likelihood.sample(g.expand(20000, *g.shape).flatten(0, 1), generator).unflatten(0, (20000, 5))
    ratio = (likelihood.log_prob(x, g) - likelihood.log_prob(x, other)).detach()
    actual = likelihood.kl(g, other).detach()
    error = ratio.std(0) / 20000**0.5
    assert bool((actual > 10 * error).all())
    assert bool(((actual - ratio.mean(0)).abs() < 4 * error).all())


@pytest.mark.parametrize("kind", KINDS)
def test_its_kl_is_zero_at_itself_and_finite_far_off(kind: str) -> None:
    likelihood, g = built(kind), outputs(7, 5, scale=30.0).float()
    assert bool((likelihood.kl(g, g).abs() < 1e-5).all())
    assert bool(likelihood.kl(g, -g).isfinite().all())
    torch.testing.assert_close(likelihood.kl(g, g[0, 0]), torch.stack([likelihood.kl(row, g[0, 0]) for row in g]))


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradient_is_right_up_to_the_second(kind: str) -> None:
    """By finite differences; the Hessian is what the Laplace approximation takes."""
    likelihood, x = built(kind).double(), images(2)
    g = outputs(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: likelihood.log_prob(x, g), g)
    assert torch.autograd.gradgradcheck(lambda g: likelihood.log_prob(x, g), g)


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_output_of_best_fit_reconstructs_the_image(kind: str) -> None:
    """d/dg log p(x|g) = 0 where E[x|g] = x, in every exponential family; the Gaussian is one."""
    likelihood = built(kind).double()
    g = outputs(4, scale=3.0).requires_grad_()
    (slope,) = torch.autograd.grad(likelihood.log_prob(likelihood.mean(g).detach(), g).sum(), g)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_its_noise_scale_is_none_or_a_width(kind: str) -> None:
    scale = built(kind).noise_scale()
    assert scale is None or scale > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_runs_settings_survive_json(kind: str) -> None:
    config = make_config("gp", DataConfig(name="digits"), (1, 8, 8), {"likelihood.kind": kind})
    assert parse_config(config.to_json()) == config
    assert config.build((1, 8, 8)).likelihood.state_dict().keys() == built(kind).state_dict().keys()


def linear_vae(kind: str) -> VAE:
    """A linear decoder before this likelihood; the encoder does not matter."""
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.5, seed=4).vae()
    return VAE(oracle.decoder, built(kind), oracle.encoder, 2, SHAPE).eval()


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_log_px_by_the_grid_is_a_brute_force_sum(kind: str) -> None:
    vae = linear_vae(kind)
    x = images(3).float()
    axis = torch.linspace(-9.0, 9.0, 301, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    g = vae.decode(z.float()).double()
    double = built(kind).double()
    log_prior = -0.5 * z.square().sum(1) - np.log(2 * np.pi)
    atlas = Atlas.build(vae, side=121)
    for image in x:
        log_joint = double.log_prob(image.double(), g) + log_prior
        brute = float(torch.logsumexp(log_joint, 0)) + 2 * np.log(float(axis[1] - axis[0]))
        actual = true_posteriors(vae, atlas, image[None])[0]
        assert actual.passed
        assert actual.log_px == pytest.approx(brute, abs=1e-3)
        assert np.exp(actual.log_density).sum() * actual.cell == pytest.approx(1.0, abs=1e-3)
        weights = torch.softmax(log_joint, 0)
        np.testing.assert_allclose(actual.mean, weights @ z, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_its_sum_over_observed_pixels_is_by_hand_and_leaves_out_all_others(kind: str) -> None:
    """Values, gradients of the outputs and of its own parameters."""
    likelihood, x, g = built(kind).double(), images(5), outputs(7, 5).requires_grad_()
    observed = torch.rand(5, 1, *SHAPE[1:], generator=torch.Generator().manual_seed(3)) < 0.6
    observed[4] = False
    actual = likelihood.log_prob(x, g, observed)
    for k, b in ((0, 0), (6, 4), (2, 3)):
        pixels = [
            likelihood.log_prob(x[b, :, i : i + 1, j : j + 1], g[k, b, :, i : i + 1, j : j + 1])
            for i, j in observed[b, 0].nonzero().tolist()
        ]
        torch.testing.assert_close(actual[k, b], sum(pixels, torch.zeros(()).double()))
    (slope,) = torch.autograd.grad(actual.sum(), g)
    assert (slope[:, ~observed.expand(5, *SHAPE)] == 0).all()
    changed = torch.where(observed, x, 1 - x)
    assert torch.equal(likelihood.log_prob(changed, g, observed), actual)
    torch.testing.assert_close(likelihood.log_prob(x, g, torch.ones_like(observed)), likelihood.log_prob(x, g))
