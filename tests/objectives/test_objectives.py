"""Every registered objective on real digits: names, its own formula, and one epoch of training that resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpvae_core.bounds import iwae, miwae
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.methods import methods
from gpvae_core.objectives.base import OBJECTIVES, BatchPosteriors
from gpvae_core.objectives.free_bits import FreeBitsConfig
from gpvae_core.objectives.gradients import latent_log_likelihood
from gpvae_core.objectives.miwae import MiwaeConfig
from gpvae_core.objectives.piwae import PiwaeConfig
from gpvae_core.run_config import RunConfig
from gpvae_core.vae import VAE
from tests.objectives.nodes import NodeGaussian, images, log_evidence, model
from tests.short_training import assert_trains_and_resumes

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
METHODS = sorted(name for name, method in methods().items() if method.objective != "elbo")
OF_GRADIENT = [
    *((name, "dreg") for name in ("iwae", "ciwae", "miwae", "piwae", "renyi")),
    *((name, "stl") for name in ("vae", "gp")),
]


def config(method: str, **settings: Any) -> RunConfig:
    return make_config(method, DATA, DIGITS.event_shape, {"epochs": 2, "net.hidden": 16, "batch_size": 256, **settings})


def built(method: str = "vae", **settings: Any) -> tuple[RunConfig, VAE, torch.Tensor]:
    torch.manual_seed(0)
    actual = config(method, **settings)
    return actual, actual.build(DIGITS.event_shape), DIGITS.train.pixels(slice(6))


def test_all_objectives_are_offered() -> None:
    assert METHODS == ["ciwae", "cubo", "free-bits", "iwae", "miwae", "piwae", "renyi"]
    assert config("iwae:50").train.samples == 50
    assert config("iwae").train.samples == 10
    assert make_config("iwae:7", DATA, DIGITS.event_shape, preset="kim2021").train.samples == 7
    assert config("gp+ciwae").encoder.kind == "gp"


@pytest.mark.parametrize(
    ("method", "gradient"),
    [*((name, "standard") for name in METHODS if name not in ("cubo", "free-bits")), *OF_GRADIENT],
)
def test_each_trains_and_resumes_exactly(tmp_path: Path, method: str, gradient: str) -> None:
    assert_trains_and_resumes(tmp_path, config(method, gradient=gradient), DIGITS)


@pytest.mark.parametrize("method", ["cubo", "free-bits", "gp+iwae", "gp+cubo", "gp+free-bits"])
def test_those_without_a_choice_of_gradient_train_too(tmp_path: Path, method: str) -> None:
    assert_trains_and_resumes(tmp_path, config(method), DIGITS)


@pytest.mark.parametrize(
    ("method", "gradient"), [("vae", "dreg"), ("iwae", "stl"), ("miwae", "stl"), ("piwae", "dreag")]
)
def test_a_gradient_that_an_objective_has_not_is_refused(method: str, gradient: str) -> None:
    with pytest.raises(UserError, match="gradient"):
        config(method, gradient=gradient)


@pytest.mark.parametrize("setting", [{"beta": 1.5}, {"groups": 0}, {"order": 1.0}, {"alpha": "nan"}])
def test_wrong_settings_are_one_clear_line(setting: dict[str, Any]) -> None:
    name = {"beta": "ciwae", "groups": "miwae", "order": "cubo", "alpha": "renyi"}[next(iter(setting))]
    with pytest.raises(UserError, match="setting 'objective"):
        config(name, **setting)


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(OBJECTIVES.summaries()))
def test_the_value_is_a_bound_on_the_known_evidence_and_the_kl_weight_does_not_touch_it(kind: str) -> None:
    """Without gradients too, as in the evaluation; the same noise gives the same value under any weight."""
    vae, objective = model(), OBJECTIVES.get(kind)()
    of_one = torch.ones(4000, 1, dtype=torch.float64)
    q, k = DiagonalGaussian(0.2 * of_one, 0.9 * of_one), 40
    values = [
        objective.estimate(BatchPosteriors(vae, images(4000), q, k, torch.Generator().manual_seed(1), weight)).value
        for weight in (1.0, 0.3)
    ]
    assert torch.equal(*values)
    above = float(values[0].mean()) - log_evidence(vae)
    assert 0.05 < above < 1.0 if kind == "cubo" else -1.0 < above < 0.0


@torch.no_grad()
def test_groups_draw_so_many_samples_of_each_image() -> None:
    _, vae, x = built()
    q = vae.infer(x)
    log_w = vae.log_weights(x, 12, torch.Generator().manual_seed(1))
    actual = MiwaeConfig(groups=3).estimate(BatchPosteriors(vae, x, q, 4, torch.Generator().manual_seed(1)))
    assert torch.allclose(actual.value, miwae(log_w.unflatten(0, (3, 4))), atol=1e-3)
    partial = PiwaeConfig(groups=3).estimate(BatchPosteriors(vae, x, q, 4, torch.Generator().manual_seed(1)))
    assert torch.allclose(partial.value, iwae(log_w), atol=1e-3)


def test_the_fit_of_the_encoder_has_the_gradient_in_z_and_none_in_the_decoder() -> None:
    _, vae, x = built()
    z = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    whole, frozen = vae.log_likelihood(x, z), latent_log_likelihood(vae, x, z)
    assert torch.equal(whole, frozen)
    expected, actual = (
        torch.autograd.grad((fit * fit.detach()).sum(), z)[0] for fit in (whole, latent_log_likelihood(vae, x, z))
    )
    assert torch.allclose(expected, actual, rtol=1e-4)
    frozen.sum().backward()
    assert all(p.grad is None for p in vae.parameters())


def test_free_bits_are_the_larger_of_free_nats_and_the_mean_kl_of_each_dimension() -> None:
    """Kingma et al. 2016: E log p(x|z) - sum_d max(free, mean over the batch of KL_d)."""
    _, vae, x = built(latent_dim=3)
    m = torch.tensor([0.0, 1.5, 0.8]) * torch.linspace(0.5, 1.5, 6)[:, None]
    m, s = m.requires_grad_(), torch.tensor([0.9, 0.2, 0.8]).expand(6, 3).clone().requires_grad_()
    q, free, generator = DiagonalGaussian(m, s), 0.3, torch.Generator().manual_seed(5)
    actual = FreeBitsConfig(free_nats=free).estimate(BatchPosteriors(vae, x, q, 4, generator, 0.5))
    z, _ = q.rsample_and_log_prob(4, torch.Generator().manual_seed(5))
    fit = vae.log_likelihood(x, z).mean()
    of_dimensions = torch.distributions.kl_divergence(
        torch.distributions.Normal(m, s), torch.distributions.Normal(0.0, 1.0)
    ).mean(0)
    assert of_dimensions[0] < free < of_dimensions[1]
    expected = fit - 0.5 * torch.maximum(of_dimensions, torch.full((3,), free)).sum()
    assert torch.allclose(actual.surrogate.mean(), expected, rtol=1e-6)
    assert torch.allclose(actual.value.mean(), fit - of_dimensions.sum(), rtol=1e-6)
    kl_part = torch.autograd.grad((actual.surrogate.mean() - fit), [m, s], retain_graph=True)
    for part in kl_part:
        assert torch.allclose(part[:, 0], torch.zeros(6), atol=1e-6)
        assert float(part[:, 1].abs().min()) > 1e-3


@pytest.mark.parametrize(("free", "moved"), [(0.05, True), (5.0, False)])
def test_where_moments_are_sampled_the_free_nats_are_of_all_dimensions(free: float, moved: bool) -> None:
    vae = model()
    m = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    eps = torch.linspace(-1, 1, 9, dtype=torch.float64).repeat(3, 1).T
    q = NodeGaussian(m, torch.tensor([0.6], dtype=torch.float64), eps)
    actual = FreeBitsConfig(free_nats=free).estimate(BatchPosteriors(vae, images(3), q, 9))
    z, _ = q.rsample_and_log_prob(9)
    (slope,) = torch.autograd.grad((actual.surrogate - vae.log_likelihood(images(3), z).mean(0)).mean(), m)
    assert (float(slope.abs()) > 0.1) == moved


def test_without_free_nats_it_is_the_elbo_of_the_gp_encoder_too() -> None:
    run, vae, x = built("gp+free-bits", free_nats=0.0)
    q = vae.infer(x)
    actual, plain = (
        objective.estimate(BatchPosteriors(vae, x, q, 1, torch.Generator().manual_seed(1)))
        for objective in (run.objective, config("gp").objective)
    )
    assert torch.equal(actual.value, plain.value)
    assert torch.allclose(actual.surrogate, plain.surrogate)
