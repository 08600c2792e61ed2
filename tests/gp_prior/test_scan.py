"""Prefixes of an associative operation."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.gp_prior.scan import Elements, prefixes


def product(first: Elements, second: Elements) -> Elements:
    """The product of matrices, which is associative and not commutative."""
    return (first[0] @ second[0],)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 31])
def test_prefixes_are_those_of_a_loop(count: int) -> None:
    matrices = torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    (found,) = prefixes(product, (matrices,))
    wanted = matrices[0]
    for k in range(count):
        wanted = matrices[0] if k == 0 else wanted @ matrices[k]
        torch.testing.assert_close(found[k], wanted)
