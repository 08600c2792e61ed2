"""Factors of kernel matrices against the matrices themselves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpvae_core.covariances.base import CovarianceFunction
from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.covariances.inputs import KernelInputs
from gpvae_core.data.auxiliary import Column
from gpvae_core.errors import UserError

COLUMNS = (
    Column("angle", "number", period=6.0),
    Column("object", "category", names=("a", "b", "c", "d")),
    Column("place", "vector", size=2),
)
GENERATOR = torch.Generator().manual_seed(0)
TABLE = torch.randn(4, 2, generator=GENERATOR, dtype=torch.float64)
JITTER = 1e-14


def values(angles: Tensor, seed: int) -> dict[str, Tensor]:
    """Columns of instances at some of these angles."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "angle": angles[torch.randint(len(angles), (20,), generator=generator)],
        "object": torch.randint(4, (20,), generator=generator),
        "place": torch.randn(20, 2, generator=generator, dtype=torch.float64),
    }


SEEN = values(torch.arange(6, dtype=torch.float64), 1)
NEW = values(torch.arange(6, dtype=torch.float64) + 0.3, 2)


def kernel_at(text: str) -> tuple[CovarianceFunction, Tensor, Tensor]:
    """The kernel with its inputs at the instances and at new ones."""
    expression = parse_kernel(text)
    inputs = KernelInputs(expression, COLUMNS)
    for table in inputs.tables.values():
        table.data = TABLE.clone()
    return expression.build(inputs.build), inputs(SEEN), inputs(NEW)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("linear(place, variance=3)", 2),
        ("normalised_linear(object, dim=2)", 2),
        ("same(object)", 4),
        ("periodic(angle, length_scale=0.7)", 6),
        ("rbf(object, dim=2)", 4),
        ("matern(angle, nu=1.5)", 6),
        ("periodic(angle) * linear(object, dim=2)", 12),
        ("linear(object, dim=2) + periodic(angle) * linear(place)", 14),
    ],
)
def test_the_factor_gives_the_kernel_at_the_instances_and_between_them_and_others(text: str, width: int) -> None:
    kernel, x, new = kernel_at(text)
    factor = kernel.factor(x, JITTER)
    assert factor.V.shape == (20, width)
    torch.testing.assert_close(factor.V @ factor.V.T, kernel.matrix(x, x), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(factor.at(new) @ factor.V.T, kernel.matrix(new, x), atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(factor.at(x), factor.V, atol=1e-5, rtol=1e-5)
    explained = factor.at(new).square().sum(1)
    assert (explained <= kernel.diagonal(new) + 1e-8).all()


def test_the_jitter_is_added_to_the_matrix_of_the_distinct_values() -> None:
    kernel, x, _ = kernel_at("periodic(angle)")
    V = kernel.factor(x, 1e-3).V
    same = SEEN["angle"][:, None] == SEEN["angle"]
    mean = kernel.diagonal(x).mean()
    torch.testing.assert_close(V @ V.T, kernel.matrix(x, x) + 1e-3 * mean * same, atol=1e-12, rtol=1e-12)


def test_gradients_reach_parameters_and_vectors() -> None:
    kernel, x, _ = kernel_at("periodic(angle) * rbf(object, dim=2)")
    x = x.detach().requires_grad_()
    parameters = [x, *kernel.parameters()]
    weight = torch.randn(20, 20, generator=GENERATOR, dtype=torch.float64)
    V = kernel.factor(x, JITTER).V
    by_factor = torch.autograd.grad((weight * (V @ V.T)).sum(), parameters)
    dense = torch.autograd.grad((weight * kernel.matrix(x, x.clone())).sum(), parameters)
    for a, b in zip(by_factor[1:], dense[1:], strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=1e-7)
    # Instances of one value share the gradient of the first of them.
    sums = [torch.zeros(4, 2).double().index_add(0, SEEN["object"], grad[:, 1:]) for grad in (by_factor[0], dense[0])]
    torch.testing.assert_close(*sums, atol=1e-7, rtol=1e-7)


def test_what_has_no_narrow_factor_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, x, _ = kernel_at("periodic(angle) + white()")
    with pytest.raises(UserError, match=r"leave white\(\) out of the kernel"):
        kernel.factor(x, JITTER)
    monkeypatch.setattr("gpvae_core.covariances.factor.MOST_FEATURES", 11)
    kernel, x, _ = kernel_at("periodic(angle) * linear(object, dim=2)")
    with pytest.raises(UserError, match="has 12 features at the training images: wanted at most 11"):
        kernel.factor(x, JITTER)
