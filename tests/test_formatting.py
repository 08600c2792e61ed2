"""Numbers as text keep significant digits however small they are."""

from __future__ import annotations

import math

import pytest

from gpvae_core.formatting import number, plus_minus, rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (14.64412, "14.644"),
        (-0.25, "-0.250"),
        (0.01, "0.010"),
        (0.0041, "0.0041"),
        (-0.00041, "-0.00041"),
        (0.0000032, "3.2e-06"),
        (0.0, "0.000"),
        (None, "?"),
        (math.inf, "inf"),
    ],
)
def test_a_small_number_has_two_significant_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_number_of_known_scale_has_its_decimals_and_no_negative_zero() -> None:
    assert [rounded(value, 2) for value in (0.123, -0.001, None)] == ["0.12", "0.00", "?"]


def test_a_value_without_an_error_stands_alone() -> None:
    assert plus_minus(1.5, 0.0004) == "1.500 ± 0.00040"
    assert plus_minus(1.5, None) == "1.500"
