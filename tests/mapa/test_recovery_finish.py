"""What ends a run with MAPA: an ordinary VAE whose bound lies just below its log p(x), the same every time."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpvae_core.bounds import elbo
from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.finish import check_recovery, finish
from gpvae_core.mapa.recovery.fitting import FitSettings
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.progress import Cancelled
from gpvae_core.vae import VAE
from tests.mapa.recovery_models import SIGMA, Points, log_mixture, model, noise, points_with_codes

QUICK = RecoverySettings(recovery_epochs=3, encoder_epochs=2)


def noisy(z: Tensor) -> Points:
    """Points around the curve."""
    clean = points_with_codes(z).images
    return Points(clean + SIGMA * noise(len(z), clean[0].numel(), 7).reshape(clean.shape))


def test_the_finished_model_is_an_ordinary_vae() -> None:
    """One dimension, skewed codes: mean ELBO below log p(x) by quadrature, by little, and the prior is N(0, 1)."""
    vae, points = model(1), noisy(torch.nn.functional.softplus(2.0 * noise(500, 1)))
    labels: list[str] = []
    settings = RecoverySettings(recovery_epochs=60, recovery_lr=2e-3, encoder_epochs=120, encoder_lr=3e-3)
    actual = finish(vae, points, settings, 0, lambda done, total, what: labels.append(what))
    steps = 500 // 100
    counts = {label: labels.count(label) // steps for label in dict.fromkeys(labels)}
    assert counts == {
        "recovering the prior: encoder": 60,
        "recovering the prior: decoder": 60,
        "fitting the encoder": 120,
    }
    assert set(actual) == {"mean_error", "decoder_kl"}
    u = torch.linspace(-7, 7, 3001)
    log_weights = -0.5 * u.double().square() - 0.5 * math.log(2 * math.pi) + math.log(14 / 3000)
    with torch.no_grad():
        log_px = log_mixture(points.images.flatten(1), vae.decode(u[:, None]).flatten(1), log_weights, SIGMA)
        bound = elbo(vae.log_weights(points.images, 500, torch.Generator().manual_seed(1)))
    assert 0.0 < float(log_px.mean() - bound.double().mean()) < 0.3


def flags(vae: VAE) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in vae.named_parameters()}


@pytest.mark.parametrize(("d", "flow"), [(1, False), (1, True), (2, True)])
def test_it_is_the_same_every_time_and_leaves_flags_and_the_global_noise_alone(d: int, flow: bool) -> None:
    points = noisy(noise(200, d))
    ends = []
    for _ in range(2):
        vae = model(d, flow)
        before, state = flags(vae), torch.get_rng_state()
        torch.rand(3)  # another place in the global noise
        now = torch.get_rng_state()
        assert not torch.equal(state, now)
        finish(vae, points, QUICK, 3)
        assert torch.equal(torch.get_rng_state(), now)
        assert flags(vae) == before
        assert vae.training
        ends.append(vae.state_dict())
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())
    start = model(d, flow).state_dict()
    moved = {name.split(".")[0] for name, value in ends[0].items() if not torch.equal(start[name], value)}
    assert moved == {"decoder", "encoder"}
    assert torch.equal(ends[0]["likelihood.log_sigma_x"], start["likelihood.log_sigma_x"])


def test_another_seed_gives_other_weights() -> None:
    vaes = [model(1), model(1)]
    for seed, vae in enumerate(vaes):
        finish(vae, noisy(noise(200, 1)), QUICK, seed)
    left, right = (vae.state_dict() for vae in vaes)
    assert any(not torch.equal(left[name], right[name]) for name in left)


def test_the_last_fit_moves_the_encoder_alone() -> None:
    short, long = model(1), model(1)
    points = noisy(noise(200, 1))
    finish(short, points, QUICK.model_copy(update={"encoder_epochs": 1}), 0)
    finish(long, points, QUICK.model_copy(update={"encoder_epochs": 4}), 0)
    left, right = short.state_dict(), long.state_dict()
    differ = {name.split(".")[0] for name in left if not torch.equal(left[name], right[name])}
    assert differ == {"encoder"}


@pytest.mark.parametrize(
    "label", ["recovering the prior: flow", "recovering the prior: encoder", "fitting the encoder"]
)
def test_it_can_be_cancelled_at_each_part(label: str) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if what == label and done == 2:
            raise Cancelled

    vae = model(2, flow=True)
    before = flags(vae)
    with pytest.raises(Cancelled):
        finish(vae, noisy(noise(200, 2)), QUICK, 0, stop)
    assert flags(vae) == before


def test_a_plain_prior_in_more_dimensions_is_refused() -> None:
    with pytest.raises(UserError, match=r"2 latent dimensions wants a flow.*prior\.kind=flow"):
        finish(model(2), noisy(noise(50, 2)), QUICK, 0)


def test_collapsed_codes_are_refused() -> None:
    first = torch.ones(50, 1, 1, 1)
    same = Points(torch.cat([first, noise(50, 1).reshape(first.shape)], dim=3))
    with pytest.raises(UserError, match="collapsed"):
        finish(model(1), same, QUICK, 0)
    with pytest.raises(UserError, match="collapsed"):
        finish(model(1, flow=True), same, QUICK, 0)


@pytest.mark.parametrize(
    ("x", "flow", "wrong"),
    [
        (torch.ones(50, 1, 1, 2), False, "all training points are equal"),
        (torch.ones(50, 1, 1, 2), True, "all training points are equal"),
        (noise(9, 2).reshape(9, 1, 1, 2), True, "at least 10 training points, got 9"),
        (noise(1, 2).reshape(1, 1, 1, 2), False, "at least 2 training points, got 1"),
    ],
)
def test_points_that_leave_nothing_to_recover_are_refused_before_training(x: Tensor, flow: bool, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        check_recovery(model(1, flow), Points(x))


def test_as_few_points_as_there_must_be_are_enough() -> None:
    for n, flow in ((10, True), (2, False)):
        actual = finish(model(1, flow), noisy(noise(n, 1)), QUICK, 0)
        assert "mean_error" in actual


def test_a_fit_that_diverges_says_so() -> None:
    with pytest.raises(UserError, match="smaller --set recovery_lr"):
        finish(model(1), noisy(noise(50, 1)), QUICK.model_copy(update={"recovery_lr": 1e38}), 0)


def test_how_long_a_fit_is() -> None:
    """500 epochs as in the paper on its 1,000 points, fewer on more, as set where it is set."""
    lengths = [FitSettings(None, 100, 1e-3, 0, "").epochs_for(n) for n in (1000, 4000, 54_000, 10**8)]
    assert lengths == [500, 500, 37, 1]
    assert FitSettings(7, 100, 1e-3, 0, "").epochs_for(54_000) == 7
