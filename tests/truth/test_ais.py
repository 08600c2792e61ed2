"""AIS against the linear-Gaussian evidence, the grid, and from both sides."""

from __future__ import annotations

import math

import pytest
import torch

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.defensive_mixture import WIDENING
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.progress import Cancelled, silent
from gpvae_core.truth.ais import AISEstimate, AISSettings, AnnealingPath, AnnealingProgress, sigmoid_schedule
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.by_image import log_joint_by_image
from gpvae_core.truth.estimators.ais import Annealing
from gpvae_core.truth.grid import true_posteriors
from gpvae_core.truth.noise import image_generators
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE, curved

SHAPE = (1, 4, 4)
QUICK = AISSettings(steps=30, chains=8, leapfrog=3)
COUNTED = AnnealingProgress(silent, 1_000_000)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def near_the_prior(x: torch.Tensor, d: int) -> BestGaussians:
    """A start far from the posterior: once made wider, it is N(0, I) up to rounding."""
    mean, std, elbo = torch.zeros(len(x), d), torch.full((len(x), d), 1 / WIDENING), torch.zeros(len(x))
    return BestGaussians(mean, std, elbo, mean, torch.diag_embed(std), elbo, elbo)


def annealed(vae: VAE, x: torch.Tensor, settings: AISSettings, best: BestGaussians, seed: int) -> AISEstimate:
    """The weights of all images."""
    parts = Annealing(vae, settings).estimates(x, seed, best=best)
    return AISEstimate(torch.cat([p.log_w for p in parts], 1), torch.cat([p.acceptance for p in parts]))


def path_from(q: Posterior, vae: VAE, x: torch.Tensor, settings: AISSettings) -> AnnealingPath:
    """The path from q itself, neither widened nor mixed with the prior."""
    generator = seeded()
    return AnnealingPath(
        densities=(q.log_prob, log_joint_by_image(vae, x)),
        draw=lambda k: q.rsample_and_log_prob(k, generator)[0],
        scale=torch.diag_embed(q.variance.sqrt()),
        settings=settings,
        generators=image_generators(x, 0),
    )


@torch.no_grad()
def annealed_from(q: Posterior, vae: VAE, x: torch.Tensor, settings: AISSettings) -> AISEstimate:
    """The weights of chains that start in q itself."""
    path = path_from(q, vae, x, settings)
    return path.forward(settings.chains, path.pilot(COUNTED), COUNTED)


def simulated(model: LinearGaussianVAE, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n images and the latents (n, D) that made them: exact samples of their posteriors."""
    z, noise = torch.randn(n, model.latent_dim, generator=seeded(5)), torch.randn(n, 16, generator=seeded(6))
    x = z.double() @ model.w.T + model.bias + model.sigma_x * noise.double()
    return x.float().reshape(n, *SHAPE), z


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
    actual = annealed(model.vae(), x, AISSettings(steps=steps, chains=16, leapfrog=3), near_the_prior(x, d), seed=1)
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
    near, far = (annealed_from(start, vae, x, QUICK) for start in (wide, vae.prior(x)))
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
    actual = annealed_from(exact, model.vae(), x, QUICK)
    torch.testing.assert_close(actual.log_w, model.log_px(x).expand(8, 4), atol=1e-3, rtol=0)
    torch.testing.assert_close(actual.ess, torch.full((4,), 8.0).double(), atol=1e-3, rtol=0)


def test_forward_is_below_and_reverse_above_and_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means over 300 simulated images; few temperatures leave a gap, many close it."""
    monkeypatch.setattr("gpvae_core.truth.estimators.ais.AT_ONCE", 300)  # faster, and otherwise the same
    model = LinearGaussianVAE.make(3, SHAPE, 0.3)
    x, z = simulated(model, 300)
    vae, exact = model.vae(), model.log_px(x)
    gaps = []
    for steps in (10, 100):
        settings = AISSettings(steps=steps, chains=4, leapfrog=3)
        annealing, start = Annealing(vae, settings), near_the_prior(x, 3)
        lower = torch.from_numpy(annealing.log_px(x, best=start).log_px)
        upper = torch.from_numpy(annealing.upper_bound(x, z, best=start))
        for difference in (exact - lower, upper - exact):
            assert difference.mean() > -3 * difference.std() / 300**0.5
            assert difference.mean() > 0.3 or steps > 10
        gaps.append(float((upper - lower).mean()))
    assert gaps[0] > 1.0
    assert gaps[1] < 0.25 * gaps[0]


def test_weights_have_the_mean_p_of_x_however_few_the_temperatures() -> None:
    """E[w] = p(x) and, reversed, E[1/w] = 1/p(x): over 4000 chains of one image of an easy model."""
    model = LinearGaussianVAE.make(2, SHAPE, 1.5)
    x, vae = model.images(1), model.vae()
    exact = torch.distributions.MultivariateNormal(model.posterior_mean(x), model.posterior_covariance)
    torch.manual_seed(0)
    ends = exact.sample(torch.Size([4000])).float()
    path = path_from(vae.prior(x), vae, x, AISSettings(steps=4, chains=4000, leapfrog=2))
    with torch.no_grad():
        steps = path.pilot(COUNTED)
        lower, upper = path.forward(4000, steps, COUNTED), path.backward(ends, steps, COUNTED).upper_bound
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
    actual = Annealing(vae, AISSettings(steps=200, chains=32, leapfrog=5)).log_px(x)
    log_px, se = torch.from_numpy(actual.log_px), torch.as_tensor(actual.se)
    z = (log_px - exact) / se
    assert se.max() < 0.3
    assert z.abs().max() < 4
    assert abs(float(z.mean())) < 1


def test_memory_is_bounded_progress_counts_up_and_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LinearGaussianVAE.make(3, SHAPE, 0.5)
    vae, x, sizes, reports = model.vae(), model.images(3), [], []
    vae.decoder.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    settings, start = AISSettings(steps=5, chains=14, leapfrog=2), near_the_prior(x, 3)
    monkeypatch.setattr("gpvae_core.truth.estimators.ais.decodes_at_once", lambda _: 12)

    def count(done: int, total: int, what: str) -> None:
        reports.append((done, total, what))

    one, again, other = (annealed(vae, x, settings, start, seed) for seed in (2, 2, 3))
    assert max(sizes) == 12
    assert one.log_w.shape == (14, 3)
    assert torch.equal(one.log_w, again.log_w)
    assert not torch.equal(one.log_w, other.log_w)
    Annealing(vae, settings).log_px(x, progress=count, best=start)
    # 4 transitions each of the pilot and of 12 and 2 chains of each image, as progress of 3 images
    what = "log p(x) by annealed importance sampling"
    assert reports == [(3 * i // 28, 3, what) for i in range(1, 29)]
    assert all(p.grad is None for p in vae.parameters())


def test_it_can_be_cancelled() -> None:
    model = LinearGaussianVAE.make(3, SHAPE, 0.5)

    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled

    x = model.images(2)
    with pytest.raises(Cancelled):
        Annealing(model.vae(), QUICK).log_px(x, progress=stop, best=near_the_prior(x, 3))
