"""The stacks of gaps of many methods: numbers that can be read, and a stack that is cut where it is much longer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpvae_core.inspection.gap_lab.views import GapStack, StacksView
from gpvae_core.inspection.views import Value
from gpvae_core.plots import stacked_gaps
from gpvae_core.plots.method_styles import method_styles
from gpvae_core.plots.theme import LIGHT

NAMES = ("vae", "full", "iaf:4", "gp", "vae+svi:8", "realnvp:4", "mixture:5", "householder:4", "vae+laplace:10")
GAPS = (0.19, 0.09, 0.11, 0.21, 0.16, 0.13, 0.31, 0.12, 0.14)
DIGIT = 7.0
"""Pixels of a digit of the numbers' bold type."""


def view(gaps: tuple[float, ...], se: float | None = None) -> StacksView:
    """The approximation gap is 0.15 nats, and every gap has a usual range."""
    stacks = [GapStack(n, Value(g, se), Value(g - 0.15, se), (0.03, 2.48)) for n, g in zip(NAMES, gaps, strict=False)]
    return StacksView("image 3", Value(-23.9, se), Value(0.15, se), Value(0.05, se), tuple(stacks), True, "quadrature")


def drawn(gaps: tuple[float, ...], with_svi: bool = True) -> Any:
    return stacked_gaps.figure(view(gaps), method_styles(NAMES, "vae", LIGHT), LIGHT, with_svi=with_svi)


def trace(fig: Any, name: str) -> Any:
    return next(trace for trace in fig.data if trace.name == name)


def numbers(fig: Any) -> list[Any]:
    """The annotations below the stacks."""
    return [note for note in fig.layout.annotations if note.xref != "paper"]


@pytest.mark.parametrize("count", [2, 4, 6, 9])
@pytest.mark.parametrize("longest", [0.31, 2735.4])
def test_no_number_reaches_into_the_place_of_the_next(count: int, longest: float) -> None:
    """Before, ranges of 80 pixels stood in places of 34."""
    fig = drawn((*GAPS[: count - 1], longest))
    width = stacked_gaps.WIDTH - stacked_gaps.LEFT - stacked_gaps.RIGHT
    place = width / (count + 1)
    notes = numbers(fig)
    assert len(notes) == count
    for note in notes:
        first, *rest = note.text.replace("<b>", "").replace("</b>", "").split("<br>")
        assert len(first) * DIGIT <= place + 1
        assert all(len(line) * DIGIT * 0.8 <= place + 5 for line in rest)
        assert "(0.03 to 2.48)" in (note.text if rest else note.hovertext), "it is below the number, or on it"
    assert trace(fig, "ELBO").text == (" (0.03 to 2.48)",) * count


def test_a_stack_that_is_much_longer_is_cut_marked_and_keeps_its_number() -> None:
    """Before, all others were of no height beside one of 2,735 nats."""
    fig = drawn((*GAPS[:8], 2735.4))
    low, high = fig.layout.yaxis.range
    assert 0.31 < low < 0.6
    assert high < 0.0
    lengths = trace(fig, "amortization gap")
    ends = np.asarray(lengths.base) + lengths.y
    assert ends[8] == pytest.approx(stacked_gaps.depth_shown(view((*GAPS[:8], 2735.4))))
    assert 0.31 < ends[8] < low, "its end is within the axis, below all others"
    np.testing.assert_allclose(lengths.customdata[8], 2735.25)
    assert numbers(fig)[8].text == "<b>2,735</b>"
    cuts = [mark for mark in fig.data if mark.name == "cut: longer than the axis"]
    assert [tuple(mark.x) for mark in cuts] == [(8,)] * 3
    assert sum(bool(mark.showlegend) for mark in cuts) == 1
    assert np.isnan(trace(fig, "ELBO").y[8]), "where it is cut is no ELBO"
    assert drawn((0.19, 2735.4)).layout.yaxis.range[0] < 0.5


@pytest.mark.parametrize("gaps", [GAPS, (0.01, 0.19), (0.5, 0.6, 3.0), (2735.4,), (900.0, 2735.4)])
def test_no_other_stack_is_cut(gaps: tuple[float, ...]) -> None:
    fig = drawn(gaps)
    assert not [mark for mark in fig.data if "cut" in mark.name]
    assert fig.layout.yaxis.range[0] > max(gaps)
    np.testing.assert_allclose(trace(fig, "ELBO").y, gaps)


def test_two_that_diverged_are_both_cut_and_one_that_is_not_a_number_is_left_out() -> None:
    gaps = (0.19, 0.2, 50.0, 2735.4)
    assert stacked_gaps.depth_shown(view(gaps)) == pytest.approx(0.25)
    lost = view((*gaps, 0.3))
    nan = replace(lost.stacks[-1], inference=Value(np.nan, None), amortization=Value(np.nan, None))
    assert stacked_gaps.depth_shown(replace(lost, stacks=(*lost.stacks[:-1], nan))) == pytest.approx(0.25)
