"""What is asked of a truth: the noise of each image is its own, refusals are clear, threads share what is built."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.estimators.iwae import QUICK_SAMPLES
from gpvae_core.truth.line_posterior import LinePosterior
from gpvae_core.truth.noise import image_generators, normal, uniform
from gpvae_core.truth.quadrature import BuiltOnce
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.start import PRIOR_SHARE, WIDENING, AnnealingStart, rounded_start
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import GenerativeModel
from tests.oracles import LinearGaussianVAE

SHAPE = (1, 2, 2)
SPACE = LinearGaussianVAE.make(3, SHAPE, sigma_x=0.3)
LINE = LinearGaussianVAE.make(1, SHAPE, sigma_x=0.3)
FEW = TruthSettings(annealing=AISSettings(steps=4, chains=7, leapfrog=3), samples=50)


@pytest.mark.parametrize("name", ["ais", "iwae"])
def test_an_image_has_one_log_px_in_whatever_batch_it_is_asked(name: str) -> None:
    truth, x = truth_for(SPACE.vae(), FEW.model_copy(update={"name": name})), SPACE.images(40)
    whole = truth.log_px(x, seed=3).log_px
    for some in ([7], [39, 0], list(range(20)), list(range(39, -1, -1))):
        np.testing.assert_allclose(truth.log_px(x[some], seed=3).log_px, whole[some], rtol=0, atol=1e-5)
    assert (np.abs(truth.log_px(x, seed=4).log_px - whole) > 1e-6).all()


def test_errors_of_images_are_independent() -> None:
    """The mean error over images varies with the seed as that of independent errors, not as one common error."""
    truth, x = truth_for(SPACE.vae(), FEW), SPACE.images(30)
    best = best_gaussians(SPACE.vae(), x)
    errors = np.stack([truth.log_px(x, seed, best=best).log_px for seed in range(40)]) - SPACE.log_px(x).numpy()
    of_one, of_mean = errors.var(0).mean(), errors.mean(1).var()
    assert of_mean * len(x) / of_one == pytest.approx(1.0, abs=0.6)


def test_noise_is_that_of_seed_and_pixels() -> None:
    x = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    one, again, other = (normal((5, 3, 2), image_generators(x, seed), x) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    turned = normal((5, 3, 2), image_generators(x.flip(0), 1), x)
    assert torch.equal(turned, one.flip(1))
    many = normal((4000, 3, 1), image_generators(x, 0), x)[..., 0]
    assert torch.corrcoef(many.T).triu(1).abs().max() < 0.06
    assert uniform((4000, 3), image_generators(x, 0), x).mean(0) == pytest.approx(torch.full((3,), 0.5), abs=0.02)


def test_a_start_is_a_density_and_what_is_drawn_from_it() -> None:
    chol = torch.tensor([[[0.3, 0.0], [0.2, 0.1]]])
    prior_mean, prior_std = torch.tensor([[-0.4, 0.3]]), torch.tensor([[0.6, 0.9]])
    start = AnnealingStart(torch.tensor([[1.0, -0.5]]), chol, prior_mean, prior_std)
    axis = torch.linspace(-6, 6, 1201)
    z = torch.cartesian_prod(axis, axis)[:, None]
    mass = start.log_prob(z).double().exp() * float(axis[1] - axis[0]) ** 2
    assert float(mass.sum()) == pytest.approx(1.0, abs=1e-4)
    mean = (mass[..., None] * z).sum(0)
    drawn = start.draw(40_000, [torch.Generator().manual_seed(0)])
    torch.testing.assert_close(drawn.mean(0).double(), mean, atol=0.02, rtol=0)
    expected = (1 - PRIOR_SHARE) * start.mean[0] + PRIOR_SHARE * prior_mean[0]
    torch.testing.assert_close(mean[0], expected.double(), atol=1e-4, rtol=0)
    second = (mass[..., None, None] * z[..., None] * z[..., None, :]).sum(0)[0]
    own = WIDENING**2 * chol[0] @ chol[0].T + start.mean[0][:, None] * start.mean[0]
    prior = torch.diag(prior_std[0].square()) + prior_mean[0][:, None] * prior_mean[0]
    mixed = (1 - PRIOR_SHARE) * own.double() + PRIOR_SHARE * prior.double()
    torch.testing.assert_close(second, mixed, atol=1e-3, rtol=0)


def test_a_rounded_start_is_near_and_hides_the_last_bits() -> None:
    torch.manual_seed(0)
    mean, chol = torch.randn(50, 4), torch.linalg.cholesky(0.05 * torch.eye(4) + 0.02 * torch.rand(50, 4, 1) ** 2)
    prior = DiagonalGaussian.standard(mean, 4)
    one, other = (rounded_start(m, L, prior) for m, L in ((mean, chol), (mean * (1 + 1e-7), chol * (1 - 1e-7))))
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.chol, other.chol)
    std = chol.diagonal(dim1=-2, dim2=-1)
    assert ((one.mean - mean).abs() <= 0.07 * std).all()
    assert ((one.chol.diagonal(dim1=-2, dim2=-1) / std).log().abs() < 0.05).all()


def test_a_quick_answer_is_the_truth_by_quadrature_and_a_looser_bound_beyond() -> None:
    line, x = truth_for(LINE.vae()), LINE.images(4)
    np.testing.assert_array_equal(line.quick(x).log_px, line.log_px(x).log_px)
    quick = truth_for(SPACE.vae()).quick(SPACE.images(4))
    assert (quick.kind, quick.k, quick.exact) == ("iwae", QUICK_SAMPLES, False)
    np.testing.assert_allclose(quick.log_px, SPACE.log_px(SPACE.images(4)).numpy(), atol=0.3)


def test_the_posterior_on_the_line_has_the_closed_forms_moments_modes_and_samples() -> None:
    truth, x = truth_for(LINE.vae()), LINE.images(3)
    mean, std = LINE.posterior_mean(x)[:, 0].numpy(), float(LINE.posterior_covariance[0, 0]) ** 0.5
    for i, one in enumerate(truth.posterior(x)):
        assert isinstance(one, LinePosterior)
        assert one.log_px == pytest.approx(float(LINE.log_px(x)[i]), abs=1e-4)
        assert (one.mean, one.variance**0.5) == (pytest.approx(mean[i], abs=1e-3), pytest.approx(std, rel=1e-3))
        assert one.negentropy() == pytest.approx(0.0, abs=1e-3)
        assert one.passed
        assert one.modes() == pytest.approx(np.array([[mean[i]]]), abs=0.1 * std)
        drawn = one.sample(4000, torch.Generator().manual_seed(0))
        assert drawn.shape == (4000, 1)
        assert drawn.mean() == pytest.approx(mean[i], abs=0.06 * std)
        assert drawn.std() == pytest.approx(std, rel=0.05)
    assert [len(modes) for modes in truth.modes(x)] == [1, 1, 1]


def test_where_there_is_no_quadrature_and_no_encoder_one_line_says_so() -> None:
    beyond = truth_for(SPACE.vae())
    for question in (beyond.posterior, beyond.modes):
        with pytest.raises(UserError, match="wants a run with 1 or 2 latent dimensions, this one has 3"):
            question(SPACE.images(1))
    with pytest.raises(UserError, match="wants 2 latent dimensions, this model has 1"):
        truth_for(LINE.vae()).atlas()
    with pytest.raises(UserError, match="wants 1 latent dimension, this model has 3"):
        beyond.line()
    vae = SPACE.vae()
    plain = GenerativeModel(vae.decoder, vae.likelihood, 3, SHAPE)
    with pytest.raises(UserError, match="wants a model with an encoder"):
        truth_for(plain).log_px(SPACE.images(1))


def test_what_is_built_once_is_shared_by_threads_and_built_again_after_a_cancel() -> None:
    built: list[int] = []

    def build(progress: object) -> int:
        built.append(1)
        if len(built) == 1:
            raise Cancelled
        return 7

    once = BuiltOnce(build)
    with pytest.raises(Cancelled):
        once.get()
    assert not once.ready
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(once.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [7] * 8
    assert len(built) == 2
    assert once.ready
