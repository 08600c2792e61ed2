"""What lies outside of a posterior's panel is said, and no key names a colour that only one theme has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpvae_core.inspection.line_views import LineDensity, LineView
from gpvae_core.inspection.uncertainty_views import FigureOneItem
from gpvae_core.inspection.views import PosteriorView
from gpvae_core.plots import figure_one, posterior
from gpvae_core.plots.theme import DARK, LIGHT, Theme

Z = np.linspace(-1.0, 1.0, 101)
LINE = LineView(
    z=Z, log_density=-0.5 * (Z / 0.2) ** 2 + 0.69, hpd_levels=((0.5, 0.4), (0.9, -0.7)),
    base_samples=np.array([0.1, 1.2, -3.0, 0.3]), gaussians=(LineDensity("q", 0.0, 0.04, -0.5 * (Z / 0.2) ** 2),),
    mapa_points=np.array([0.2, 1.7]), mapa_weights=np.array([0.5, 0.5]), modes=np.array([0.0]),
)  # fmt: skip
"""A line on which two of four samples and one of two MAPA points are shown."""


def notes(fig: Any) -> list[str]:
    return [note.text for note in fig.layout.annotations]


def outside(fig: Any) -> list[str]:
    return [text for text in notes(fig) if "outside" in text]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("line", [False, True])
def test_the_key_of_figure_one_is_true_in_both_themes(
    line: bool, theme: Theme, figure_one_items: tuple[FigureOneItem, ...]
) -> None:
    """Before, it called lines dark that are nearly white on dark paper."""
    items = [replace(item, posterior=LINE) if line else item for item in figure_one_items]
    key = notes(figure_one.figure(items, theme))[-1]
    assert "50, 90, 99 %" in key
    assert not {"dark", "light", "black", "white"} & set(key.replace(":", "").split())
    red, green, blue = (int(theme.base[k : k + 2], 16) for k in (1, 3, 5))
    assert "red" in key
    assert red > 2 * max(green, blue)


def test_figure_one_says_how_many_samples_lie_outside_of_each_panel(figure_one_items: tuple[Any, ...]) -> None:
    assert outside(figure_one.figure(figure_one_items, LIGHT)) == []
    first, second, *others = figure_one_items
    some = first.posterior.base_samples.copy()
    some[:3] += 50.0
    far = replace(second.posterior, base_samples=second.posterior.base_samples - 9.0)
    fig: Any = figure_one.figure(
        [
            replace(first, posterior=replace(first.posterior, base_samples=some)),
            replace(second, posterior=far),
            *others,
        ],
        LIGHT,
    )
    assert outside(fig) == ["3 of 80 samples outside", "80 of 80 samples outside"]
    first_end, second_end = (fig.layout[f"xaxis{number}"].domain[1] for number in ("", "2"))
    places = [note.x for note in fig.layout.annotations if "outside" in note.text]
    assert places == pytest.approx([first_end, second_end])
    assert outside(figure_one.figure([replace(first, posterior=LINE)], LIGHT)) == ["2 of 4 samples outside"]


def test_the_true_posterior_says_so_too(posterior_view: PosteriorView) -> None:
    assert outside(posterior.figure([posterior_view], ["vae"], LIGHT)) == []
    away = replace(posterior_view, base_samples=posterior_view.base_samples + 20.0)
    assert outside(posterior.figure([away], ["vae"], LIGHT)) == ["80 of 80 samples outside"]
    assert outside(posterior.figure([LINE], ["vae"], LIGHT)) == ["2 of 4 samples outside<br>1 of 2 MAPA points outside"]


def test_what_is_said_of_outside_hides_no_dots(
    posterior_view: PosteriorView, figure_one_items: tuple[Any, ...]
) -> None:
    """It stands beside a single panel; in others it has a ground of its own. Before, it was printed over the dots."""
    away = replace(posterior_view, base_samples=posterior_view.base_samples + 20.0)
    for view in (away, LINE):
        fig: Any = posterior.figure([view], ["vae"], LIGHT)
        (note,) = (note for note in fig.layout.annotations if "outside" in note.text)
        assert (note.x > fig.layout.xaxis.domain[1], note.xanchor) == (True, "left")
    far = replace(figure_one_items[0], posterior=away)
    for fig in (posterior.figure([away, away], ["a", "b"], DARK), figure_one.figure([far], DARK)):
        assert all(note.bgcolor for note in fig.layout.annotations if "outside" in note.text)
