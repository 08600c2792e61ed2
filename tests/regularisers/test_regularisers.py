"""Every registered regulariser: it trains and resumes exactly, and what it states is what it computes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.methods import methods
from gpvae_core.regularisers.base import REGULARISERS
from gpvae_core.regularisers.consistency import ConsistencyConfig, affine
from gpvae_core.regularisers.denoising import DenoisingConfig
from gpvae_core.regularisers.own_samples import own_samples
from gpvae_core.regularisers.self_consistent import SelfConsistentConfig
from gpvae_core.regularisers.sleep import SleepConfig
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE, kl_to_standard_normal
from tests.short_training import assert_trains_and_resumes

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
METHODS = sorted(name for name, method in methods().items() if method.regulariser != "none")


def config(method: str, **settings: Any) -> RunConfig:
    return make_config(
        method, DATA, DIGITS.event_shape, {"epochs": 2, "net.hidden": 16, "batch_size": 256, "lr": 2e-3, **settings}
    )


def built(method: str = "vae", **settings: Any) -> VAE:
    torch.manual_seed(0)
    return config(method, **settings).build(DIGITS.event_shape)


def digits(n: int) -> Tensor:
    return DIGITS.train.pixels(slice(n))


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grads(of: nn.Module) -> list[float]:
    return [0.0 if p.grad is None else float(p.grad.abs().sum()) for p in of.parameters()]


def test_all_regularisers_are_offered() -> None:
    assert METHODS == ["cr-vae", "dvae", "sc-vae", "sleep", "wn-vae"]
    combined = config("gp+dvae+iwae:7")
    assert (combined.encoder.kind, combined.regulariser.kind, combined.train.samples) == ("gp", "denoising", 7)


@pytest.mark.parametrize("method", [*METHODS, "gp+wn-vae", "gp+cr-vae+iwae", "gp+sc-vae", "sleep+bn-vae"])
def test_each_trains_and_resumes_exactly(tmp_path: Path, method: str) -> None:
    assert_trains_and_resumes(tmp_path, config(method), DIGITS)


@pytest.mark.parametrize("kind", sorted(REGULARISERS.summaries()))
def test_the_reported_bound_is_that_of_the_objective_alone(kind: str) -> None:
    """At the answer about what the encoder saw; only the surrogate is less the penalty."""
    regulariser = REGULARISERS.get(kind)()
    vae, x = built(), digits(5)
    actual = training_bound(vae, x, 100, 1, noise(), BoundSettings(regulariser=regulariser))
    generator = noise()
    q = vae.infer(x, generator, regulariser.encoder_input(x, generator))
    z, _ = q.rsample_and_log_prob(1, generator)
    elbo = vae.log_likelihood(x, z).mean(0) - kl_to_standard_normal(q)
    penalty = regulariser.penalty(vae, x, q, generator)
    assert penalty.shape == (5,)
    assert torch.allclose(actual.value, elbo)
    assert torch.allclose(actual.surrogate, (elbo - penalty).mean())


@pytest.mark.parametrize("kind", sorted(REGULARISERS.summaries()))
def test_running_moments_are_those_of_what_the_encoder_sees_in_place_of_the_images(kind: str) -> None:
    """After a step with a regulariser they are what they are without its penalty, and the next step moves them."""
    regulariser = REGULARISERS.get(kind)()
    vae, plain, x = built("bn-vae").train(), built("bn-vae").train(), digits(40)
    for step in range(2):
        plain.encoder(regulariser.encoder_input(x, noise(step)))
        training_bound(vae, x, 100, 1, noise(step), BoundSettings(regulariser=regulariser)).surrogate.backward()
        expected, actual = dict(plain.encoder.named_buffers()), dict(vae.encoder.named_buffers())
        assert actual.keys() == expected.keys() >= {"norm.mean", "norm.variance"}
        assert all(torch.equal(actual[name], expected[name]) for name in expected)
    assert not torch.equal(actual["norm.mean"], dict(built("bn-vae").encoder.named_buffers())["norm.mean"])


def test_denoising_noise_has_the_scale_and_the_share_that_are_set() -> None:
    x = torch.full((200, 1, 20, 20), 0.5)
    corrupted = DenoisingConfig(corruption=0.3, dropout=0.25).encoder_input(x, noise())
    black = corrupted == 0.0
    assert float(black.float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(corrupted[~black].mean()) == pytest.approx(0.5, abs=0.01)
    assert float(corrupted[~black].std()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(DenoisingConfig(corruption=0.0).encoder_input(x, noise()), x)


def weight(encoder: nn.Module, layer: str) -> Tensor:
    actual = encoder.get_submodule(layer)
    assert isinstance(actual, nn.Linear)
    return actual.weight


def test_weight_norm_bounds_every_row_and_leaves_short_ones() -> None:
    plain, bounded = built("vae"), built("wn-vae", norm=0.5)
    layers = [name for name, module in plain.encoder.named_modules() if isinstance(module, nn.Linear)]
    longer = 0
    for name in layers:
        v, w = weight(plain.encoder, name), weight(bounded.encoder, name)
        size = v.norm(dim=1)
        assert torch.allclose(w.norm(dim=1), size.clamp_max(0.5), atol=1e-6)
        assert torch.allclose(w / w.norm(dim=1, keepdim=True), v / size.unsqueeze(1), atol=1e-5)
        longer += int((size > 0.5).sum())
    assert (len(layers), longer > 10) == (3, True)
    assert all(torch.equal(a, b) for a, b in zip(plain.decoder.parameters(), bounded.decoder.parameters(), strict=True))


def test_a_weight_normalised_run_loads_as_it_was_and_can_start_from_and_be_started_from(tmp_path: Path) -> None:
    plain, bounded = (train(config(m), tmp_path / m, data=DIGITS) for m in ("vae", "wn-vae"))
    run, x = load_run(bounded), digits(4)
    assert any(key.endswith("parametrizations.weight.original") for key in run.model.state_dict())
    assert float(weight(run.model.encoder, "base.head").norm(dim=1).max()) <= 1.0 + 1e-5
    again = built("wn-vae")
    again.encoder.start_from(run.model.encoder)
    assert torch.equal(again.encoder(x).mean, run.model.encoder(x).mean)
    trained = load_run(plain).model
    wide = built("wn-vae", norm=1e6)
    wide.encoder.start_from(trained.encoder)
    assert torch.allclose(wide.encoder(x).mean, trained.encoder(x).mean, atol=1e-6)
    train(config("wn-vae"), tmp_path / "from", data=DIGITS, init_from=("vae", trained))
    with pytest.raises(UserError, match="--init-from wants a run with the same"):
        train(config("vae"), tmp_path / "reverse", data=DIGITS, init_from=("wn-vae", run.model))


def still(b: int) -> dict[str, Tensor]:
    return {"angle": torch.zeros(b), "scale": torch.ones(b), "shift": torch.zeros(b, 2)}


def test_copies_are_turned_scaled_and_shifted_as_they_say() -> None:
    x = torch.rand(3, 2, 8, 8, generator=noise())
    assert torch.allclose(affine(x, **still(3)), x, atol=1e-5)
    quarter = affine(x, **{**still(3), "angle": torch.full((3,), math.pi / 2)})
    assert torch.allclose(quarter, torch.rot90(x, 1, (2, 3)), atol=1e-5)
    moved = affine(x, **{**still(3), "shift": torch.tensor([[2 / 8, 0.0]] * 3)})
    assert torch.allclose(moved[..., 2:], x[..., :-2], atol=1e-5)
    assert torch.allclose(moved[..., :2], x[..., :1].expand(-1, -1, -1, 2), atol=1e-5)
    down = affine(x, **{**still(3), "shift": torch.tensor([[0.0, 1 / 8]] * 3)})
    assert torch.allclose(down[..., 1:, :], x[..., :-1, :], atol=1e-5)
    blob = torch.zeros(1, 1, 32, 32)
    blob[..., 12:20, 12:20] = 1.0
    large = affine(blob, **{**still(1), "scale": torch.tensor([1.5])})
    assert float(large.sum()) == pytest.approx(1.5**2 * 64, rel=0.02)


def test_a_copy_of_an_image_that_is_not_square_keeps_its_angles() -> None:
    """A turned disc is the same disc."""
    rows, columns = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(40) - 19.5, indexing="ij")
    disc = torch.sigmoid(6.0 - (rows.square() + columns.square()).sqrt()).view(1, 1, 20, 40)
    turned = affine(disc, **{**still(1), "angle": torch.tensor([1.0])})
    assert torch.allclose(turned, disc, atol=0.05)


def test_consistency_is_the_kl_between_the_answers_less_the_bound_at_the_copy() -> None:
    vae, x = built(), digits(40)
    mild = {"shift": 0.0, "rotation": 0.0, "scaling": 0.0}
    with torch.no_grad():
        weight(vae.encoder, "base.head").mul_(20.0)
        q = vae.infer(x)
        other = DiagonalGaussian(q.mean + 0.3, 0.8 * q.variance.sqrt())
        parts = [ConsistencyConfig(consistency=2.0, **mild).penalty(vae, x, other, noise(i)) for i in range(300)]
        bound = [ConsistencyConfig(consistency=0.0, **mild).penalty(vae, x, other, noise(i)) for i in range(300)]
        actual = torch.stack(parts).mean(0) - torch.stack(bound).mean(0)
        normal = torch.distributions.Normal
        expected = torch.distributions.kl_divergence(
            normal(q.mean, q.variance.sqrt()), normal(other.mean, other.variance.sqrt())
        ).sum(-1)
        z, _ = q.rsample_and_log_prob(300, noise(5))
        elbo = vae.log_likelihood(x, z).mean(0) - kl_to_standard_normal(q)
    assert torch.allclose(actual, 2.0 * expected, rtol=0.1, atol=0.35)
    assert float(actual.mean()) == pytest.approx(float(2.0 * expected.mean()), rel=0.03)
    assert float(torch.stack(bound).mean()) == pytest.approx(-float(elbo.mean()), rel=0.02)


@torch.no_grad()
@pytest.mark.parametrize("method", ["vae", "gp", "full", "hf", "iaf", "me"])
def test_the_consistency_kl_is_in_closed_form_between_gaussians(method: str) -> None:
    """Against torch's KL of the marginal Gaussians; of other families it is estimated by the sample of the copy."""
    vae, x, still_life = built(method), digits(20), {"shift": 0.0, "rotation": 0.0, "scaling": 0.0}
    for p in vae.encoder.parameters():
        p.add_(0.3 * torch.randn(p.shape, generator=noise(1)))
    q, other = vae.infer(x), vae.infer(digits(40)[20:])
    parts = [ConsistencyConfig(consistency=c, **still_life).penalty(vae, x, other, noise()) for c in (1.0, 0.0)]
    gaussians = [g for g in (q.as_gaussian(), other.as_gaussian()) if g is not None]
    if not gaussians:
        generator = noise()
        ConsistencyConfig(**still_life).copies(x, generator)
        z, log_q = vae.infer(x, generator).rsample_and_log_prob(1, generator)
        expected = (log_q - other.log_prob(z)).mean(0)
    else:
        normals = [torch.distributions.MultivariateNormal(g.mean, scale_tril=g.lower_factor()) for g in gaussians]
        expected = torch.distributions.kl_divergence(*normals)
    assert torch.allclose(parts[0] - parts[1], expected, rtol=1e-3, atol=2e-3)
    assert float(expected.abs().mean()) > 0.01


def test_copies_stay_within_what_is_set() -> None:
    x = digits(50)
    still_life = ConsistencyConfig(shift=0.0, rotation=0.0, scaling=0.0).copies(x, noise())
    assert torch.allclose(still_life, x, atol=1e-5)
    moved = ConsistencyConfig().copies(x, noise())
    assert 0.01 < float((moved - x).square().mean()) < float(x.var())
    assert float(moved.min()) >= 0.0
    assert float(moved.max()) <= 1.0 + 1e-6


def test_own_samples_are_the_models_joint_distribution() -> None:
    """The linear-Gaussian model: x' has its covariance, and its posterior mean predicts z."""
    oracle = LinearGaussianVAE.make(2, (1, 2, 3), 0.5)
    z, own = own_samples(oracle.vae(), torch.zeros(60_000, 1, 2, 3), noise())
    x = own.flatten(1).double()
    expected = oracle.w @ oracle.w.T + 0.25 * torch.eye(6, dtype=torch.float64)
    assert torch.allclose(torch.cov(x.T), expected, atol=0.02)
    error = z.double() - oracle.posterior_mean(own)
    assert torch.allclose(error.T @ error / len(error), oracle.posterior_covariance, atol=0.02)


def test_self_consistency_is_the_elbo_at_own_images_for_the_encoder_alone() -> None:
    oracle = LinearGaussianVAE.make(2, (1, 2, 3), 0.5)
    vae, x = oracle.vae(), torch.zeros(4000, 1, 2, 3)
    q = vae.infer(x)
    actual = SelfConsistentConfig(own_share=0.25).penalty(vae, x, q, noise(3))
    _, own = own_samples(vae, x, noise(3))
    assert float(actual.mean()) == pytest.approx(-float(oracle.best_diagonal_elbo(own).mean()) / 3, rel=0.02)
    trained = built()
    x = digits(9)
    SelfConsistentConfig().penalty(trained, x, trained.infer(x), noise()).sum().backward()
    assert all(size > 0 for size in grads(trained.encoder))
    assert all(size == 0 for size in [*grads(trained.decoder), *grads(trained.likelihood)])


def test_sleep_is_the_entropy_of_the_posterior_at_best_and_moves_the_encoder_alone() -> None:
    """E[-log q(z|x')] at the exact diagonal posterior: sum of 1/2 log(2 pi e var); anything else is worse."""
    oracle = LinearGaussianVAE.make(1, (1, 2, 3), 0.5)
    x = torch.zeros(20_000, 1, 2, 3)
    best, shifted = (
        SleepConfig().penalty(vae, x, vae.infer(x), noise(2)).mean()
        for vae in (oracle.vae(), oracle.vae(shift=torch.tensor([0.3], dtype=torch.float64)))
    )
    entropy = 0.5 * math.log(2 * math.pi * math.e * float(oracle.posterior_covariance))
    assert float(best) == pytest.approx(entropy, abs=0.02)
    worse = 0.5 * 0.3**2 / float(oracle.posterior_covariance)
    assert float(shifted - best) == pytest.approx(worse, rel=0.1)
    trained = built()
    SleepConfig(sleep=2.0).penalty(trained, digits(9), trained.infer(digits(9)), noise()).sum().backward()
    assert all(size > 0 for size in grads(trained.encoder))
    assert all(size == 0 for size in [*grads(trained.decoder), *grads(trained.likelihood)])


@pytest.mark.parametrize(
    ("method", "setting"),
    [("dvae", {"dropout": 1.0}), ("wn-vae", {"norm": 0}), ("cr-vae", {"rotation": 500}), ("sc-vae", {"own_share": 1})],
)
def test_wrong_settings_are_one_clear_line(method: str, setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="setting 'regulariser"):
        config(method, **setting)
    assert parse_config(config(method).to_json()) == config(method)
