"""The true posterior on the grid against closed forms, quadrature along a line, a finer grid, importance sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from gpvae_core.bounds import iwae
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.evaluation.density import RowCounter
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.grid import GridPosterior, true_posteriors
from gpvae_core.truth.importance import log_weights
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import VAE
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 8, 8)


@pytest.fixture(scope="module")
def digits_vae() -> VAE:
    """A nonlinear decoder that has seen digits for a few steps."""
    torch.manual_seed(0)
    net = FullyConnectedConfig(hidden=32)
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.1)
    trunk = nn.Sequential(net.trunk(SHAPE), nn.Linear(32, 2))
    vae = VAE(net.decoder(2, SHAPE), GaussianLikelihood(0.2, learn=False), oracle.vae().encoder, 2, SHAPE)
    x = digits(200)
    optimizer = torch.optim.Adam([*trunk.parameters(), *vae.decoder.parameters()], lr=3e-3)
    for _ in range(300):
        z = trunk(x)
        z = z + 0.1 * torch.randn(z.shape)
        loss = (vae.decode(z) - x).square().sum() / 200 + 0.05 * z.square().sum() / 200
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae.eval()


def digits(n: int) -> Tensor:
    pixels, _ = load_digits(return_X_y=True)
    return torch.tensor(np.asarray(pixels)[:n] / 16, dtype=torch.float32).reshape(-1, *SHAPE)


class Folded(nn.Module):
    """g(z) = (z1^2, z2): the posterior of x = (a, b) has modes near +sqrt(a) and -sqrt(a), and z1, z2 independent."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        return self.scale * torch.stack([z[:, 0] ** 2, z[:, 1]], dim=1).reshape(-1, 1, 1, 2)


def folded(sigma_x: float) -> VAE:
    encoder = LinearGaussianVAE.make(2, (1, 1, 2), sigma_x).vae().encoder
    return VAE(Folded(), GaussianLikelihood(sigma_x, learn=False), encoder, 2, (1, 1, 2)).eval()


class TwoHills(nn.Module):
    """g(z) = ((z1 (END - z1) / 2)^2 + m (1 - z1 / END), z2): x1 = 0 is met at z1 = END, and missed by m at z1 = 0."""

    END = 5.16
    """Beyond the atlas, and between two of the coarse nodes there."""

    def __init__(self, m: float) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.tensor(m))

    def forward(self, z: Tensor) -> Tensor:
        first = (z[:, 0] * (self.END - z[:, 0]) / 2) ** 2 + self.m * (1 - z[:, 0] / self.END)
        return torch.stack([first, z[:, 1]], dim=1).reshape(-1, 1, 1, 2)


def two_hills(sigma_x: float, m: float) -> tuple[GridPosterior, float, float]:
    """The grid's answer for the image (0, b), log p(x), and the share of the mass at z1 > 4; z2 in closed form."""
    b, end = 0.17, TwoHills.END
    encoder = LinearGaussianVAE.make(2, (1, 1, 2), sigma_x).vae().encoder
    vae = VAE(TwoHills(m), GaussianLikelihood(sigma_x, learn=False), encoder, 2, (1, 1, 2)).eval()
    actual = true_posteriors(vae, Atlas.build(vae, side=101), torch.tensor([0.0, b]).reshape(1, 1, 1, 2))[0]
    z = np.linspace(-12, 12, 400_001)
    error = (z * (end - z) / 2) ** 2 + m * (1 - z / end)
    log_f = -0.5 * (error / sigma_x) ** 2 - math.log(sigma_x) - 0.5 * z**2 - math.log(2 * math.pi)
    log_c = quadrature(log_f, z)[0]
    share = np.trapezoid(np.where(z > 4, np.exp(log_f - log_c), 0.0), z)
    variance = 1 + sigma_x**2
    return actual, log_c - 0.5 * math.log(2 * math.pi * variance) - 0.5 * b**2 / variance, float(share)


def quadrature(log_f: np.ndarray, z: np.ndarray) -> tuple[float, float, float]:
    """log of the integral, variance (of a symmetric density) and entropy, by the trapezoidal rule."""
    top = log_f.max()
    log_c = top + math.log(np.trapezoid(np.exp(log_f - top), z))
    p = np.exp(log_f - log_c)
    return log_c, float(np.trapezoid(p * z**2, z)), float(-np.trapezoid(p * (log_f - log_c), z))


def mixture(separation: float, weight: float, n: int = 241) -> GridPosterior:
    """weight N((s, 0), 0.2^2 I) + (1 - weight) N((-s, 0), 0.2^2 I) on a grid."""
    x, y = np.linspace(-4, 4, n), np.linspace(-2, 2, (n + 1) // 2)
    square = [(x[None] - c) ** 2 + y[:, None] ** 2 for c in (separation, -separation)]
    parts = [math.log(w) - q / (2 * 0.04) for w, q in zip((weight, 1 - weight), square, strict=True)]
    values = np.logaddexp(*parts) - math.log(2 * math.pi * 0.04)
    return GridPosterior(x, y, values, log_px=0.0, outside_mass=0.0, halving_error=0.0)


@pytest.mark.parametrize("sigma_x", [2.0, 0.5, 0.1, 0.01])
def test_linear_decoder_gives_the_closed_form(sigma_x: float) -> None:
    """From a posterior wider than many atlas cells to one that lies between two of its nodes."""
    oracle = LinearGaussianVAE.make(2, SHAPE, sigma_x)
    vae, x = oracle.vae(), oracle.images(4)
    actual = true_posteriors(vae, Atlas.build(vae, side=101), x)
    mean, covariance, log_px = oracle.posterior_mean(x).numpy(), oracle.posterior_covariance.numpy(), oracle.log_px(x)
    scale = np.sqrt(np.diag(covariance))
    for i, p in enumerate(actual):
        assert p.passed
        assert p.log_px == pytest.approx(float(log_px[i]), abs=5e-3)
        np.testing.assert_allclose((p.mean - mean[i]) / scale, 0.0, atol=5e-3)
        np.testing.assert_allclose(p.covariance, covariance, atol=5e-3 * scale.max() ** 2)
        assert p.entropy() == pytest.approx(0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1], abs=5e-3)
        assert p.negentropy() == pytest.approx(0.0, abs=1e-3)
        np.testing.assert_allclose((p.modes() - mean[i]) / scale, np.zeros((1, 2)), atol=0.05)


def test_atlas_agrees_with_the_model(digits_vae: VAE) -> None:
    """Rows are z2 and columns z1; the matrix product loses less than 0.01 nats at sigma_x = 0.1."""
    sharp = VAE(digits_vae.decoder, GaussianLikelihood(0.1, learn=False), digits_vae.encoder, 2, SHAPE)
    atlas, x = Atlas.build(sharp, side=21, extent=3.0), digits(5)
    actual = atlas.log_joint(x)
    for row, column in ((0, 0), (3, 17), (10, 10), (20, 4)):
        z = torch.tensor([float(atlas.axis[column]), float(atlas.axis[row])]).expand(1, 5, 2)
        torch.testing.assert_close(actual[:, row, column], sharp.log_joint(x, z)[0].double(), atol=1e-2, rtol=0)


def test_table_keeps_its_digits_far_from_the_origin() -> None:
    """Bright images of 784 pixels: without centring the three terms would cancel."""
    likelihood, generator = GaussianLikelihood(0.1, learn=False), torch.Generator().manual_seed(0)
    g = 1.0 + 0.01 * torch.randn(50, 1, 28, 28, generator=generator)
    x = 1.0 + 0.01 * torch.randn(3, 1, 28, 28, generator=generator)
    exact = likelihood.double().log_prob(x.double()[:, None], g.double()[None])
    torch.testing.assert_close(likelihood.grid_table(g.clone()).log_prob(x), exact, atol=2e-3, rtol=0)


def test_against_a_finer_grid_and_importance_sampling(digits_vae: VAE) -> None:
    x = digits(12)
    actual = true_posteriors(digits_vae, Atlas.build(digits_vae), x)
    fine = Atlas.build(digits_vae, side=801, extent=5.0)
    cell = 2 * math.log(float(fine.axis[1] - fine.axis[0]))
    finer = torch.cat([torch.logsumexp(fine.log_joint(one).flatten(1), dim=1) + cell for one in x.split(1)])
    np.testing.assert_allclose([p.log_px for p in actual], finer.numpy(), atol=5e-3)
    assert all(p.passed for p in actual)
    mean = torch.tensor(np.stack([p.mean for p in actual]), dtype=torch.float32)
    std = torch.tensor(np.stack([np.sqrt(np.diag(p.covariance)) for p in actual]), dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    sampled = iwae(log_weights(digits_vae, x, 40_000, generator, DiagonalGaussian(mean, 1.5 * std + 0.05)))
    np.testing.assert_allclose([p.log_px for p in actual], sampled.numpy(), atol=0.05)


def test_refines_a_posterior_between_the_nodes() -> None:
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.003)
    vae, x = oracle.vae(), oracle.images(1)
    atlas = Atlas.build(vae)
    p = true_posteriors(vae, atlas, x[:1])[0]
    coarse = float(torch.logsumexp(atlas.log_joint(x).flatten(), 0)) + 2 * math.log(8 / 200)
    assert abs(coarse - float(oracle.log_px(x)[0])) > 1.0, "the atlas alone would do: the test tests nothing"
    assert p.x[1] - p.x[0] < 8 / 200
    assert p.log_px == pytest.approx(float(oracle.log_px(x)[0]), abs=0.02)


def test_extends_a_grid_that_is_too_small() -> None:
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.5)
    vae = oracle.vae()
    z = torch.tensor([[6.0, -1.0]], dtype=torch.float64)
    x = (z @ oracle.w.T + oracle.bias).float().reshape(1, *SHAPE)
    p = true_posteriors(vae, Atlas.build(vae, side=101), x[:1])[0]
    assert p.passed
    assert p.mean[0] > 4.5
    assert p.log_px == pytest.approx(float(oracle.log_px(x)[0]), abs=5e-3)


@pytest.mark.parametrize(("sigma_x", "m"), [(0.1, 0.7), (0.02, 0.15), (0.5, 2.5), (0.1, 0.45), (0.5, 1.7)])
def test_finds_a_mode_beyond_the_atlas_that_nothing_connects_with_it(sigma_x: float, m: float) -> None:
    """All of the mass to 0.2 % of it is there, much narrower than a coarse cell or wider; none is on the border."""
    p, log_px, share = two_hills(sigma_x, m)
    assert share > 1e-3
    assert p.passed
    assert p.log_px == pytest.approx(log_px, abs=2e-3)
    assert p.x[-1] > 5.2


@pytest.mark.parametrize(("sigma_x", "m"), [(0.5, 0.3), (1.0, 1.0)])
def test_owns_up_to_the_little_mass_beyond_the_atlas_that_it_leaves_out(sigma_x: float, m: float) -> None:
    p, log_px, share = two_hills(sigma_x, m)
    assert p.x[-1] < 4.0
    assert 1e-6 < share < p.outside_mass <= 1e-4
    assert p.log_px == pytest.approx(log_px, abs=2e-3)


@pytest.mark.parametrize("z", [(0.5, 0.2), (4.6, -3.4)], ids=["in the atlas", "outside"])
@pytest.mark.parametrize("slope", [1.0, 0.43])
def test_a_thin_slanting_ridge_keeps_its_shape(slope: float, z: tuple[float, float]) -> None:
    """Long and some cells to less than one thick: one mode, and regions as of a Gaussian; no wiggles between nodes."""
    along = torch.tensor([1.0, slope], dtype=torch.float64) / math.hypot(1.0, slope)
    across = torch.tensor([-along[1], along[0]], dtype=torch.float64)
    pattern, _ = torch.linalg.qr(torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    w = pattern @ torch.stack([2.0 * along, 50.0 * across])
    oracle = LinearGaussianVAE(w, torch.full((64,), 0.5, dtype=torch.float64), 0.7, SHAPE)
    x = (torch.tensor([z], dtype=torch.float64) @ w.T + oracle.bias).float().reshape(1, *SHAPE)
    p = true_posteriors(oracle.vae(), Atlas.build(oracle.vae()), x[:1])[0]
    assert p.passed
    assert p.log_px == pytest.approx(float(oracle.log_px(x)[0]), abs=0.01)
    np.testing.assert_allclose(p.modes(), oracle.posterior_mean(x).numpy(), atol=0.02)
    peak = -0.5 * float(torch.logdet(2 * math.pi * oracle.posterior_covariance))
    np.testing.assert_allclose(
        [t for _, t in p.hpd_levels((0.5, 0.9, 0.99))], [peak + math.log(1 - m) for m in (0.5, 0.9, 0.99)], atol=0.05
    )
    assert p.profile(0)[1].max() == pytest.approx(peak, abs=0.02)


@pytest.mark.parametrize("sigma_x", [0.3, 0.02])
def test_two_modes_of_a_folded_decoder(sigma_x: float) -> None:
    """Far apart and, with the smaller sigma_x, each narrower than a cell; z1 by quadrature, z2 in closed form."""
    a, b = 1.5, 0.4
    vae = folded(sigma_x)
    p = true_posteriors(vae, Atlas.build(vae, side=101), torch.tensor([a, b]).reshape(1, 1, 1, 2))[0]
    z = np.linspace(-6, 6, 400_001)
    gauss = -0.5 * math.log(2 * math.pi)
    log_c, variance, entropy = quadrature(
        -0.5 * ((a - z**2) / sigma_x) ** 2 - math.log(sigma_x) - 0.5 * z**2 + 2 * gauss, z
    )
    log_px = log_c + gauss - 0.5 * math.log(1 + sigma_x**2) - 0.5 * b**2 / (1 + sigma_x**2)
    negentropy = 0.5 * math.log(2 * math.pi * math.e * variance) - entropy
    assert p.passed
    assert p.log_px == pytest.approx(log_px, abs=5e-3)
    assert p.negentropy() == pytest.approx(negentropy, abs=5e-3)
    assert negentropy > 0.3
    # d/dz1 of the log density: 2 z1 (a - z1^2) / sigma^2 = z1
    top = math.sqrt(a - 0.5 * sigma_x**2)
    modes = p.modes()[np.argsort(p.modes()[:, 0])]
    np.testing.assert_allclose(modes, [[-top, b / (1 + sigma_x**2)], [top, b / (1 + sigma_x**2)]], atol=5e-3)


@pytest.mark.parametrize(
    ("separation", "weight", "modes"),
    [
        (1.0, 0.7, [[1.0, 0.0], [-1.0, 0.0]]),
        (2.5, 0.3, [[-2.5, 0.0], [2.5, 0.0]]),
        (1.0, 0.005, [[-1.0, 0.0]]),
        (0.15, 0.5, [[0.0, 0.0]]),
    ],
    ids=["two", "nothing between them", "one with half a percent", "merged"],
)
def test_modes_of_a_mixture(separation: float, weight: float, modes: list[list[float]]) -> None:
    np.testing.assert_allclose(mixture(separation, weight).modes(), modes, atol=0.01)


def test_negentropy_of_a_mixture() -> None:
    """Two Gaussians that do not overlap: entropy of one plus log 2; variance 0.04 + s^2 along the line between them."""
    s = 2.0
    expected = 0.5 * math.log((0.04 + s**2) / 0.04) - math.log(2)
    assert mixture(s, 0.5).negentropy() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("n", [31, 241])
def test_regions_of_a_gaussian(n: int) -> None:
    """The region of mass m of N(., 0.2^2 I) ends where the density is 1 - m of the highest, also on a coarse grid."""
    levels = mixture(0.0, 0.5, n).hpd_levels((0.5, 0.9, 0.99))
    peak = -math.log(2 * math.pi * 0.04)
    assert [m for m, _ in levels] == [0.5, 0.9, 0.99]
    np.testing.assert_allclose([t for _, t in levels], [peak + math.log(1 - m) for m in (0.5, 0.9, 0.99)], atol=0.05)


def test_samples_have_the_moments() -> None:
    p = mixture(1.0, 0.7, 121)
    samples = p.sample(100_000, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(samples.mean(0), [0.4, 0.0], atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), [[0.04 + 0.84, 0.0], [0.0, 0.04]], atol=0.01)
    again = p.sample(100_000, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(samples, again)


def test_profile_is_the_largest_over_the_other_coordinate() -> None:
    p = mixture(1.0, 0.5)
    peak = math.log(0.5) - math.log(2 * math.pi * 0.04)
    for j, expected in (
        (0, lambda x: peak + np.logaddexp(-((x - 1) ** 2) / 0.08, -((x + 1) ** 2) / 0.08)),
        (1, lambda y: peak - y**2 / 0.08),
    ):
        grid, values = p.profile(j)
        np.testing.assert_allclose(values, expected(grid), atol=5e-3)


@pytest.mark.parametrize(("outside", "halving", "passed"), [(0.0, 0.0, True), (1e-3, 0.0, False), (0.0, 0.02, False)])
def test_says_when_a_check_failed(outside: float, halving: float, passed: bool) -> None:
    p = mixture(1.0, 0.5)
    assert GridPosterior(p.x, p.y, p.log_joint, 0.0, outside, halving).passed is passed


def test_halving_error_bounds_the_error_of_a_coarse_grid() -> None:
    """On an atlas that is too coarse the check goes red, and the error it names is larger than the true one."""
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.5)
    vae, x = oracle.vae(), oracle.images(3)
    atlas = Atlas.build(vae, side=31)
    for values, truth in zip(atlas.log_joint(x), oracle.log_px(x), strict=True):
        lattice = atlas.lattice(values)
        assert lattice.halving_error() > 0.01
        assert abs(lattice.log_mass() - float(truth)) < lattice.halving_error()


def test_wants_a_plane() -> None:
    with pytest.raises(UserError, match="2 latent dimensions"):
        Atlas.build(LinearGaussianVAE.make(3, SHAPE, 0.5).vae())


def test_reports_progress_and_can_be_cancelled() -> None:
    oracle = LinearGaussianVAE.make(2, SHAPE, 0.5)
    vae, calls = oracle.vae(), []
    atlas = Atlas.build(vae, side=101, progress=lambda done, total, what: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] >= 101 * 101
    assert [done for done, _ in calls[:3]] == [0, 512, 1024]

    def stop(done: int, total: int, what: str) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        true_posteriors(vae, atlas, oracle.images(2), progress=stop)


def test_counts_as_refined_exactly_the_images_for_which_nodes_were_decoded() -> None:
    """The decoder is asked for no node for a broad posterior, for some for one between the nodes or outside."""
    narrow, broad = LinearGaussianVAE.make(2, SHAPE, 0.02), LinearGaussianVAE.make(2, SHAPE, 0.5)
    far = (torch.tensor([[6.0, -1.0]], dtype=torch.float64) @ broad.w.T + broad.bias).float().reshape(1, *SHAPE)
    for oracle, x, expected in ((broad, broad.images(3), False), (narrow, narrow.images(3), True), (broad, far, True)):
        vae = oracle.vae()
        truth = truth_for(vae, TruthSettings(name="grid"))
        truth.prepare()
        for image in x.split(1):
            with RowCounter(vae.decoder) as decoded:
                refined = truth.log_px(image).refined
            assert refined is not None
            assert refined.tolist() == [decoded.rows > 0] == [expected]


@pytest.mark.parametrize("sigma_x", [1e-3, 3e-4])
def test_small_noise_is_no_noise_on_log_p(sigma_x: float) -> None:
    """Images of a hundred sigma_x off the plane: float32 would put each node 0.2 nats off, with thousands of modes."""
    made = LinearGaussianVAE.make(2, SHAPE, sigma_x)
    oracle = LinearGaussianVAE(made.w.float().double(), made.bias, sigma_x, SHAPE)
    x = oracle.images(3) + 0.1 * torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    vae = oracle.vae()
    atlas = Atlas.build(vae, side=101)
    sigma = atlas.model.likelihood.noise_scale()
    assert sigma is not None
    rounded = LinearGaussianVAE(oracle.w, oracle.bias, sigma, SHAPE)  # sigma_x as the model has it, rounded to float32
    assert next(atlas.model.parameters()).dtype is torch.float64
    for p, log_px in zip(true_posteriors(vae, atlas, x), rounded.log_px(x).tolist(), strict=True):
        assert p.passed
        assert p.log_px == pytest.approx(log_px, abs=0.02)
        assert len(p.modes()) == 1


def test_a_noise_for_which_float64_does_not_do_is_refused() -> None:
    with pytest.raises(UserError, match="sigma_x is too small"):
        Atlas.build(LinearGaussianVAE.make(2, SHAPE, 1e-9).vae(), side=101)
    ordinary = Atlas.build(LinearGaussianVAE.make(2, SHAPE, 0.1).vae(), side=21)
    assert next(ordinary.model.parameters()).dtype is torch.float32
