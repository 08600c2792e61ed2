"""Numbers as text keep significant digits however small they are."""

from __future__ import annotations

import math

import pytest

from dashboards.widgets.card import Card, Content
from gpvae_core.formatting import number, plus_minus, rounded, typographic
from gpvae_core.plots.beside_paper import words


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


def test_pages_write_one_minus_sign_and_keep_a_range_in_one_line() -> None:
    """Before, a caption wrote a hyphen before the number that its figure shows with a minus sign."""
    said = "ρ = -0.15 (95 %: -0.24 to -0.04), 2 to 3 %, in run-1 by iaf:4; 1.2e-05, x = (-0.10, 0.20), close to 3"
    shown = (
        "ρ = −0.15 (95 %: −0.24\xa0to\xa0−0.04), 2\xa0to\xa03 %, in run-1 by iaf:4; 1.2e-05, x = (−0.10, 0.20), "
        "close to 3"
    )
    assert typographic(said) == shown
    card = Card({})
    card.show(Content(sentence=said, alt=said, message="gpvae train --resume runs/a -1"))
    assert card.content["sentence"] == card.content["alt"] == shown
    assert card.content["message"] == "gpvae train --resume runs/a -1"
    assert words("wn-vae", -3.0, None, None) == "wn-vae: −3.0 nats"
