"""One page: its state, its cards, and what happens between a choice and the figures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any

from bokeh.document import Document

from dashboards.latest import Latest
from dashboards.library import RunLibrary
from dashboards.request import READY_WORDS, Drawn, Request, Side, View
from dashboards.state import PageState, plane_dims
from dashboards.verdict import verdict
from dashboards.views.figure_one import FigureOne
from dashboards.views.gaps import Gaps
from dashboards.views.posterior import Posterior
from dashboards.views.reconstructions import Reconstructions
from dashboards.views.traces import Traces
from dashboards.views.tsne_map import TsneMap
from dashboards.views.uncertainty import Uncertainty
from dashboards.widgets.card import Card, Content
from gpvae_core.errors import UserError
from gpvae_core.plots.pictures import png_address
from gpvae_core.plots.theme import DARK, LIGHT

log = logging.getLogger(__name__)
UNBOUND = {"max-height": "none"}
"""A card is as high as what it holds."""
VERDICT_NEEDS = frozenset({"encodings", "atlas"})


def all_views() -> tuple[View, ...]:
    """The cards of the page, in reading order."""
    return TsneMap(), Posterior(), Uncertainty(), Traces(), Reconstructions(), Gaps(), FigureOne()


class Session:
    """Computes what the state asks for and shows it in the cards.

    `on_explorer` is told, with the document's lock, which explorer the controls should offer; `say` shows a line to the
    person ('' clears it), `add` one beside what was said; `show_verdict` shows the line above the views.
    """

    def __init__(
        self,
        library: RunLibrary,
        state: PageState,
        document: Document | None,
        say: Callable[[str], None],
        add: Callable[[str], None],
        show_verdict: Callable[[str], None],
        on_explorer: Callable[[Any], None],
    ) -> None:
        self.library, self.state = library, state
        self._say, self._add = say, add
        self._show_verdict, self._on_explorer = show_verdict, on_explorer
        self.latest = Latest(document, say)
        self.views = all_views()
        self.cards = {view.name: self._card(view) for view in self.views}
        self._settling, self._started = False, False
        self._shown: dict[str, Hashable] = {}
        self._contents: dict[str, Content] = {view.name: Content() for view in self.views}
        watched = ["run", "other", "focus", "index", "plane", "colour", "against", "bandwidth", "coordinates", "dark"]
        watched += ["own_image"]
        state.param.watch(lambda *_: self._chosen(), watched)

    def _card(self, view: View) -> Card:
        handlers = {
            "pick": lambda index: self.state.pick(int(index)),
            "hover": lambda index, name=view.name: self._hover(name, int(index)),
            "csv": lambda _, name=view.name: self._export(name),
            "select": lambda choice: self._choose(*choice),
        }
        return Card(handlers, view=view.name, title=view.title, margin=0, sizing_mode="stretch_width", styles=UNBOUND)

    # From the person

    def _choose(self, name: str, value: str) -> None:
        """A choice made in a card's heading."""
        _, (i, j) = plane_dims(self.state.plane)
        plane = {
            "plane_kind": "principal" if value == "principal" else f"{i + 1},{j + 1}",
            "plane_x": f"{value},{j + 1 if str(j + 1) != value else i + 1}",
            "plane_y": f"{i + 1 if str(i + 1) != value else j + 1},{value}",
        }
        try:
            if name in plane:
                self.state.plane = plane[name]
            else:
                self.state.param.update(**{name: int(value) if name == "coordinates" else value})
        except ValueError as error:
            self._say(str(error))

    def _chosen(self) -> None:
        """The person chose something: what was said before no longer matters."""
        if not self._settling:
            self._say("")
        self.refresh()

    def _set(self, values: dict[str, Any], why: str) -> None:
        """Correct the state, which is no choice of the person's, and say why."""
        self._settling = True
        try:
            self.state.param.update(**values)
        finally:
            self._settling = False
        self._add(why)

    def _hover(self, name: str, index: int) -> None:
        def work() -> None:
            explorer = self.library.explorer(self._focal_name())
            if 0 <= index < len(explorer.run.data.test.images):
                source = png_address(explorer.instance(index).image, 84)
                self.latest.soon(lambda: self.cards[name].answer(hover=index, source=source))

        self.latest.aside(work)

    def _export(self, name: str) -> None:
        def work() -> None:
            request = self._resolve(self._snapshot(), 0)
            text = next(view for view in self.views if view.name == name).csv(request)
            file = f"{self._contents[name].file}.csv"
            self.latest.soon(lambda: self.cards[name].answer(csv=text, file=file))

        self.latest.aside(work)

    def _focal_name(self) -> str:
        names = self.state.names
        return names[min(self.state.focus == "second", len(names) - 1)]

    # From choice to figures

    def _snapshot(self) -> dict[str, Any]:
        return {**self.state.param.values(), "names": self.state.names}

    def start(self) -> None:
        """The page is there and knows what to show; until now nothing was computed."""
        self._started = True
        self.refresh()

    def refresh(self) -> None:
        """Compute and show what the state asks for."""
        if self.state.run and self._started:
            snapshot = self._snapshot()
            self.latest.ask(lambda generation: self._answer(snapshot, generation))

    def _resolve(self, choice: dict[str, Any], generation: int) -> Request:
        explorers = [self.library.explorer(name) for name in choice["names"]]
        self._check_comparable(explorers)
        own, index = choice["own_image"], choice["index"]
        instances = [e.place(own[1], own[0]) if own else e.instance(index) for e in explorers]
        sides = tuple(Side(*parts) for parts in zip(choice["names"], explorers, instances, strict=True))
        return Request(
            sides=sides,
            focus=min(choice["focus"] == "second", len(sides) - 1),
            plane=choice["plane"],
            colour=choice["colour"],
            against=choice["against"],
            bandwidth=choice["bandwidth"],
            coordinates=choice["coordinates"],
            theme=DARK if choice["dark"] else LIGHT,
            stamp=generation,
            identity=id(own) if own else index,
        )

    @staticmethod
    def _check_comparable(explorers: list[Any]) -> None:
        if len(explorers) == 2 and explorers[0].run.data.fingerprint != explorers[1].run.data.fingerprint:
            names = " and ".join(f"'{e.run.name}' ({e.run.data.name})" for e in explorers)
            raise UserError(f"two runs can be compared on the same data only; {names} were trained on different data")

    def _settle(self, choice: dict[str, Any]) -> dict[str, Any]:
        """The choice with what this run or data set does not have replaced by what it has, which is said."""
        explorer = self.library.explorer(choice["names"][0])
        count, d = len(explorer.run.data.test.images), explorer.run.model.latent_dim
        fixed, complaints = {}, []
        if choice["index"] >= count:
            complaints.append(f"wanted a test image from 0 to {count - 1}, got {choice['index']}; showing image 0")
            fixed["index"] = 0
        kind, dims = plane_dims(choice["plane"])
        if kind == "dims" and (dims[0] == dims[1] or max(dims) >= d):
            complaints.append(f"wanted two different latent dimensions from 1 to {d}, got {choice['plane']}")
            fixed["plane"] = "principal"
        if fixed:
            self.latest.soon(lambda: self._set(fixed, "; ".join(complaints)))
        return choice | fixed

    def _usable(self, choice: dict[str, Any]) -> dict[str, Any]:
        """The choice without a run that cannot be loaded, which is said; what can be shown is shown.

        Raises:
            UserError: none of the runs can be loaded.
        """
        names, complaints = [], []
        for name in choice["names"]:
            try:
                self.library.explorer(name)
                names.append(name)
            except UserError as error:
                complaints.append(str(error))
        if not names:
            raise UserError(" · ".join(complaints))
        if not complaints:
            return choice
        fixed = {"run": names[0], "other": ""}
        self.latest.soon(lambda: self._set(fixed, " · ".join(complaints)))
        return choice | fixed | {"names": tuple(names)}

    def _nothing_to_show(self, error: UserError, generation: int) -> None:
        """The message in every card, in place of a run that cannot be shown."""
        for name, card in self.cards.items():
            content = Content(message=str(error), visible=False, dark=self.state.dark, stamp=generation)
            self._shown.pop(name, None)
            self.latest.push(generation, partial(card.show, content))

    def _answer(self, choice: dict[str, Any], generation: int) -> None:
        try:
            request = self._resolve(self._settle(self._usable(choice)), generation)
        except UserError as error:
            self._nothing_to_show(error, generation)
            raise
        for name in request.names:
            self.library.preparation(name)
        self._show(request, generation)
        if self._unrefined(request):
            self.latest.afterwards(lambda g: self._refine(request, g), generation)

    def _unrefined(self, request: Request) -> bool:
        gaps = next(view for view in self.views if view.name == "gaps")
        if gaps.needs - _ready(request):
            return False
        return any(side.explorer.gap_view(side.instance).best_diagonal_elbo is None for side in request.sides)

    def _refine(self, request: Request, generation: int) -> None:
        """Optimise the best Gaussian of this instance under each run, and draw again what shows it."""
        for side in request.sides:
            if not self.latest.current(generation):
                return
            side.explorer.best_gaussian(side.instance)
        self._show(replace(request, refined=True), generation)

    def _show(self, request: Request, generation: int) -> None:
        """Draw every view whose key changed; each is pushed at once, so that the browser draws while we go on."""
        line = verdict(request) if not VERDICT_NEEDS - _ready(request) else None
        self.latest.push(generation, partial(self._begin, request, line))
        for view in self.views:
            if not self.latest.current(generation):
                return
            self.latest.push(generation, partial(self._put, view.name, *self._answer_of(view, request)))

    def _begin(self, request: Request, line: str | None) -> None:
        if line is not None:
            self._show_verdict(line)
        self._on_explorer(request.sides[0].explorer)

    def _put(self, name: str, key: Hashable, content: Content, figure: str | None) -> None:
        self._contents[name], self._shown[name] = content, key
        self.cards[name].show(content, figure)

    def _answer_of(self, view: View, request: Request) -> tuple[Hashable, Content, str | None]:
        """(key, content, figure or None to keep the one shown)."""
        missing = view.needs - _ready(request)
        key = (request.names, "waiting", frozenset(missing)) if missing else view.key(request)
        if key == self._shown.get(view.name):
            return key, replace(self._contents[view.name], stamp=request.stamp), None
        if missing:
            return key, _waiting(missing, request), None
        try:
            drawn = view.draw(request)
        except UserError as error:
            return key, _failed(str(error), request), None
        except Exception as error:
            log.exception("view %s could not be drawn", view.name)
            return None, _failed(f"This view could not be computed ({type(error).__name__}: {error}).", request), None
        return key, _content(view, drawn, request), drawn.figure


def _ready(request: Request) -> frozenset[str]:
    """What all runs compared have ready."""
    return frozenset.intersection(*(side.explorer.ready for side in request.sides))


def _content(view: View, drawn: Drawn, request: Request) -> Content:
    which = request.focal.instance.index
    return Content(
        sub=drawn.sub,
        sentence=drawn.sentence,
        alt=drawn.alt,
        message=drawn.message,
        visible=drawn.visible,
        busy=drawn.pending,
        dark=request.theme is DARK,
        picks=drawn.picks,
        hovers=drawn.hovers,
        pictures=request.focal.name,
        file=f"{request.focal.name}-{view.name}-{request.focal.instance.source if which is None else which}",
        stamp=request.stamp,
        selects=drawn.selects,
        overlay=drawn.overlay,
    )


def _waiting(missing: frozenset[str], request: Request) -> Content:
    words = ", ".join(READY_WORDS[name] for name in READY_WORDS if name in missing)
    return Content(
        message=f"Not ready yet: {words}. This view fills by itself.",
        visible=False,
        busy=True,
        dark=request.theme is DARK,
        stamp=request.stamp,
    )


def _failed(text: str, request: Request) -> Content:
    return Content(message=text, visible=False, dark=request.theme is DARK, stamp=request.stamp)
