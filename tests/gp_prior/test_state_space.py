"""Matern GPs as state-space models: equal to dense algebra at irregular times with gaps, and linear in their number."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.exact import ExactPosterior
from gpvae_core.gp_prior.pseudo import PseudoObservations
from gpvae_core.gp_prior.state_space import SMOOTHNESS, MarkovPosterior, MaternProcess
from tests.gp_prior.dense import agree, kernel_matrix, pseudo_observations

IRREGULAR = torch.cat(
    [
        torch.tensor([0.0, 1e-9, 1e-4, 0.5, 0.5, 3.0, 50.0]),
        50 + torch.rand(20, generator=torch.Generator().manual_seed(0)).cumsum(0),
    ]
).double()


def process(nu: float, length_scale: float = 0.8, variance: float = 1.7) -> MaternProcess:
    return MaternProcess(
        nu, torch.tensor(length_scale, dtype=torch.float64), torch.tensor(variance, dtype=torch.float64)
    )


def with_gaps(n: int) -> PseudoObservations:
    pseudo = pseudo_observations(2, n)
    precision = pseudo.precision.clone()
    precision[0, 2:6] = 0.0
    precision[1, -3:] = 0.0
    return PseudoObservations(pseudo.mean, precision)


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_evidence_and_marginals_are_those_of_the_dense_form(nu: float) -> None:
    pseudo = with_gaps(27)
    K = kernel_matrix(f"matern(t, nu={nu}, length_scale=0.8, variance=1.7)", IRREGULAR)
    dense, markov = ExactPosterior(K, pseudo), MarkovPosterior(process(nu), IRREGULAR, pseudo)
    torch.testing.assert_close(markov.log_evidence(), dense.log_evidence(), atol=1e-7, rtol=1e-7)
    agree(markov.marginals(), dense.marginals(), 1e-7)


@pytest.mark.parametrize("nu", SMOOTHNESS)
@pytest.mark.parametrize("length_scale", [1e-30, 1e-6, 1e4, 1e6, 1e30])
def test_tiny_and_huge_length_scales_are_those_of_the_dense_form(nu: float, length_scale: float) -> None:
    pseudo = with_gaps(27)
    K = kernel_matrix(f"matern(t, nu={nu}, length_scale={length_scale}, variance=1.7)", IRREGULAR)
    model = process(nu, length_scale)
    model.length_scale.requires_grad_()
    dense, markov = ExactPosterior(K, pseudo), MarkovPosterior(model, IRREGULAR, pseudo)
    torch.testing.assert_close(markov.log_evidence(), dense.log_evidence(), atol=1e-9, rtol=1e-9)
    agree(markov.marginals(), dense.marginals(), 1e-9)
    (gradient,) = torch.autograd.grad(markov.log_evidence().sum(), model.length_scale)
    assert bool(gradient.isfinite())


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_the_process_has_the_covariance_of_the_kernel(nu: float) -> None:
    """k(dt) = H A(dt) P_inf H', and A(s) A(t) = A(s + t)."""
    dt = torch.tensor([0.0, 0.1, 1.0, 4.0], dtype=torch.float64)
    model = process(nu)
    covariance = (model.transition(dt) @ model.stationary())[:, 0, 0]
    expected = kernel_matrix(f"matern(t, nu={nu}, length_scale=0.8, variance=1.7)", dt[:1], dt)[0]
    torch.testing.assert_close(covariance, expected, atol=1e-9, rtol=1e-7)
    A = model.transition(torch.tensor([0.3, 0.9, 1.2], dtype=torch.float64))
    torch.testing.assert_close(A[0] @ A[1], A[2], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("nu", SMOOTHNESS)
def test_gradients_are_those_of_the_dense_form(nu: float) -> None:
    times = torch.linspace(0, 4, 12, dtype=torch.float64)
    pseudo = with_gaps(12)

    def gradients(use_markov: bool) -> list[Tensor]:
        scale = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
        y, precision = pseudo.mean.clone().requires_grad_(), pseudo.precision.clone().requires_grad_()
        latent = PseudoObservations(y, precision)
        if use_markov:
            q = MarkovPosterior(MaternProcess(nu, scale, torch.ones((), dtype=torch.float64)), times, latent)
        else:
            # The kernel by its formula, as a function of the length scale.
            x = (2 * nu) ** 0.5 * (times[:, None] - times).abs() / scale
            poly = {0.5: torch.ones_like(x), 1.5: 1 + x, 2.5: 1 + x + x**2 / 3}[nu]
            q = ExactPosterior(poly * torch.exp(-x), latent)
        marginals = q.marginals()
        total = q.log_evidence().sum() + (marginals.mean * times).sum() + marginals.variance.sum()
        found = torch.autograd.grad(total, [scale, y, precision])
        # The gradient of a precision of 0 is that of adding an observation, of which there is none.
        return [found[0], found[1], torch.where(pseudo.precision > 0, found[2], 0.0)]

    for markov, dense in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(markov, dense, atol=1e-6, rtol=1e-6)


def test_work_grows_linearly_and_depth_logarithmically_with_the_number_of_instants() -> None:
    """Counted in multiplications, and in operations of the recorded graph, as times depend on the machine."""

    def counted(n: int) -> tuple[int, int]:
        times = torch.linspace(0, 3, n, dtype=torch.float64)
        pseudo = pseudo_observations(1, n)
        y = pseudo.mean.requires_grad_()
        with FlopCounterMode(display=False) as counter:
            posterior = MarkovPosterior(process(1.5), times, PseudoObservations(y, pseudo.precision))
            mean = posterior.marginals().mean.sum()
        seen, stack = set(), [posterior.log_evidence().grad_fn, mean.grad_fn]
        while stack:
            node = stack.pop()
            if node is not None and node not in seen:
                seen.add(node)
                stack += [parent for parent, _ in node.next_functions]
        return counter.get_total_flops(), len(seen)

    work, nodes = zip(*map(counted, (64, 128, 256)), strict=True)
    assert work[2] - work[1] == pytest.approx(2 * (work[1] - work[0]), rel=0.01)
    assert nodes[2] - nodes[1] == nodes[1] - nodes[0]


def test_disordered_times_and_other_smoothness_are_refused() -> None:
    with pytest.raises(UserError, match="order of time"):
        MarkovPosterior(process(1.5), torch.tensor([1.0, 0.0]).double(), pseudo_observations(1, 2))
    with pytest.raises(UserError, match=r"smoothness 0.5, 1.5, 2.5, got 2"):
        process(2.0)
