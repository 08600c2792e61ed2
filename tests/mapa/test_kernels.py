"""MAPA's kernels against the likelihoods they belong to, pixel by pixel; the printed eq. 21 beside the one used."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.likelihoods.base import LIKELIHOODS
from gpvae_core.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from gpvae_core.mapa.kernels.base import KERNELS, Kernel, Metric
from gpvae_core.mapa.kernels.bernoulli import BernoulliKernel, log_kernel_as_printed, log_kernel_both_sides
from gpvae_core.mapa.kernels.continuous_bernoulli import ContinuousBernoulliKernel, softened_logit
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import find_neighbours


def grey(n: int, seed: int, p: int = 9) -> Tensor:
    return torch.rand(n, p, generator=torch.Generator().manual_seed(seed))


def binary(n: int, seed: int, p: int = 9) -> Tensor:
    return grey(n, seed, p).round()


def statistic(kernel: Kernel, x_train: Tensor, x: Tensor) -> Tensor:
    """The kernel's statistic of all pairs in float64, by its definition."""
    a, b = kernel.queried(x).double()[:, None], kernel.indexed(x_train).double()[None]
    return {Metric.SQUARED_DISTANCE: (a - b).square(), Metric.INNER_PRODUCT: a * b}[kernel.metric].sum(2)


def log_posterior(kernel: Kernel, x_train: Tensor, x: Tensor) -> Tensor:
    return torch.log_softmax(kernel.log_kernel(statistic(kernel, x_train, x)), dim=1)


def test_each_likelihood_has_a_kernel() -> None:
    kinds = {
        "gaussian": GaussianKernel,
        "bernoulli": BernoulliKernel,
        "continuous_bernoulli": ContinuousBernoulliKernel,
    }
    assert {kind: KERNELS.get(kind) for kind in kinds} == kinds
    assert set(KERNELS.summaries()) <= set(LIKELIHOODS.summaries())


@pytest.mark.parametrize("bandwidth", [0.05, 1.0])
def test_gaussian_is_the_normal_density(bandwidth: float) -> None:
    x_train, x = grey(12, 0), grey(5, 1)
    normal = torch.distributions.Normal(x_train.double()[None], bandwidth)
    expected = torch.log_softmax(normal.log_prob(x.double()[:, None]).sum(2), dim=1)
    torch.testing.assert_close(log_posterior(GaussianKernel(bandwidth), x_train, x), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("rho", [0.6, 0.9, 0.999])
def test_bernoulli_is_softened_on_both_sides(rho: float) -> None:
    x_train, x = binary(12, 0), binary(5, 1)
    expected = log_kernel_both_sides(x_train, x, rho).log_softmax(1)
    torch.testing.assert_close(log_posterior(BernoulliKernel(rho), x_train, x), expected, atol=1e-9, rtol=1e-9)
    by_hand = torch.ones(5, 12, dtype=torch.float64)
    for d in range(9):
        agree = x[:, None, d] == x_train[None, :, d]
        by_hand *= agree.double() * rho + (~agree).double() * (1 - rho)
    torch.testing.assert_close(expected, by_hand.log().log_softmax(1), atol=1e-9, rtol=1e-9)


def test_eq_21_as_printed_is_zero_where_only_the_training_image_is_black() -> None:
    """rho x_i x_n + (1 - rho x_i)(1 - x_n): 0 at x_i = 0, x_n = 1, but 1 - rho at x_i = 1, x_n = 0."""
    rho = 0.9
    x_train, x = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]])
    printed = log_kernel_as_printed(x_train, x, rho).exp()
    torch.testing.assert_close(printed, torch.tensor([[1.0, 0.1], [0.0, 0.9]], dtype=torch.float64))
    used = log_kernel_both_sides(x_train, x, rho).exp()
    torch.testing.assert_close(used, torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64))
    digits = log_kernel_as_printed(binary(20, 0, 64), binary(4, 1, 64), rho)
    assert torch.isneginf(digits).all(), "as printed no two images of noise have any probability of each other"
    assert log_kernel_both_sides(binary(20, 0, 64), binary(4, 1, 64), rho).isfinite().all()


@pytest.mark.parametrize("rho", [0.6, 0.9, 0.999999])
def test_continuous_bernoulli_is_its_likelihood_at_softened_images(rho: float) -> None:
    x_train, x = grey(12, 0), grey(5, 1)
    x_train[0], x_train[1], x[0], x[1] = 0.0, 1.0, 0.0, 1.0
    expected = torch.empty(5, 12, dtype=torch.float64)
    likelihood = ContinuousBernoulliLikelihood()
    for i in range(12):
        lam = (1 - rho) + (2 * rho - 1) * x_train[i].double()
        g = torch.log(lam / (1 - lam))
        for n in range(5):
            expected[n, i] = (x[n].double() * g - likelihood.log_partition(g)).sum()
    actual = log_posterior(ContinuousBernoulliKernel(rho), x_train, x)
    torch.testing.assert_close(actual, expected.log_softmax(1), atol=1e-4, rtol=1e-5)


def test_continuous_bernoulli_density_integrates_to_one() -> None:
    """exp(x g - A(g)) over x in [0, 1]: with another sign of A it would not."""
    kernel = ContinuousBernoulliKernel(0.95)
    x_train = torch.linspace(0, 1, 7)[:, None]
    x = (torch.arange(4000)[:, None] + 0.5) / 4000
    mass = kernel.log_kernel(statistic(kernel, x_train, x)).exp().mean(0)
    torch.testing.assert_close(mass, torch.ones(7, dtype=torch.float64), atol=1e-5, rtol=0)


def test_softened_logits_are_finite_and_odd_for_rho_near_one() -> None:
    """In float32 1 - rho would be lost beside 1."""
    g = softened_logit(torch.tensor([0.0, 0.5, 1.0]), 1 - 1e-12)
    torch.testing.assert_close(g, torch.tensor([-27.631021, 0.0, 27.631021], dtype=torch.float64), atol=1e-4, rtol=0)


def test_temperature_divides_after_the_search() -> None:
    x_train, x = grey(12, 0), grey(5, 1)
    warm = ContinuousBernoulliKernel(0.9, temperature=20.0)
    cold = ContinuousBernoulliKernel(0.9)
    torch.testing.assert_close(
        log_posterior(warm, x_train, x),
        torch.log_softmax(cold.log_kernel(statistic(cold, x_train, x)) / 20.0, dim=1),
    )
    assert warm.settings() == cold.settings() == {"rho": 0.9}


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_a_bandwidth_is_above_zero(bandwidth: float) -> None:
    with pytest.raises(UserError, match="bandwidth above 0"):
        GaussianKernel(bandwidth)


@pytest.mark.parametrize("kernel", [BernoulliKernel, ContinuousBernoulliKernel])
@pytest.mark.parametrize("rho", [0.5, 1.0, 0.0, -0.9, math.nan, 1.5])
def test_rho_is_between_a_half_and_one(kernel: type[BernoulliKernel], rho: float) -> None:
    with pytest.raises(UserError, match="rho between"):
        kernel(rho)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_above_zero(temperature: float) -> None:
    with pytest.raises(UserError, match="temperature above 0"):
        ContinuousBernoulliKernel(0.9, temperature)


@pytest.mark.parametrize("kernel", [GaussianKernel(0.1), BernoulliKernel(), ContinuousBernoulliKernel()])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_are_finite(kernel: Kernel, bad: float) -> None:
    x = binary(4, 0)
    kernel.check(x)
    x[2, 3] = bad
    with pytest.raises(UserError, match="1 that are nan or infinite"):
        kernel.check(x)


def test_grey_images_are_refused_by_the_binary_kernel() -> None:
    with pytest.raises(UserError, match=r"binarise them.*likelihood\.kind=continuous_bernoulli.*Gaussian"):
        BernoulliKernel().check(grey(3, 0))


def test_points_outside_the_unit_interval_are_refused_by_the_continuous_bernoulli_kernel() -> None:
    with pytest.raises(UserError, match="2 values outside"):
        ContinuousBernoulliKernel().check(torch.tensor([[-0.1, 0.5], [1.0, 1.1]]))


@pytest.mark.parametrize("kernel", [GaussianKernel(0.3), BernoulliKernel(), ContinuousBernoulliKernel()])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_pixels_change_nothing(kernel: Kernel, value: float) -> None:
    x = binary(40, 0, 24)
    wider = torch.cat([x, torch.full((40, 5), value)], dim=1)
    plain, with_constant = (find_neighbours(points, kernel, 7, device="cpu") for points in (x, wider))
    torch.testing.assert_close(
        plain.posterior(kernel).log_q, with_constant.posterior(kernel).log_q, atol=1e-4, rtol=1e-5
    )
