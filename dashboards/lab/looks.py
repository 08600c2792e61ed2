"""How the frame and its cards are laid out and styled."""

from __future__ import annotations

from typing import Any

import panel as pn

NARROW = "@media (max-width: 640px)"
COMPACT = {
    "& .MuiToolbar-root": {"minHeight": "44px", NARROW: {"minHeight": "72px", "flexWrap": "wrap"}},
    # In a narrow window the links stand below the title.
    NARROW: {
        "& .MuiAppBar-root .MuiToolbar-root > .MuiBox-root + .MuiBox-root": {"order": 1, "flexBasis": "100%"},
        "& .MuiAppBar-root .MuiToolbar-root > button": {"marginLeft": "auto"},
    },
    "& .MuiAppBar-root .title": {"fontSize": "1.1rem"},
    # Otherwise a scroll bar makes figures smaller, and the page so low that it needs none.
    "& .main-content": {"scrollbarGutter": "stable"},
    # NOTE: the frame has one in spite of busy_indicator=None.
    "& .MuiAppBar-root .MuiLinearProgress-root": {"display": "none"},
}
PARTS = {
    "components": {
        # A tooltip that takes the pointer swallows the clicks on whatever it covers.
        "MuiTooltip": {"defaultProps": {"disableInteractive": True}},
        "MuiLinearProgress": {"defaultProps": {"aria-label": "Progress"}},
        # The page's title is its first heading; the header keeps an empty one of the fifth level.
        "MuiTypography": {"defaultProps": {"variantMapping": {"h3": "h1", "h5": "p"}}},
    }
}
"""Properties of panel-material-ui's parts, for the keyboard and for screen readers."""
FULL_HEIGHT = {"flex": "none", "max-height": "none"}
"""Keeps a part as high as its contents: the page scrolls instead."""
GRID = {
    **FULL_HEIGHT, "display": "grid", "gap": "8px",
    "grid-template-columns": "repeat(auto-fill, minmax(min(100%, max(456px, (100% - 16px) / 3)), 1fr))",
}  # fmt: skip
"""At most three cards side by side: six fill their rows, and a figure is not much smaller than its card."""
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "styles": FULL_HEIGHT}
SUMMARY = ".summary { font-size: 13px; line-height: 1.4; }"


def card_grid(*parts: pn.viewable.Viewable, **params: Any) -> pn.Column:
    """Return cards and other parts side by side, as many in a row as the window has room for."""
    for part in parts:
        part.sizing_mode = "stretch_width"
    return pn.Column(*parts, styles=GRID, margin=(4, 12), sizing_mode="stretch_width", **params)
