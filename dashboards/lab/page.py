"""The frame of a page: header, notice, session, address, arrow keys and clock; a page adds its state and its panes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document

from dashboards.lab.address import PageState, parsed
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.pane import Pane, R
from dashboards.lab.resolved import Resolved, Values
from dashboards.lab.session import Session
from dashboards.widgets.keys import ArrowKeys
from dashboards.widgets.notice import Notice

COMPACT = {"& .MuiToolbar-root": {"minHeight": "44px"}, "& .MuiAppBar-root .title": {"fontSize": "1.1rem"}}
WHOLE = {"flex": "none", "max-height": "none"}
"""Never squeezed: the page scrolls instead."""
GRID = {**WHOLE, "display": "grid", "grid-template-columns": "repeat(auto-fill, minmax(456px, 1fr))", "gap": "8px"}
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "styles": WHOLE}


class Page(ABC, Generic[R]):
    """One browser tab.

    A page names its `path`, `title` and `state_type`, makes its panes, lays them out with its controls, and resolves
    a state into the request that the panes answer. What else it may do is in the hooks below.
    """

    path: ClassVar[str]
    title: ClassVar[str]
    state_type: ClassVar[type[PageState]]
    tick_ms: ClassVar[int] = 250
    """How often `watch` is called."""
    line_style: ClassVar[str] = ""

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
        self.line = pn.pane.HTML("", stylesheets=[self.line_style], sizing_mode="stretch_width", margin=(4, 12))
        self.state: Any = self.state_type()
        self.session = Session(self, self.state, self.make_panes(), document, self.notice)
        main = self.layout()
        self._complaints = self.read(parse_qs(query))
        self.frame = pmui.Page(
            title=self.title,
            header=[] if links is None else [links],
            main=[self.notice.pane, *main, ArrowKeys(self.step)],
            sidebar_variant="temporary",
            busy_indicator=None,
            sx=COMPACT,
            dark_theme=False,
        )
        self.frame.param.watch(lambda event: setattr(self.state, "dark", bool(event.new)), "dark_theme")

    @abstractmethod
    def make_panes(self) -> Sequence[Pane[R]]:
        """Return the page's panes, those that are to be computed first in front."""

    @abstractmethod
    def layout(self) -> Sequence[pn.viewable.Viewable]:
        """Make the controls; return what stands below the notice, with the cards of the session."""

    def read(self, query: dict[str, list[str]]) -> list[str]:
        """Set the state from the address; return what was wrong with it."""
        return self.state.read(query)

    def start(self) -> None:
        """Begin once the browser is there."""
        self.session.start()

    def watch(self) -> None:
        """Bring up to date what changes by itself."""

    def step(self, by: int) -> None:
        """Follow the left (-1) or right (1) arrow key."""

    # From the session, in a thread

    @abstractmethod
    def resolve(self, values: Values) -> Resolved[R] | None:
        """Return what the values of the state ask for, None where there is nothing to ask for yet; in a thread.

        Raises:
            UserError: nothing can be shown; every card says why.
        """

    def line_of(self, request: R) -> str | None:
        """Return the line above the cards as HTML, None to leave the one there is; in a thread."""
        return None

    def improved(self, request: R, current: Callable[[], bool]) -> R | None:
        """Return a request that shows more, after slow work on one that is answered already; in a thread."""
        return None

    # From the session, with the document's lock: these may change widgets

    def offer(self, request: R) -> None:
        """Tell the controls what holds and what there is to choose from."""

    def beside(self, pane: Pane[R], aside: str) -> None:
        """Show what belongs to a card's view but stands elsewhere on the page."""

    def pick(self, index: int) -> None:
        """Follow a click on a point of a figure."""

    def hover(self, pane: Pane[R], index: int) -> None:
        """Follow the pointer over a point of a figure."""

    def act(self, action: str) -> None:
        """Follow a button in a card's heading."""

    def show_line(self, text: str) -> None:
        """Show the line above the cards."""
        self.line.object = text

    def select(self, name: str, value: str) -> None:
        """Follow a choice in a card's heading: it goes into the parameter of its name."""
        if name in self.state.in_address():
            self.change(**{name: parsed(self.state.param[name], name, value)})

    # The frame

    def loaded(self) -> None:
        """Follow the address, say what was wrong with it, begin, and start the clock: the browser is there."""
        self.state.follow()
        self.notice.add(*self._complaints)
        self.start()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, self.tick_ms)

    def tick(self) -> None:
        """Go on by one tick of the clock."""
        self.watch()
        self.session.tick()

    def change(self, **values: Any) -> None:
        """Set the state; what cannot be set is said."""
        try:
            self.state.param.update(**values)
        except ValueError as error:
            self.notice.say(str(error))
