"""The frame of a page: header, notice, session, address, arrow keys and clock."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Generic
from urllib.parse import parse_qs

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.document import Document
from bokeh.events import ConnectionLost
from bokeh.models import CustomJS
from panel.util.parameters import edit_readonly

from dashboards.lab.about import AboutRuns
from dashboards.lab.address import PageState
from dashboards.lab.asked import Asked, AskedPane
from dashboards.lab.faults import told
from dashboards.lab.first_start import FirstStart, Welcome
from dashboards.lab.library import RunLibrary
from dashboards.lab.looks import COMPACT, PARTS, SUMMARY, WIDE
from dashboards.lab.pane import Pane, R
from dashboards.lab.resolved import Resolved, Values
from dashboards.lab.session import Session
from dashboards.widgets.access import Access
from dashboards.widgets.browser import LOST, THEME, Browser
from dashboards.widgets.keys import PageKeys
from dashboards.widgets.notice import Notice
from gpvae_core.errors import UserError
from gpvae_core.formatting import typographic

TRAINED_ON = (
    "'{}' is being trained on: its views show the weights that it had when it was opened, and the new ones once the "
    "training has ended; reload the page to see those of now"
)


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
    carried: ClassVar[Mapping[str, str]] = {}
    """The names that the 'run' and the 'image' shown have in the address: links between pages take them along."""
    unkept: ClassVar[str] = ""
    """What is said where the page was loaded again while `browser.unkept`: it showed what is not in its address."""
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
        self._version = library.version
        self.notice = Notice()
        looks = [SUMMARY, self.line_style]
        self.about = AboutRuns(library)
        self.line = pn.pane.HTML("", stylesheets=looks, sizing_mode="stretch_width", margin=(4, 12))
        dark = pn.state.cookies.get(THEME, "").endswith("dark")
        self.state: Any = self.state_type(dark=dark)
        self.choosing_itself = False
        """Whether what changes in the state now is the page's own choice, or one to which the user went back."""
        self.session = Session(self, self.state, self.make_panes(), document, self.notice)
        self.views = pn.Column(*self.layout(), **WIDE)
        self.welcome = Welcome(library, first, self.views) if self.needs_images else None
        self._complaints = self.read(parse_qs(query))
        heard = {"address": self._back, "dark": self._follow_system, "lost": lambda _: self.notice.add(self.unkept)}
        self.browser = Browser(heard, dark=dark)
        self.asked_for: set[Asked] = set()
        """The views that take long and were asked for in this tab."""
        self._failing: dict[str, str] = {}
        """The error of each part of the last tick that failed."""
        if self.state.steps:
            self.state.param.watch(self._step_on, list(self.state.steps))
        if document is not None:
            document.js_on_event(ConnectionLost, CustomJS(code=LOST))
        self.frame = pmui.Page(
            title=self.title,
            header=[] if links is None else [links],
            main=[
                self.notice.pane,
                *([self.welcome.panel] if self.welcome else []),
                self.views,
                PageKeys(self.step, self.escape),
                Access(),
                self.browser,
            ],
            sidebar_variant="temporary",
            busy_indicator=None,
            sx=COMPACT,
            theme_config=PARTS,
            dark_theme=dark,
        )
        with edit_readonly(self.frame):
            # NOTE: panel-material-ui binds it to panel's global state, which would keep every page alive.
            self.frame.busy = param.rx(False)  # pyright: ignore[reportAttributeAccessIssue]
        # In the browser: a theme that was chosen is kept even where the page is left before the server hears of it.
        self.frame.jslink(self.browser, dark_theme="dark")
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

    def returned(self, query: dict[str, list[str]]) -> list[str]:
        """Set the state from the query of an address at which the page was before."""
        return self.state.read(query)

    def start(self) -> None:
        """Start to compute, once the page has loaded."""
        self.session.start()

    def close(self) -> None:
        """End the work that only this page watches: its tab was closed."""
        self.session.close()

    def watch(self) -> None:
        """Update what changes without a choice of the user's, such as the progress of a training."""

    def runs_changed(self) -> None:
        """Show the runs that the first training has finished so far; only called where `needs_images`."""

    def weights_changed(self) -> None:
        """Show the new weights of runs that were trained on or retrained while the page is open."""
        self.session.refresh()

    def step(self, by: int) -> None:
        """Go to the previous (-1) or next (1) image or point: an arrow key was pressed."""

    def escape(self) -> None:
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

    def withdraw(self) -> None:
        """Take back what was offered for the last request: the present one cannot be answered."""

    def runs_of(self, request: R) -> Sequence[str]:
        """Return the names of the runs shown: `about` tells what they are, and the notice which are being trained."""
        return ()

    def beside(self, pane: Pane[R], aside: str) -> None:
        """Show what `Pane.aside` returned for the view of a card, outside the card."""

    def pick(self, index: int) -> None:
        """Respond to a click on a figure's point, which stands for the image or point `index`."""

    def expect(self, index: int) -> None:
        """Prepare for `pick`: the pointer rests on this point, or the keys are at it."""

    def hover(self, pane: Pane[R], index: int) -> None:
        """Respond to the pointer over a point of a figure."""

    def act(self, action: str) -> None:
        """Respond to a button in a card's heading; by default to that of an `AskedPane`, whose name it has."""
        request = self.session.request
        pane = next((pane for pane in self.session.panes if pane.name == action), None)
        if request is not None and isinstance(pane, AskedPane):
            self.asked_for.add(pane.asked_by(request))
            self.session.refresh()

    def show_line(self, line: str) -> None:
        """Show a line of HTML above the cards; a screen reader reads it out."""
        texts = "".join(part if part.startswith("<") else typographic(part) for part in re.split(r"(<[^>]*>)", line))
        self.line.object = f'<div class="summary" role="status">{texts}</div>'

    def select(self, name: str, value: str) -> None:
        """Follow a choice in a card's heading: set the parameter of its name."""
        if name in (keys := self.state.in_address()):
            self.notice.add(*self.state.read({keys[name]: [value]}))

    # The frame

    def loaded(self) -> None:
        """Keep the address up to date, show what was wrong with it, and start the session and the clock."""
        self.library.renew(in_training=True)
        self._version = self.library.version
        self.state.follow()
        self.browser.ready = True
        self.notice.add(*self._complaints)
        if self.welcome is not None:
            self.notice.add(self.welcome.start())
        self.start()
        if self._document is not None:
            self._document.add_periodic_callback(self.tick, self.tick_ms)
            self._document.on_session_destroyed(lambda session_context: self.close())

    def _follow_system(self, dark: Any) -> None:
        """Take the theme of the user's system: none was chosen yet."""
        self.frame.dark_theme = bool(dark)

    def _step_on(self, *events: param.parameterized.Event) -> None:
        """Have the next address be an entry of the history, where the user has chosen it."""
        if not self.session.settling and not self.choosing_itself:
            self.browser.steps += 1

    @contextmanager
    def own_choice(self) -> Iterator[None]:
        """Inside, the page is `choosing_itself`."""
        self.choosing_itself = True
        try:
            yield
        finally:
            self.choosing_itself = False

    def _back(self, search: Any) -> None:
        """Show the view of an entry of the history, to which the user went back or forward."""
        self.notice.show("")
        with self.own_choice(), param.parameterized.batch_call_watchers(self.state):
            complaints = self.returned(parse_qs(str(search)[1:], keep_blank_values=True))
        self.notice.add(*complaints)

    def tick(self) -> None:
        """Update the page, at each tick of the clock; what fails is said once, and does not keep the rest from it."""
        for part in (self._follow_training, self._follow_weights, self.watch, self.session.tick):
            before = self._failing.pop(part.__name__, "")
            try:
                part()
            except Exception as error:
                self._failing[part.__name__] = repr(error)
                if before != repr(error):
                    self.failed(error)

    def failed(self, error: Exception) -> None:
        """Tell the user of an error in what the page does by itself, or in what it was asked to do."""
        self.notice.show(told(error, "what the page was about to do"))

    def _follow_training(self) -> None:
        if self.welcome is not None and self.welcome.tick(self.state.dark):
            self.runs_changed()

    def _follow_weights(self) -> None:
        """Show the weights that were written since runs were loaded, or say that there are some."""
        request = self.session.request
        shown = () if request is None else self.runs_of(request)
        training = [name for name in self.library.renew(in_training=False) if name in shown]
        self.notice.set_lasting([TRAINED_ON.format(name) for name in training], "weights")
        if self._version != self.library.version:
            self._version = self.library.version
            self.weights_changed()

    def change(self, **values: Any) -> None:
        """Set parameters of the state; show a message where they are not accepted."""
        try:
            self.state.set(**values)
        except UserError as error:
            self.notice.show(str(error))
