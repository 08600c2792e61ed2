"""Cholesky factors with a jitter that grows: what is factorised, how much is added, what is said if nothing helps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.cholesky import LARGEST_JITTER, cholesky_of_identity_plus, safe_cholesky
from tests.gp_prior.dense import kernel_matrix

TIMES = torch.linspace(0, 3, 40, dtype=torch.float64)


def added(matrix: Tensor, factor: Tensor) -> Tensor:
    """What L L' has on its diagonal beyond the matrix, relative to the mean of the diagonal."""
    difference = factor.double() @ factor.double().mT - matrix.double()
    off = difference - torch.diag_embed(difference.diagonal(dim1=-2, dim2=-1))
    assert float(off.abs().max()) < 1e-5
    return difference.diagonal(dim1=-2, dim2=-1).mean(-1) / matrix.double().diagonal(dim1=-2, dim2=-1).mean(-1)


def test_no_more_is_added_than_was_asked_for_where_that_suffices() -> None:
    K = kernel_matrix("matern(t, nu=0.5, variance=3)", TIMES)
    torch.testing.assert_close(
        added(K, safe_cholesky(K, 1e-6, "K")), torch.tensor(1e-6).double(), atol=1e-12, rtol=1e-6
    )
    assert torch.equal(safe_cholesky(K, 0.0, "K"), torch.linalg.cholesky(K))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_jitter_grows_with_the_rounding_of_the_numbers(dtype: torch.dtype) -> None:
    """A kernel of rank 6 or so of 40 points, twice, as double and as single precision."""
    K = kernel_matrix("rbf(t, length_scale=5)", torch.cat([TIMES, TIMES])).to(dtype)
    assert int(torch.linalg.cholesky_ex(K)[1]) > 0
    factor = safe_cholesky(K, 1e-300, "K")
    assert factor.dtype == dtype
    assert bool(factor.isfinite().all())
    eps = torch.finfo(dtype).eps
    assert 0.01 * eps < float(added(K, factor)) < 1e4 * eps


def test_one_matrix_of_a_batch_needs_it_and_all_get_it() -> None:
    K = torch.stack([kernel_matrix("rbf(t, length_scale=50)", TIMES), kernel_matrix("matern(t, nu=0.5)", TIMES)])
    first, second = added(K, safe_cholesky(K, 1e-14, "K")).tolist()
    assert first == pytest.approx(second, rel=0.1)


def test_gradients_are_those_of_the_matrix_with_the_jitter() -> None:
    A = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def log_det(A: Tensor) -> Tensor:
        return safe_cholesky(A @ A.mT + torch.eye(4), 1e-3, "K").diagonal().log().sum()

    assert torch.autograd.gradcheck(log_det, A.requires_grad_())


def test_identity_plus_a_huge_matrix_of_low_rank_is_factorised() -> None:
    """Rounding makes I + 1e30 v v' indefinite, which mathematics does not."""
    v = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    huge = 1e30 * v @ v.mT
    assert int(torch.linalg.cholesky_ex(torch.eye(9).double() + huge)[1]) > 0
    factor = cholesky_of_identity_plus(huge, "B")
    torch.testing.assert_close(factor @ factor.mT, huge, rtol=1e-6, atol=1e30 * 1e-9)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[1.0, 5.0], [5.0, 1.0]], f"the K (2 x 2) is not positive definite, even with {LARGEST_JITTER:g} of its mean"),
        (
            [[1.0, float("inf")], [0.0, 1.0]],
            "the K (2 x 2) has values that are not finite: try a smaller learning rate",
        ),
        ([[0.0, 0.0], [0.0, 0.0]], "the K (2 x 2) has a diagonal of zero or below: try a smaller learning rate"),
        ([[-1.0, 0.0], [0.0, -1.0]], "the K (2 x 2) has a diagonal of zero"),
    ],
)
def test_a_hopeless_matrix_is_named_with_what_to_try(matrix: list[list[float]], said: str) -> None:
    with pytest.raises(UserError) as error:
        safe_cholesky(torch.tensor(matrix), 1e-6, "K")
    assert said in str(error.value)
    assert "try" in str(error.value)
    assert "\n" not in str(error.value)
