"""AIS against the linear-Gaussian evidence, the grid, and from both sides."""

from __future__ import annotations

import math

import pytest
import torch

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.progress import Cancelled
from gpvae_core.truth.ais import AISSettings, ais, reverse_ais, sigmoid_schedule
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import true_posteriors
from tests.oracles import LinearGaussianVAE, curved

SHAPE = (1, 4, 4)
QUICK = AISSettings(steps=30, chains=8, leapfrog=3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def simulated(model: LinearGaussianVAE, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n images and the latents (1, n, D) that made them: exact samples of their posteriors."""
    z, noise = torch.randn(n, model.latent_dim, generator=seeded(5)), torch.randn(n, 16, generator=seeded(6))
    x = z.double() @ model.w.T + model.bias + model.sigma_x * noise.double()
    return x.float().reshape(n, *SHAPE), z[None]


def test_the_schedule_rises_from_nought_to_one_most_slowly_at_its_ends() -> None:
    betas = sigmoid_schedule(100)
    rise = betas.diff()
    assert (float(betas[0]), float(betas[-1]), len(betas)) == (0.0, 1.0, 101)
    assert (rise > 0).all()
    torch.testing.assert_close(rise, rise.flip(0))
    assert rise[0] < 0.1 * rise[50]
    delta = [1 / (1 + math.exp(-4 * t)) for t in (-1.0, -0.5, 1.0)]
    assert betas[25].item() == pytest.approx((delta[1] - delta[0]) / (delta[2] - delta[0]))


@pytest.mark.parametrize(("d", "steps"), [(2, 200), (5, 300), (10, 500)])
def test_log_px_is_the_closed_form_within_its_error(d: int, steps: int) -> None:
    model = LinearGaussianVAE.make(d, SHAPE, 0.5)
    x = model.images(12)
    actual = ais(model.vae(), x, AISSettings(steps=steps, chains=16, leapfrog=3), seeded())
    z = (actual.log_px - model.log_px(x)) / actual.se
    assert actual.se.max() < 0.5
    assert z.abs().max() < 4
    assert z.square().mean().sqrt() < 1.6
    assert z.square().mean().sqrt() > 0.5, "the error must not be overstated either"
    assert abs(float((actual.log_px - model.log_px(x)).mean())) < 0.15
    assert ((actual.acceptance > 0.5) & (actual.acceptance < 0.8)).all()


def test_a_better_start_needs_fewer_temperatures() -> None:
    model = LinearGaussianVAE.make(5, SHAPE, 0.2)
    x, vae = model.images(8), model.vae()
    with torch.no_grad():
        q = vae.encoder(x)
    wide = DiagonalGaussian(q.mean, 1.5 * q.variance.sqrt())
    near, far = ais(vae, x, QUICK, seeded(), start=wide), ais(vae, x, QUICK, seeded())
    assert ((near.log_px - model.log_px(x)).abs() < 4 * near.se).all()
    assert near.se.mean() < 0.5 * far.se.mean()
    assert near.ess.mean() > 2 * far.ess.mean()


def test_the_exact_posterior_as_start_and_scale_is_exact() -> None:
    """f_0 and f_1 differ by the constant p(x) only."""
    w, _ = torch.linalg.qr(torch.randn(16, 3, generator=seeded(), dtype=torch.float64))
    model = LinearGaussianVAE(w * torch.tensor([1.0, 2.0, 0.5]), torch.full((16,), 0.5).double(), 0.7, SHAPE)
    x = model.images(4)
    std = model.posterior_covariance.diagonal().sqrt().expand(4, 3).float()
    exact = DiagonalGaussian(model.posterior_mean(x).float(), std)
    actual = ais(model.vae(), x, QUICK, seeded(), exact)
    torch.testing.assert_close(actual.log_w, model.log_px(x).expand(8, 4), atol=1e-3, rtol=0)
    torch.testing.assert_close(actual.ess, torch.full((4,), 8.0).double(), atol=1e-3, rtol=0)


def test_forward_is_below_and_reverse_above_and_they_meet() -> None:
    """Means over 300 simulated images; few temperatures leave a gap, many close it."""
    model = LinearGaussianVAE.make(3, SHAPE, 0.3)
    x, z = simulated(model, 300)
    vae, exact = model.vae(), model.log_px(x)
    gaps = []
    for steps in (10, 100):
        settings = AISSettings(steps=steps, chains=4, leapfrog=3)
        lower, upper = ais(vae, x, settings, seeded()).log_px, reverse_ais(vae, x, z, settings, seeded())
        for difference in (exact - lower, upper - exact):
            assert difference.mean() > -3 * difference.std() / 300**0.5
            assert difference.mean() > 0.3 or steps > 10
        gaps.append(float((upper - lower).mean()))
    assert gaps[0] > 1.0
    assert gaps[1] < 0.25 * gaps[0]


def test_weights_have_the_mean_p_of_x_however_few_the_temperatures() -> None:
    """E[w] = p(x) and, reversed, E[1/w] = 1/p(x): over 4000 chains of one image of an easy model."""
    model = LinearGaussianVAE.make(2, SHAPE, 1.5)
    x, z = model.images(1), torch.distributions.MultivariateNormal
    settings = AISSettings(steps=4, chains=4000, leapfrog=2)
    exact = z(model.posterior_mean(model.images(1)), model.posterior_covariance)
    torch.manual_seed(0)
    ends = exact.sample(torch.Size([4000])).float()
    lower, upper = ais(model.vae(), x, settings, seeded()), reverse_ais(model.vae(), x, ends, settings, seeded())
    assert lower.se.item() < 0.03
    assert lower.log_px.item() == pytest.approx(model.log_px(x).item(), abs=4 * lower.se.item())
    assert upper.item() == pytest.approx(model.log_px(x).item(), abs=0.1)


SIGMA = 1.2


def test_log_px_is_the_grids_on_a_nonlinear_decoder() -> None:
    vae = curved(SIGMA)
    with torch.no_grad():
        x = vae.decode(torch.randn(10, 2, generator=seeded(4)))
        x = x + SIGMA * torch.randn(x.shape, generator=seeded(5))
    grids = list(true_posteriors(vae, Atlas.build(vae), x))
    assert max(grid.negentropy() for grid in grids) > 0.3, "one posterior at least must be far from Gaussian"
    exact = torch.tensor([grid.log_px for grid in grids])
    actual = ais(vae, x, AISSettings(steps=200, chains=32, leapfrog=5), seeded())
    z = (actual.log_px - exact) / actual.se
    assert actual.se.max() < 0.3
    assert z.abs().max() < 4
    assert abs(float(z.mean())) < 1


def test_memory_is_bounded_progress_counts_up_and_the_generator_decides() -> None:
    model = LinearGaussianVAE.make(3, SHAPE, 0.5)
    vae, x, sizes, reports = model.vae(), model.images(3), [], []
    vae.decoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    settings = AISSettings(steps=5, chains=7, leapfrog=2)

    def count(done: int, total: int, what: str) -> None:
        reports.append((done, total, what))

    one, again = (ais(vae, x, settings, seeded(2), progress=count, chunk=12) for _ in range(2))
    assert max(sizes) == 12
    assert one.log_w.shape == (7, 3)
    assert torch.equal(one.log_w, again.log_w)
    assert not torch.equal(one.log_w, ais(vae, x, settings, seeded(3), chunk=12).log_w)
    assert reports[:12] == [(i, 12, "annealed importance sampling") for i in range(1, 13)]
    assert all(p.grad is None for p in vae.parameters())


def test_it_can_be_cancelled() -> None:
    model = LinearGaussianVAE.make(3, SHAPE, 0.5)

    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        ais(model.vae(), model.images(2), QUICK, progress=stop)
