"""The change of one pseudo-observation: the posterior, its KL and its marginals computed anew."""

from __future__ import annotations

import torch

from gpvae_core.gp_prior.one_changed import OneChanged
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.sparse import InducingPoints, Statistics
from tests.gp_prior.dense import agree, kernel_matrix, pseudo_observations

KERNEL = "rbf(t, length_scale=1.3)"
TIMES = torch.linspace(0, 6, 25, dtype=torch.float64)


def test_the_change_of_one_is_the_posterior_computed_anew() -> None:
    u = torch.linspace(0.3, 5.7, 6, dtype=torch.float64)
    points = InducingPoints(kernel_matrix(KERNEL, u), 1e-10)
    at = points.project(kernel_matrix(KERNEL, u, TIMES), torch.ones(25, dtype=torch.float64))
    pseudo = pseudo_observations(3, 25)
    before = Statistics.of(at, pseudo).posterior()
    instances = torch.tensor([4, 20])
    ones = OneChanged.of(before, at, pseudo, instances)
    generator = torch.Generator().manual_seed(7)
    mean = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    precision = torch.randn(2, 3, generator=generator, dtype=torch.float64).exp()
    change = ones.change(mean, precision)
    found = ones.marginals(change, before.marginals(at))
    for r, i in enumerate(instances.tolist()):
        y, p = pseudo.mean.clone(), pseudo.precision.clone()
        y[:, i], p[:, i] = mean[r], precision[r]
        anew = Statistics.of(at, PseudoObservations(y, p)).posterior()
        expected = anew.marginals(at)
        torch.testing.assert_close(found.mean[r], expected.mean, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(found.variance[r], expected.variance, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(ones.kl(change)[r], (anew.kl() - before.kl()).sum(), atol=1e-8, rtol=1e-8)
        own = ones.own_marginals(change)
        torch.testing.assert_close(own.mean[r], expected.mean[:, i], atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(own.variance[r], expected.variance[:, i], atol=1e-9, rtol=1e-9)
    alone = ones.rows(torch.tensor([1]))
    torch.testing.assert_close(alone.kl(alone.change(mean[1:], precision[1:])), ones.kl(change)[1:])


def test_no_change_changes_nothing() -> None:
    points = InducingPoints(kernel_matrix(KERNEL, TIMES[:5]), 1e-10)
    at = points.project(kernel_matrix(KERNEL, TIMES[:5], TIMES), torch.ones(25, dtype=torch.float64))
    pseudo = pseudo_observations(2, 25)
    q = Statistics.of(at, pseudo).posterior()
    ones = OneChanged.of(q, at, pseudo, torch.arange(25))
    change = ones.change(pseudo.mean.T, pseudo.precision.T)
    torch.testing.assert_close(ones.kl(change), torch.zeros(25, dtype=torch.float64), atol=1e-12, rtol=0)
    for r in range(25):
        rows = ones.rows(torch.tensor([r]))
        found = rows.marginals(rows.change(pseudo.mean.T[r : r + 1], pseudo.precision.T[r : r + 1]), q.marginals(at))
        agree(type(found)(found.mean[0], found.variance[0]), q.marginals(at), 1e-12)
