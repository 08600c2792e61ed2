"""The frame of a page: header, notice, session, address, arrow keys and clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.document import Document
from panel.util.parameters import edit_readonly

from dashboards.lab.address import PageState
from dashboards.lab.first_start import FirstStart, Welcome
from dashboards.lab.library import RunLibrary
from dashboards.lab.pane import Pane, R
from dashboards.lab.resolved import Resolved, Values
from dashboards.lab.session import Session
from dashboards.widgets.access import Access
from dashboards.widgets.keys import PageKeys
from dashboards.widgets.notice import Notice

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
THEME = {
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


class Page(ABC, Generic[R]):
    """One browser tab.

    A page names its `path`, `title` and `state_type`, makes its panes, lays them out with its controls, and resolves
    a state into the request that the panes answer. The other hooks below do nothing unless a page overrides them.
    """

    path: ClassVar[str]
    title: ClassVar[str]
    state_type: ClassVar[type[PageState]]
    tick_ms: ClassVar[int] = 250
    """Milliseconds between two calls of `watch`."""
    needs_images: ClassVar[bool] = False
    """Whether the page needs a run on images: where there are no runs at all, the frame trains the default pair."""
    line_style: ClassVar[str] = ""
    """CSS of the line above the cards, whose class is `summary`."""

    def __init__(
        self,
        library: RunLibrary,
        first: FirstStart,
        document: Document | None,
        query: str,
        links: pn.viewable.Viewable | None = None,
    ) -> None:
        self.library, self.first, self._document = library, first, document
        self.notice = Notice()
        looks = [SUMMARY, self.line_style]
        self.line = pn.pane.HTML("", stylesheets=looks, sizing_mode="stretch_width", margin=(4, 12))
        self.state: Any = self.state_type()
        self.session = Session(self, self.state, self.make_panes(), document, self.notice)
        self.views = pn.Column(*self.layout(), **WIDE)
        self.welcome = Welcome(library, first, self.views) if self.needs_images else None
        self._complaints = self.read(parse_qs(query))
        self.frame = pmui.Page(
            title=self.title,
            header=[] if links is None else [links],
            main=[
                self.notice.pane,
                *([self.welcome.panel] if self.welcome else []),
                self.views,
                PageKeys(self.step, self.close),
                Access(),
            ],
            sidebar_variant="temporary",
            busy_indicator=None,
            sx=COMPACT,
            theme_config=THEME,
            dark_theme=False,
        )
        with edit_readonly(self.frame):
            # NOTE: panel-material-ui binds it to panel's global state, which would keep every page alive.
            self.frame.busy = param.rx(False)  # pyright: ignore[reportAttributeAccessIssue]
        self.frame.param.watch(lambda event: setattr(self.state, "dark", bool(event.new)), "dark_theme")

    @abstractmethod
    def make_panes(self) -> Sequence[Pane[R]]:
        """Return the page's panes, in the order in which they are computed."""

    @abstractmethod
    def layout(self) -> Sequence[pn.viewable.Viewable]:
        """Make the controls; return the parts of the page below the notice, with the cards of the session."""

    def read(self, query: dict[str, list[str]]) -> list[str]:
        """Set the state from the address's query; return a line for each value that was not accepted."""
        return self.state.read(query)

    def start(self) -> None:
        """Start to compute, once the page has loaded."""
        self.session.start()

    def watch(self) -> None:
        """Update what changes without a choice of the user's, such as the progress of a training."""

    def runs_changed(self) -> None:
        """Show the runs that the first training has finished so far; only called where `needs_images`."""

    def step(self, by: int) -> None:
        """Go to the previous (-1) or next (1) image or point: an arrow key was pressed."""

    def close(self) -> None:
        """Close what a button has opened: the Escape key was pressed."""

    # Called by the session in a thread: these must not change widgets

    @abstractmethod
    def resolve(self, values: Values) -> Resolved[R] | None:
        """Return the request for these values of the state, None while there is nothing to show yet.

        Raises:
            UserError: nothing can be shown; every card shows the message.
        """

    def line_of(self, request: R) -> str | None:
        """Return the line above the cards as HTML, None to keep the present one."""
        return None

    def improved(self, request: R, current: Callable[[], bool]) -> R | None:
        """Do slow work for a request that is already shown; return a request that shows its result, None for none.

        `current` returns False once there is a newer request, for which this one can be given up.
        """
        return None

    # Called by the session with the document's lock: these may change widgets

    def offer(self, request: R) -> None:
        """Show the request's values in the controls, and the options that there are."""

    def beside(self, pane: Pane[R], aside: str) -> None:
        """Show what `Pane.aside` returned for the view of a card, outside the card."""

    def pick(self, index: int) -> None:
        """Respond to a click on a figure's point, which stands for the image or point `index`."""

    def hover(self, pane: Pane[R], index: int) -> None:
        """Respond to the pointer over a point of a figure."""

    def act(self, action: str) -> None:
        """Respond to a button in a card's heading."""

    def show_line(self, line: str) -> None:
        """Show a line of HTML above the cards; a screen reader reads it out."""
        self.line.object = f'<div class="summary" role="status">{line}</div>'

    def select(self, name: str, value: str) -> None:
        """Follow a choice in a card's heading: set the parameter of its name."""
        if name in (keys := self.state.in_address()):
            self.notice.add(*self.state.read({keys[name]: [value]}))

    # The frame

    def loaded(self) -> None:
        """Keep the address up to date, show what was wrong with it, and start the session and the clock."""
        self.state.follow()
        self.notice.add(*self._complaints)
        if self.welcome is not None:
            self.notice.add(self.welcome.start())
        self.start()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, self.tick_ms)

    def tick(self) -> None:
        """Update the page, at each tick of the clock."""
        if self.welcome is not None and self.welcome.tick(self.state.dark):
            self.runs_changed()
        self.watch()
        self.session.tick()

    def change(self, **values: Any) -> None:
        """Set parameters of the state; show a message where they are not accepted."""
        try:
            self.state.param.update(**values)
        except ValueError as error:
            self.notice.show(str(error))
