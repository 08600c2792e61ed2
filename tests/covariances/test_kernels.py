"""Every registered kernel against its formula, GPyTorch where it has the same one, and the properties of a kernel."""

from __future__ import annotations

import math

import gpytorch
import pytest
import torch
from torch import Tensor

from gpvae_core.covariances.base import COVARIANCES, CovarianceFunction
from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.errors import UserError

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(7, 3, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)
SQUARE = (X[:, None] - Y[None]).square().sum(-1)
R = SQUARE.sqrt()
NORMS = X.norm(dim=1)[:, None] * Y.norm(dim=1)


def kernel(text: str, features: slice = slice(0, 3), period: float | None = None) -> CovarianceFunction:
    return parse_kernel(text).build(lambda term: term.config.build(features, period))


FORMULAS = {
    "rbf(x, length_scale=0.7, variance=2)": 2 * torch.exp(-SQUARE / (2 * 0.49)),
    "matern(x, nu=0.5, length_scale=0.7)": torch.exp(-R / 0.7),
    "matern(x, nu=1.5, length_scale=0.7)": (1 + math.sqrt(3) * R / 0.7) * torch.exp(-math.sqrt(3) * R / 0.7),
    "matern(x, nu=2.5)": (1 + math.sqrt(5) * R + 5 / 3 * SQUARE) * torch.exp(-math.sqrt(5) * R),
    "linear(x, variance=3)": 3 * X @ Y.T,
    "normalised_linear(x)": X @ Y.T / NORMS,
    "periodic(x, period=2, length_scale=0.5)": torch.exp(
        -2 * torch.sin(math.pi * (X[:, None] - Y[None]) / 2).square().sum(-1) / 0.25
    ),
    "white(variance=0.3)": torch.zeros(7, 5, dtype=torch.float64),
    "same(x)": torch.zeros(7, 5, dtype=torch.float64),
}
PERIODIC = "periodic(x, period=2, length_scale=0.5)"


@pytest.mark.parametrize("text", FORMULAS)
def test_the_kernel_is_its_formula(text: str) -> None:
    torch.testing.assert_close(kernel(text).matrix(X, Y), FORMULAS[text], atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("text", FORMULAS)
def test_the_matrix_of_instances_is_symmetric_positive_definite_with_the_diagonal(text: str) -> None:
    k = kernel(text)
    K = k.matrix(X, X)
    torch.testing.assert_close(K, K.T)
    torch.testing.assert_close(K.diagonal(), k.diagonal(X))
    assert float(torch.linalg.eigvalsh(K.detach()).min()) > -1e-12


def test_every_registered_kernel_has_a_formula_here() -> None:
    assert {text.partition("(")[0] for text in FORMULAS} == set(COVARIANCES.summaries())


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("rbf(x)", gpytorch.kernels.RBFKernel()),
        ("matern(x, nu=0.5)", gpytorch.kernels.MaternKernel(nu=0.5)),
        ("matern(x, nu=1.5)", gpytorch.kernels.MaternKernel(nu=1.5)),
        ("linear(x)", gpytorch.kernels.LinearKernel()),
    ],
)
def test_gpytorch_has_the_same_kernel(text: str, peer: gpytorch.kernels.Kernel) -> None:
    peer = peer.double()
    if peer.has_lengthscale:
        peer.lengthscale = torch.ones(())
    else:
        peer.variance = torch.ones(())  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(kernel(text).matrix(X, Y), peer(X, Y).to_dense())


def test_gpytorchs_periodic_kernel_divides_by_the_length_scale_and_ours_by_its_square() -> None:
    peer = gpytorch.kernels.PeriodicKernel().double()
    peer.period_length, peer.lengthscale = torch.tensor(2.0), torch.tensor(0.25)
    torch.testing.assert_close(kernel(PERIODIC).matrix(X, Y), peer(X, Y).to_dense())


def test_the_periodic_kernel_has_the_period_of_its_column() -> None:
    angles = torch.tensor([[0.0], [math.pi], [2 * math.pi]], dtype=torch.float64)
    K = kernel("periodic(angle)", slice(0, 1), 2 * math.pi).matrix(angles, angles).detach()
    torch.testing.assert_close(K[0, 2], K[0, 0])
    assert float(K[0, 1]) < 0.2, "0 and 180 degrees are two views"
    with pytest.raises(UserError, match="wants a column with a period"):
        kernel("periodic(x)")


def test_the_same_category_and_white_noise() -> None:
    codes = torch.tensor([[0.0], [1.0], [1.0]], dtype=torch.float64)
    expected = torch.tensor([[2.0, 0, 0], [0, 2, 2], [0, 2, 2]], dtype=torch.float64)
    torch.testing.assert_close(kernel("same(v, variance=2)", slice(0, 1)).matrix(codes, codes), expected)
    white = kernel("white(variance=0.3)")
    torch.testing.assert_close(white.matrix(codes, codes), 0.3 * torch.eye(3, dtype=torch.float64))
    assert float(white.matrix(codes, codes.clone()).detach().abs().max()) == 0.0, "other instances"


def test_sums_and_products_bind_as_in_arithmetic() -> None:
    a, b, c = (kernel(t).matrix(X, Y) for t in ("rbf(x)", "linear(x)", "matern(x)"))
    torch.testing.assert_close(kernel("rbf(x) + linear(x) * matern(x)").matrix(X, Y), a + b * c)
    torch.testing.assert_close(kernel("(rbf(x) + linear(x)) * matern(x)").matrix(X, Y), (a + b) * c)
    total = kernel("(rbf(x) + linear(x)) * matern(x)")
    torch.testing.assert_close(total.diagonal(X), total.matrix(X, X).diagonal())


@pytest.mark.parametrize("text", ["rbf(x)", "matern(x, nu=1.5)", "linear(x)", "normalised_linear(x)", PERIODIC])
def test_gradients_are_finite_differences(text: str) -> None:
    k = kernel(text)
    parameters = list(k.parameters())

    def value(x: Tensor, *_: Tensor) -> Tensor:
        return k.matrix(x, Y)

    assert torch.autograd.gradcheck(value, (X.clone().requires_grad_(), *parameters))


def test_fixed_parameters_are_not_learned() -> None:
    assert all(p.requires_grad for p in kernel("rbf(x)").parameters())
    assert not any(p.requires_grad for p in kernel("rbf(x, learn=false)").parameters())
    assert set(kernel("rbf(x)").state_dict()) == {"length_scale.log", "variance.log"}


def test_one_parameter_is_learned_alone() -> None:
    learned = {name: p.requires_grad for name, p in kernel("rbf(x, learn=length_scale)").named_parameters()}
    assert learned == {"length_scale.log": True, "variance.log": False}
    assert [p.requires_grad for p in kernel("linear(x, learn=variance)").parameters()] == [True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "wanted a kernel such as"),
        ("rbf(", "got 'rbf(': '(' was never closed"),
        ("rbf(x))", "got 'rbf(x))': unmatched ')'"),
        ("rbf(x, -)", "wanted a kernel such as"),
        ("linear(x, learn=length_scale)", "setting 'learn': wanted one of true, false, variance, got length_scale"),
        ("rbf(x, learn=7)", "setting 'learn': wanted one of true, false, length_scale, variance, got 7"),
        ("rbf", "wanted sums and products of kernels, got 'rbf'"),
        ("rbf(x) - rbf(x)", "wanted sums and products"),
        ("rfb(x)", "did you mean 'rbf'"),
        ("rbf()", "wants the name of one column, got none"),
        ("rbf(x, y)", "wants the name of one column, got x, y"),
        ("rbf(3)", "wants the name of one column, got 3"),
        ("white(x)", "wants no column, got x"),
        ("rbf(x, lengthscale=2)", "did you mean 'length_scale'"),
        ("rbf(x, length_scale=-1)", "setting 'length_scale': input should be greater than 0, got -1"),
        ("rbf(x, length_scale=-y)", "wanted a number, true or false, got '-y'"),
        ("rbf(x, length_scale=-'y')", "wanted a kernel such as"),
        ("rbf(x, length_scale=0)", "setting 'length_scale'"),
        ("rbf(x, length_scale=1e400)", "setting 'length_scale'"),
        ("matern(x, nu=2)", "setting 'nu'"),
        ("rbf(x, **{'a': 1})", "wanted a number, true or false"),
        ("__import__('os').system('true')", "wanted sums and products"),
        ("rbf(x)" + "+rbf(x)" * 500, "wanted a kernel of at most"),
        ("(" * 400 + "rbf(x)" + ")" * 400, "wanted a kernel such as"),
    ],
)
def test_what_is_no_kernel_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        parse_kernel(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("rbf(time)", {"time"}),
        ("periodic(angle) * linear(object)", {"angle", "object"}),
        ("periodic(angle) * linear(object) + white()", {"angle", "object"}),
        ("rbf(time) + rbf(time) * linear(object)", {"time"}),
        ("rbf(time) * (linear(object) + rbf(angle))", {"time"}),
        ("rbf(time) + rbf(angle)", set()),
    ],
)
def test_the_columns_of_every_summand(text: str, columns: set[str]) -> None:
    assert parse_kernel(text).everywhere() == columns


def test_noise_alone_has_no_column() -> None:
    assert parse_kernel("white() + white()").everywhere() is None
