"""Ours beside the paper: what is in `fig.data` must be the cells' numbers."""

# plotly makes the attributes of its figures at run time.
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gpvae_core.plots import beside_paper
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.tables.compare import Cell, compare
from gpvae_core.tables.paper import paper_table


def cells() -> list[Cell]:
    """Table 1 at d = 10; ours for the VAE and the GP encoder."""
    ours = {"vae": (680.25, 1.5, 3), "gp": (690.0, None, 1)}
    out = []
    for cell in compare(paper_table(1), [], dims=[10]):
        mean, sd, runs = ours.get(cell.method, (None, None, 0))
        out.append(replace(cell, mean=mean, sd=sd, runs=runs))
    return out


def named(fig: Any, name: str) -> Any:
    return next(trace for trace in fig.data if trace.name == name)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_paper_and_ours_stand_at_their_means_with_their_deviations(theme: Any) -> None:
    fig = beside_paper.figure(cells(), theme)
    paper, ours = named(fig, beside_paper.PAPER), named(fig, beside_paper.OURS)
    assert len(paper.x) == 22
    assert (paper.x[0], paper.error_x.array[0]) == (685.1, 1.8)
    assert list(ours.x) == [680.25, 690.0]
    assert list(ours.error_x.array) == [1.5, 0.0]
    names = fig.layout.yaxis.ticktext
    assert [names[round(y)] for y in ours.y] == ["VAE", "GPVAE"]
    assert [names[round(y)] for y in paper.y] == [cell.name for cell in cells()]
    assert ours.text[0] == "VAE: 680.2 ± 1.5 nats, 3 runs"
    assert ours.text[1] == "GPVAE: 690.0 nats, 1 run"
    assert paper.marker.symbol != ours.marker.symbol
    assert "nats" in fig.layout.xaxis.title.text
    assert fig.layout.paper_bgcolor == theme.paper


def test_without_ours_or_without_the_paper_the_legend_names_what_is_there() -> None:
    none = [replace(cell, mean=None, sd=None) for cell in cells()]
    fig = beside_paper.figure(none, LIGHT)
    assert (named(fig, beside_paper.PAPER).showlegend, named(fig, beside_paper.OURS).showlegend) == (True, False)
    own = [replace(cell, paper_mean=None, paper_sd=None) for cell in cells()[:1]]
    fig = beside_paper.figure(own, LIGHT)
    assert (named(fig, beside_paper.PAPER).showlegend, named(fig, beside_paper.OURS).showlegend) == (False, True)
    assert fig.layout.height == beside_paper.height(1)
    assert beside_paper.words("VAE", -12.5, 0.25, 2) == "VAE: −12.5 ± 0.2 nats, 2 runs"
