"""The movable Gaussians: where they start, where their steps lead, and what they are as densities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.densities.movable import (
    MovableDiagonal,
    MovableFull,
    MovableFullByRows,
    MovableGaussian,
    MovableInLatentUnits,
)
from gpvae_core.densities.noise import matched_noise
from gpvae_core.densities.refined import RefinedPosterior
from gpvae_core.densities.rotated_gaussian import RotatedGaussian
from tests.oracles import kl_to_standard_normal

FAMILY = [MovableDiagonal, MovableInLatentUnits, MovableFull, MovableFullByRows]


def correlated(d: int = 3) -> FullGaussian:
    generator = torch.Generator().manual_seed(0)
    lower = torch.randn(2, d, d, generator=generator, dtype=torch.float64).tril(-1)
    s = (0.3 * torch.randn(2, d, generator=generator, dtype=torch.float64)).exp()
    chol = s.unsqueeze(-1) * (torch.eye(d, dtype=torch.float64) + lower)
    return FullGaussian(torch.randn(2, d, generator=generator, dtype=torch.float64), chol)


@pytest.mark.parametrize("kind", FAMILY)
def test_kl_and_samples_are_those_of_the_gaussian(kind: type[MovableGaussian]) -> None:
    q = kind.matching(correlated())
    density = q.posterior()
    torch.testing.assert_close(density.mean, correlated().mean)
    torch.testing.assert_close(density.variance, correlated().variance)
    normal = torch.distributions.MultivariateNormal(density.mean, scale_tril=density.lower_factor())
    prior = torch.distributions.MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    torch.testing.assert_close(kl_to_standard_normal(density), torch.distributions.kl_divergence(normal, prior))
    z = q.transform(matched_noise(64, 3, torch.Generator().manual_seed(1), torch.float64).unsqueeze(1))
    torch.testing.assert_close(z.mean(0), density.mean, atol=1e-5, rtol=1e-5)
    centred = z - density.mean
    torch.testing.assert_close(torch.einsum("kri,krj->rij", centred, centred) / 64, normal.covariance_matrix)


@pytest.mark.parametrize("kind", FAMILY)
def test_a_step_leads_to_a_gaussian_and_no_step_leaves_it(kind: type[MovableGaussian]) -> None:
    q = kind.matching(correlated())
    for same, own in zip(q.moved(q.origin()).parts(), q.parts(), strict=True):
        assert torch.equal(same, own)
    generator = torch.Generator().manual_seed(2)
    by = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in q.origin()]
    chol = q.moved(by).posterior().lower_factor()
    assert torch.equal(chol, chol.tril())
    assert float(chol.diagonal(dim1=-2, dim2=-1).min()) > 0
    # The second half of the coordinates is the log scale of the diagonal of L, whatever the chart.
    scale = (chol / q.posterior().lower_factor()).diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(scale, by[1].exp())


def test_what_a_step_of_the_mean_is_measured_in() -> None:
    q = correlated()
    a = torch.ones(2, 3, dtype=torch.float64)
    units = {
        MovableDiagonal: q.variance.sqrt(),
        MovableInLatentUnits: a,
        MovableFull: q.chol.sum(-1),
        MovableFullByRows: q.chol.diagonal(dim1=-2, dim2=-1),
    }
    for kind, unit in units.items():
        start = kind.matching(q)
        moved = start.moved([a, *start.origin()[1:]])
        torch.testing.assert_close(moved.posterior().mean - q.mean, unit)


@pytest.mark.parametrize("kind", FAMILY)
def test_rows_are_picked_replaced_and_chosen(kind: type[MovableGaussian]) -> None:
    q = kind.matching(correlated())
    other = q.moved([torch.ones_like(t) for t in q.origin()])
    condition = torch.tensor([True, False])
    for mixed in (q.where(condition, other), q.replaced(torch.tensor([1]), other.rows(torch.tensor([1])))):
        for value, own, its in zip(mixed.parts(), q.parts(), other.parts(), strict=True):
            assert torch.equal(value, torch.stack([own[0], its[1]]))


@pytest.mark.parametrize("d", [2, 6])
def test_any_gaussian_is_where_the_full_refiner_starts(d: int) -> None:
    """A rotated Gaussian, a refined full one, a refined refined one, and a diagonal one, through dense covariances."""
    generator = torch.Generator().manual_seed(0)
    m, v = torch.randn((2, 5, d), generator=generator, dtype=torch.float64)
    s = 10.0 ** -torch.arange(d).double().expand(5, d)
    plain = DiagonalGaussian(m, s)
    rotated = RotatedGaussian(plain, nn.functional.normalize(v, dim=-1)[None])
    turn = torch.eye(d).double() - 2 * rotated.v[0].unsqueeze(-1) * rotated.v[0].unsqueeze(-2)
    full = FullGaussian(m, torch.linalg.cholesky(turn @ torch.diag_embed(s.square()) @ turn))
    covariance = (turn * s.square().unsqueeze(-2)) @ turn
    for q in (
        rotated,
        full,
        RefinedPosterior(full, plain),
        RefinedPosterior(RefinedPosterior(full, plain), plain),
        RefinedPosterior(rotated, plain),
    ):
        start = MovableFull.matching(q)
        assert torch.allclose(start.m, q.mean)
        assert torch.allclose(start.chol @ start.chol.mT, covariance, rtol=1e-8, atol=1e-14)
        assert torch.equal(start.chol, start.chol.tril())
        assert float(start.chol.diagonal(dim1=-2, dim2=-1).min()) > 0
    assert torch.equal(MovableFull.matching(RefinedPosterior(plain, full)).chol, torch.diag_embed(s))


def test_training_goes_through_the_factor_of_a_rotated_gaussian() -> None:
    generator = torch.Generator().manual_seed(0)
    s, v = torch.rand((2, 3, 4), generator=generator, dtype=torch.float64) + 0.2

    def factor(s: Tensor, v: Tensor) -> Tensor:
        q = RotatedGaussian(DiagonalGaussian(torch.zeros_like(s), s), nn.functional.normalize(v, dim=-1)[None])
        return MovableFull.matching(q).chol

    assert torch.autograd.gradcheck(factor, (s.requires_grad_(), v.requires_grad_()))
