"""What all pages stand in: the header with its links, and the switch between light and dark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import panel as pn
import panel_material_ui as pmui

COMPACT = {"& .MuiToolbar-root": {"minHeight": "44px"}, "& .MuiAppBar-root .title": {"fontSize": "1.1rem"}}


def page_frame(
    title: str, links: pn.viewable.Viewable | None, main: Sequence[pn.viewable.Viewable], shade: Callable[[bool], None]
) -> pmui.Page:
    """The page, light at first; its switch calls `shade(dark)`."""
    frame = pmui.Page(
        title=title,
        header=[] if links is None else [links],
        main=list(main),
        sidebar_variant="temporary",
        busy_indicator=None,
        sx=COMPACT,
        dark_theme=False,
    )
    frame.param.watch(lambda e: shade(bool(e.new)), "dark_theme")
    return frame
