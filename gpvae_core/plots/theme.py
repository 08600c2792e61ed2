"""The light and dark themes, and the layout that all figures share.

Categorical colours are Okabe and Ito's, which remain distinct for colour-blind readers. Different things also differ in
symbol, dash or edge, so that they are distinct in grey.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, NamedTuple

FONT = "Roboto, 'Segoe UI', Helvetica, Arial, sans-serif"
OKABE_ITO = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#7F7F7F",
)
CLASS_COLOURS = (*OKABE_ITO, "#6A3D9A", "#8C510A")
CLASS_COLOURS_ON_DARK = (
    *("#4FA8E0", "#E69F00", "#1FC796", "#E79AC6", "#8FD3FF"),
    *("#FF7B2E", "#F0E442", "#B5B5B5", "#B48CE0", "#C98A4B"),
)
VIRIDIS = ("#440154", "#46327E", "#365C8D", "#277F8E", "#1FA187", "#4AC16D", "#A0DA39")
VIRIDIS_ON_DARK = ("#5B5FA8", "#4A80A8", "#2FA0A0", "#2DB98C", "#5CCB66", "#A0DA39", "#FDE725")
LINE_COLOURS = ("#0072B2", "#00785A", "#A8437F", "#8C510A")
"""Colours of lines on light paper, where Okabe and Ito's green, violet and orange are too pale."""
CLASS_SYMBOLS = (
    "circle",
    "square",
    "diamond",
    "cross",
    "triangle-up",
    "x",
    "star",
    "pentagon",
    "hexagon",
    "triangle-down",
)
"""Symbols of the classes: in grey some pairs of the ten colours are too similar."""


NO_TEMPLATE = {"data": {"scatter": [{"type": "scatter"}]}}
"""Plotly's template "none", whose name plotly reads only where it checks a figure."""
ColourScale = list[list[float | str]]


class LineStyle(NamedTuple):
    """The style of one Gaussian: colour, dash and width in pixels."""

    colour: str
    dash: str
    width: float


@dataclass(frozen=True)
class Theme:
    """Colours of the light or the dark appearance."""

    name: str
    paper: str
    text: str
    muted: str
    grid: str
    contour: str
    edge: str
    """Outline of markers."""
    base: str
    """Samples of the base encoder, red as in Fig. 1."""
    mapa: str
    highlight: str
    density: tuple[str, ...]
    """Colours of a density from zero to its maximum."""
    diverging: tuple[str, str, str]
    """Colours of negative values, zero and positive values."""
    sequential: tuple[str, ...]
    """Viridis without the end that has too little contrast with the paper."""
    around: tuple[str, ...]
    """Colours of a number with a period, over one of it: blue to yellow to orange to dark and back, distinct for
    colour-blind readers."""
    bar: str
    bar_other: str
    gaussians: tuple[LineStyle, ...]
    classes: tuple[str, ...]

    @property
    def density_scale(self) -> ColourScale:
        return _scale(self.density)

    @property
    def sequential_scale(self) -> ColourScale:
        return _scale(self.sequential)

    @property
    def around_scale(self) -> ColourScale:
        return _scale(self.around)

    @property
    def diverging_scale(self) -> ColourScale:
        return _scale(self.diverging)


def _scale(colours: tuple[str, ...]) -> ColourScale:
    """Return a Plotly colour scale of these colours at equal distances from 0 to 1."""
    last = len(colours) - 1
    return [[k / last, colour] for k, colour in enumerate(colours)]


_STROKES = (("solid", 2.5), ("dash", 2.2), ("dot", 2.4), ("dashdot", 2.0))
"""Dash and width in pixels of the Gaussians' lines, which also distinguish them in grey."""


def _gaussians(*colours: str) -> tuple[LineStyle, ...]:
    return tuple(LineStyle(colour, *stroke) for colour, stroke in zip(colours, _STROKES, strict=True))


_VERSIONS: dict[str, tuple[Any, Any]] = {
    "name": ("light", "dark"),
    "paper": ("#FFFFFF", "#15191E"),
    "text": ("#1B1F24", "#F0F3F6"),
    "muted": ("#57606A", "#A9B3BE"),
    "grid": ("#E3E7EC", "#2B323B"),
    "contour": ("#1F3A5F", "#C9DDF2"),
    "edge": ("#FFFFFF", "#15191E"),
    "base": ("#D7191C", "#FF5A52"),
    "mapa": ("#E69F00", "#FFC247"),
    "highlight": ("#000000", "#FFFFFF"),
    "around": (
        ("#0072B2", "#7FA06B", "#E8B93A", "#DE8A1D", "#D55E00", "#7B2F22", "#2E1A47", "#1B4A7F", "#0072B2"),
        ("#4FA8E0", "#A6CBA5", "#F6E27A", "#FFB04F", "#FF7B2E", "#B9576B", "#74499C", "#677FC6", "#4FA8E0"),
    ),
    "bar": ("#56B4E9", "#56B4E9"),
    "bar_other": ("#D55E00", "#FF9248"),
    "density": (
        ("#FFFFFF", "#EEF3F8", "#D5E2EF", "#B3CBE2", "#8DB0D2"),
        ("#15191E", "#1B2530", "#223447", "#2B4763", "#365D85"),
    ),
    "diverging": (("#0072B2", "#F7F7F7", "#D55E00"), ("#56B4E9", "#20262D", "#FF9248")),
    "sequential": (VIRIDIS, VIRIDIS_ON_DARK),
    "gaussians": (_gaussians(*LINE_COLOURS), _gaussians("#6CC3FF", "#3DDBA8", "#F29ACB", "#E0A96D")),
    "classes": (CLASS_COLOURS, CLASS_COLOURS_ON_DARK),
}
"""Values of each field of `Theme` for light and for dark paper."""

LIGHT, DARK = (Theme(**{field: versions[paper] for field, versions in _VERSIONS.items()}) for paper in (0, 1))
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def axis(theme: Theme, title: str, **more: Any) -> dict[str, Any]:
    """Return an axis in the theme's colours; `title` names the quantity and its unit."""
    return {
        "title": {
            "text": title,
            "font": {"size": 11, "color": theme.text},
            "standoff": 4,
        },
        "tickfont": {"size": 10, "color": theme.muted},
        "gridcolor": theme.grid,
        "linecolor": theme.muted,
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": theme.muted,
        "ticklabeloverflow": "allow",  # otherwise plotly measures every label at every drawing
        **more,
    }


def nth(k: int) -> str:
    """Return what follows 'x' in the name of the k-th of several axes, counted from 0: plotly calls them x, x2, x3."""
    return str(k + 1) if k else ""


def translucent(colour: str, alpha: float) -> str:
    """Return the colour '#RRGGBB' with an alpha.

    For many markers it is much faster than their opacity, for which the browser makes a layer of each.
    """
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def with_unit(label: str) -> str:
    """Return the label of a latent coordinate with its unit."""
    return label if "prior sd" in label else f"{label} (prior sd)"


def plain(name: str) -> str:
    """Return a name as text of a figure, which shows it letter by letter.

    Plotly reads its texts as HTML (`<b>`, `&amp;`), as TeX between two dollar signs, and, in what is shown at the
    pointer, as a template (`%{x}`). Every name that others chose, of a run, a class or a data set, goes through here.
    """
    return html.escape(name, quote=False).replace("$", "&#36;").replace("%{", "&#37;{")


def wrapped(name: str, width: int) -> str:
    """Return the name as `plain`, in two lines parted at the space nearest its middle if it is longer than `width`."""
    spaces = [k for k, letter in enumerate(name) if letter == " "]
    if len(name) <= width or not spaces:
        return plain(name)
    middle = min(spaces, key=lambda k: abs(k - len(name) / 2))
    return plain(name[:middle]) + "<br>" + plain(name[middle + 1 :])


def shortened(name: str, width: int) -> str:
    """Return the name as `plain`, without its middle if it is longer than `width`: run names differ at both ends."""
    if len(name) <= width:
        return plain(name)
    head = (width - 1) // 2
    return plain(f"{name[:head]}…{name[head + 1 - width :]}")


def bare_axis(**more: Any) -> dict[str, Any]:
    """Return an axis without line, ticks and grid."""
    return {"visible": False, "fixedrange": True, **more}


def frame(
    theme: Theme,
    width: int,
    height: int,
    margin: tuple[int, int, int, int],
    **more: Any,
) -> dict[str, Any]:
    """Return the layout that all figures share; sizes and `margin` (left, right, top, bottom) are in pixels."""
    left, right, top, bottom = margin
    return {
        "template": NO_TEMPLATE,
        "width": width,
        "height": height,
        "margin": {"l": left, "r": right, "t": top, "b": bottom, "pad": 0},
        "paper_bgcolor": theme.paper,
        "plot_bgcolor": theme.paper,
        "font": {"family": FONT, "size": 11, "color": theme.text},
        "hoverlabel": {"font": {"family": FONT, "size": 11}, "namelength": -1},
        "showlegend": False,
        **more,
    }


def heading(theme: Theme, text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    """Return a small title at (x, y) in paper coordinates, as an annotation without an arrow."""
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "bottom",
        "font": {"size": 11, "color": theme.text},
        **more,
    }
