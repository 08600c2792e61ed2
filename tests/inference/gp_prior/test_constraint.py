"""GECO's multiplier against a recursion by hand, and a fixed beta."""

from __future__ import annotations

import math

import pytest
import torch

from gpvae_core.inference.gp_prior.constraint import FixedBeta, Geco, Terms, unmet_constraint


def terms(error: float, kl: float = 3.0) -> Terms:
    square = torch.full((4,), error, requires_grad=True)
    return Terms(torch.full((4,), -2.0), square, torch.tensor(kl), lambda: torch.tensor(-1.5))


def test_beta_weighs_the_kl_per_image() -> None:
    assert float(FixedBeta(0.5).surrogate(terms(0.1), 1.0)) == pytest.approx(-2.0 - 0.5 * 3.0 / 4)
    assert float(FixedBeta(1.0).surrogate(terms(0.1), 0.2)) == pytest.approx(-2.0 - 0.2 * 3.0 / 4)


def test_the_multiplier_is_used_and_then_multiplied_by_the_exponential_of_the_moving_average() -> None:
    geco = Geco(tolerance=0.02, momentum=0.9)
    average, multiplier = None, 1.0
    for error in (0.5, 0.3, 0.01, 0.001):
        constraint = error - 0.02
        average = constraint if average is None else 0.9 * average + 0.1 * constraint
        surrogate = geco.surrogate(terms(error), 1.0)
        assert float(surrogate.detach()) == pytest.approx(-1.5 - (3.0 + multiplier * average), rel=1e-6)
        multiplier *= math.exp(average)
        assert geco.figures() == pytest.approx({"constraint": average, "multiplier": multiplier}, rel=1e-6)


def test_the_gradient_is_that_of_the_batch_times_the_multiplier() -> None:
    geco = Geco(0.02, 0.9)
    geco.surrogate(terms(0.5), 1.0)
    before = geco.figures()["multiplier"]
    second = terms(0.3)
    geco.surrogate(second, 1.0).backward()
    assert second.square_error.grad is not None
    assert second.square_error.grad.tolist() == pytest.approx([-before / 4] * 4, rel=1e-6)


def test_the_multiplier_is_bounded() -> None:
    geco = Geco(0.02, 0.0)
    for _ in range(100):
        geco.surrogate(terms(1.0), 1.0)
    assert geco.figures()["multiplier"] == pytest.approx(1e8)


def test_a_constraint_that_is_not_met_at_the_bound_is_said() -> None:
    bound = 1e8 * (1 + 1e-15)
    said = unmet_constraint([1, 2, 3, 4], [0.1, 0.1, 0.05, 0.0058], [10.0, bound, bound, bound])
    assert said == (
        "GECO's constraint is not met: C = 0.0058 pixel² is above 0, and the multiplier has stood at its bound of "
        "1e+08 since epoch 2"
    )
    assert unmet_constraint([1, 2], [0.1, -0.01], [bound, bound]) == "", "it is met"
    assert unmet_constraint([1, 2], [0.1, 0.01], [bound, 1e7]) == "", "the multiplier has left its bound"
    assert unmet_constraint([1, 2], [math.nan] * 2, [math.nan] * 2) == "", "there is no GECO"
    assert unmet_constraint([], [], []) == ""


def test_what_it_remembers_is_in_the_state() -> None:
    geco, copy = Geco(0.02, 0.9), Geco(0.02, 0.9)
    geco.surrogate(terms(0.5), 1.0)
    copy.load_state_dict(geco.state_dict())
    assert torch.equal(copy.surrogate(terms(0.3), 1.0), geco.surrogate(terms(0.3), 1.0))
