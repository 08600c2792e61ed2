"""The two families whose KL to the prior cannot vanish: their floors, and batch moments in training and evaluation."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.encoders.batch_norm import (
    EPSILON,
    BatchNormEncoder,
    BatchNormEncoderConfig,
    FixedScaleNorm,
    frozen_statistics,
)
from gpvae_core.encoders.delta import DeltaEncoder, DeltaEncoderConfig, largest_std
from gpvae_core.encoders.gaussian import GaussianEncoder
from gpvae_core.encoders.gp import GPEncoderConfig
from gpvae_core.errors import UserError
from gpvae_core.nets.fc import FullyConnectedConfig
from tests.oracles import kl_to_standard_normal
from tests.short_training import assert_trains_and_resumes

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
NET, SHAPE = FullyConnectedConfig(hidden=16), (1, 8, 8)


def images(n: int) -> torch.Tensor:
    return DIGITS.train.pixels(slice(n))


def batch_norm(gamma: float = 0.7) -> BatchNormEncoder:
    torch.manual_seed(0)
    return BatchNormEncoderConfig(gamma=gamma).build(NET, SHAPE, 3)


@torch.no_grad()
def test_the_means_of_a_batch_have_variance_gamma_squared_and_the_mean_kl_its_floor() -> None:
    """Zhu et al. 2020: E_x KL >= d gamma^2 / 2, with equality for deviations of one."""
    encoder = batch_norm()
    encoder.norm.shift.copy_(torch.tensor([0.0, 0.3, -2.0]))
    encoder.base.head.weight.mul_(0.1)
    q = encoder(images(100))
    assert torch.allclose(q.mean.var(0, correction=0), torch.tensor(0.49), rtol=0.01)
    assert torch.allclose(q.mean.mean(0), encoder.norm.shift, atol=1e-5)
    assert float(kl_to_standard_normal(q).mean()) > 3 * 0.49 / 2


@torch.no_grad()
def test_evaluation_uses_the_moments_that_training_gathered() -> None:
    encoder, x = batch_norm(), images(200)
    for _ in range(200):
        encoder.train()(x)
    b, _ = encoder.base(x)
    expected = (b - b.mean(0)) / (b.var(0) + EPSILON).sqrt() * 0.7
    assert torch.allclose(encoder.eval()(x).mean, expected, atol=1e-4)
    assert torch.allclose(encoder(x[:1]).mean, expected[:1], atol=1e-4)
    assert torch.allclose(encoder.train()(x[:1]).mean, expected[:1], atol=1e-4)


@torch.no_grad()
def test_frozen_statistics_change_the_moments_alone_and_end_with_an_error_too() -> None:
    encoder, x = batch_norm().train(), images(60)
    start = {name: value.clone() for name, value in encoder.named_buffers()}
    with frozen_statistics(encoder):
        frozen = encoder(x)
    with pytest.raises(RuntimeError, match="shapes"), frozen_statistics(encoder):
        encoder(x[..., :3])
    assert all(torch.equal(value, start[name]) for name, value in encoder.named_buffers())
    assert torch.equal(frozen.mean, encoder(x).mean)
    assert not torch.equal(encoder.norm.mean, start["norm.mean"])


def test_the_scale_is_fixed_and_the_shift_learned() -> None:
    norm = FixedScaleNorm(2, 0.5)
    assert [name for name, _ in norm.named_parameters()] == ["shift"]
    assert norm.state_dict().keys() == {"shift", "scale", "mean", "variance"}


@pytest.mark.parametrize("method", ["bn-vae", "delta-vae"])
def test_they_train_and_resume_exactly(tmp_path: Path, method: str) -> None:
    """The last batch of an epoch has one image, which has no variance."""
    assert len(DIGITS.train) % 431 == 1
    settings = {"epochs": 2, "net.hidden": 16, "batch_size": 431, "latent_dim": 3, "lr": 5e-3}
    assert_trains_and_resumes(tmp_path, make_config(method, DATA, SHAPE, settings), DIGITS, stop_at=6)


@pytest.mark.parametrize("delta", [1e-3, 0.1, 1.0, 20.0])
def test_the_largest_deviation_has_just_the_least_kl(delta: float) -> None:
    s = torch.tensor(largest_std(delta), dtype=torch.float64)
    kl = torch.distributions.kl_divergence(torch.distributions.Normal(0 * s, s), torch.distributions.Normal(0 * s, 1.0))
    assert float(kl) == pytest.approx(delta, rel=1e-6)


@torch.no_grad()
def test_no_answer_of_the_delta_encoder_is_closer_to_the_prior() -> None:
    torch.manual_seed(0)
    encoder = DeltaEncoderConfig(delta=0.4).build(NET, SHAPE, 3)
    encoder.base.head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -9.0, 1.0, 300.0]))
    q = encoder(images(50))
    of_dimensions = 0.5 * (q.variance + q.mean.square() - 1.0 - q.variance.log())
    assert float(of_dimensions.min()) > 0.4 - 1e-5
    assert float(of_dimensions[:, 2].min()) < 0.6
    assert float(of_dimensions[:, 0].min()) > 4.0


@torch.no_grad()
def test_at_the_largest_delta_densities_are_those_of_samples_and_beyond_it_is_refused() -> None:
    torch.manual_seed(0)
    encoder = DeltaEncoderConfig(delta=10.0).build(NET, SHAPE, 3)
    encoder.base.head.bias[:3] = torch.tensor([3.0, -3.0, 1.0])
    q = encoder(images(50))
    z, log_q = q.rsample_and_log_prob(20, torch.Generator().manual_seed(0))
    assert float(q.variance.max()) < 1e-9
    assert torch.allclose(q.log_prob(z), log_q, atol=0.05)
    assert torch.allclose(z.var(0).mean() / q.variance.mean(), torch.ones(()), atol=0.1)
    with pytest.raises(UserError, match=r"setting 'encoder\.delta'.*less than or equal to 10"):
        make_config("delta-vae", DATA, SHAPE, {"delta": 10.5})


def test_what_they_start_from() -> None:
    torch.manual_seed(1)
    plain, gp = GaussianEncoder(NET, SHAPE, 3), GPEncoderConfig().build(NET, SHAPE, 3)
    for encoder in (batch_norm(), DeltaEncoder(NET, SHAPE, 3, 0.1)):
        encoder.start_from(plain)
        assert torch.equal(encoder.base.head.weight, plain.base.head.weight)
        other = copy.deepcopy(encoder)
        with torch.no_grad():
            other.base.head.weight.add_(1.0)
        encoder.start_from(other)
        assert torch.equal(encoder.base.head.weight, other.base.head.weight)
        with pytest.raises(UserError, match="can start from a run trained with --method"):
            encoder.start_from(gp)
