"""The Gap Lab: several inference methods on one decoder, some of which can be trained from the page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import ClassVar

import panel as pn

from dashboards.gap_lab import panes
from dashboards.gap_lab.controls import FilmControls, GapLabControls
from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.request import GapLabRequest, by_family, resolve
from dashboards.gap_lab.state import GapLabState
from dashboards.gap_lab.training import Trained, TrainingPanel
from dashboards.lab.jobs import JOB_S
from dashboards.lab.looks import card_grid
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from gpvae_core.plots.pictures import png_address

ONE, TWO, THREE = "(max-width: 960px)", "(min-width: 961px) and (max-width: 1424px)", "(min-width: 1425px)"
"""Widths of the window at which one card, two cards, and three or more stand side by side."""
CARDS = f"""
@media {ONE} {{ :host {{ grid-template-columns: minmax(0, 1fr) !important; }} }}
@media {TWO} {{ :host {{ grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }} }}
@media {THREE} {{ :host {{ grid-template-rows: auto 1fr; }} }}
"""
PLACES = {
    "film": f"@media {TWO} {{ :host {{ order: -1; grid-column: 1 / 3; }} }}"
    f"@media {THREE} {{ :host {{ grid-area: 1 / 2 / 2 / 4; }} }}",
    "lab_contours": f"@media {THREE} {{ :host {{ grid-area: 2 / 2; }} }}",
    "lab_bound": f"@media {THREE} {{ :host {{ grid-area: 2 / 3; }} }}",
}
"""Place in the grid: the film's buttons are above the two cards that it moves; in two columns, above all cards."""
ELSEWHERE = f"@media {THREE} {{ :host {{ grid-row: span 2; }} }}"
"""Place of all other cards: each is as high as the film's buttons and the cards below them together."""


class GapLabPage(Page[GapLabRequest]):
    """One browser tab of the Gap Lab."""

    path = "/gap-lab"
    title = "Gap Lab"
    state_type = GapLabState
    carried: ClassVar[Mapping[str, str]] = {"run": "start", "image": "test"}
    needs_images = True
    line_style: ClassVar[str] = """
        .summary { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
        figure { margin: 0; text-align: center; }
        figure svg { display: block; margin: 0 auto 2px auto; }
        img { width: 52px; height: 52px; object-fit: contain; image-rendering: pixelated; border-radius: 3px; }
        figcaption { font-size: 11px; max-width: 96px; overflow-wrap: anywhere; }
    """

    def make_panes(self) -> Sequence[panes.GapLabPane]:
        return panes.PANES

    def layout(self) -> Sequence[pn.viewable.Viewable]:
        self.labs = self.library.shared(GapLabs)
        self.controls = GapLabControls(self.state, self.notice.show, self._largest)
        self.training = TrainingPanel(self.labs, self.notice.show)
        self.film = FilmControls(self.state, self.notice.show)
        self.line.min_height = 78
        self.show_line("Loading the runs…")
        self.controls.first.append(self.training.toggle)
        cards = self.session.cards
        parts = {"lab_gaps": cards["lab_gaps"], "film": self.film.panel, **cards}
        for name, part in parts.items():
            part.stylesheets = [PLACES.get(name, ELSEWHERE)]
        above = self.controls.bar, self.about.panel, self.training.panel, self.training.line.panel, self.line
        return *above, card_grid(*parts.values(), stylesheets=[CARDS])

    # What a request shows

    def resolve(self, values: Values) -> Resolved[GapLabRequest] | None:
        return resolve(self.labs, values)

    def line_of(self, request: GapLabRequest) -> str | None:
        """Return the image and its reconstruction from each method's posterior mean, as HTML."""
        picture = request.lab.picture(request.methods, request.index)
        shown = [("image", picture.title, picture.image, "#7f8a95", "")]
        for name, decoded in picture.reconstructions.items():
            style = request.styles[name]
            title = f"decoded from the posterior mean of {name}"
            shown.append((style.label, title, decoded, style.colour, style.strokes))
        figures = [
            f'<figure><svg width="52" height="4" viewBox="0 0 24 4" preserveAspectRatio="none" aria-hidden="true">'
            f'<path d="M0 2h24" stroke="{colour}" stroke-width="4" stroke-dasharray="{strokes}"/></svg>'
            f'<img alt="{html.escape(title)}" title="{html.escape(title)}" src="{png_address(image, 56)}">'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for label, title, image, colour, strokes in shown
        ]
        return f"<b>{html.escape(picture.title)}</b>{''.join(figures)}"

    def runs_of(self, request: GapLabRequest) -> Sequence[str]:
        return tuple(request.lab.runs)

    def offer(self, request: GapLabRequest) -> None:
        self.controls.offer(request)
        self.training.offer(request)
        self.film.offer(request)

    def beside(self, pane: Pane[GapLabRequest], aside: str) -> None:
        if pane.name == panes.SviBound.name and self.session.request is not None:
            self.film.show(aside, self.session.request)

    # What the user does

    def _largest(self, method: str) -> None:
        """Find the image with a method's largest inference gap, in a thread, and show it."""
        request = self.session.request
        if request is None:
            return
        self.notice.show(f"Looking for the image with the largest gap of {method}…")

        def show(index: int) -> None:
            self.notice.show("")
            self.state.set(index=index, test="")

        self.session.latest.aside(lambda: request.lab.largest_gap(method), show, JOB_S)

    def withdraw(self) -> None:
        self.training.withdraw()

    def act(self, action: str) -> None:
        self.training.start(action)

    def step(self, by: int) -> None:
        self.controls.step(by)

    def escape(self) -> None:
        self.training.opened.close()

    # Which runs there are

    def start(self) -> None:
        self.runs_changed()

    def watch(self) -> None:
        """Show the progress of a training that was started here."""
        if self.training.tick():
            self.runs_changed(self.training.take_trained())

    def runs_changed(self, trained: Trained | None = None) -> None:
        """Load the runs that there are, in a thread, then offer their decoders; show what was trained here."""
        finished_only = self.labs.trainings.running or self.first.running
        show = lambda _: self._show_decoders(trained)  # noqa: E731
        self.session.latest.aside(lambda: self.labs.refresh(finished_only), show)

    def weights_changed(self) -> None:
        self.runs_changed()

    def _show_decoders(self, trained: Trained | None) -> None:
        """Offer the decoders found; where the chosen one is not among them, choose that of the run SVI starts from."""
        names = list((offered := self.labs.offered()).values())
        self.notice.add(*self.labs.complaints)
        self.views.visible = bool(names)
        if self.session.request is None:
            self.show_line("")  # the runs are loaded
        if self.state.decoder not in names:
            if self.state.decoder and names:
                self.notice.add(f"there is no decoder '{self.state.decoder}' here; known: {', '.join(names)}")
            own = [name for name, lab in self.labs.labs.items() if self.state.start in lab.runs]
            with self.own_choice():
                self.state.decoder = next(iter([*own, *names]), "")
        self.controls.update(self.controls.decoder, options=offered, value=self.state.decoder)
        if trained is not None:
            self._show_trained(trained)
        self.session.start()

    def _show_trained(self, trained: Trained) -> None:
        """Show the methods that were trained here, beside or in place of those shown, and say what was trained."""
        lab = self.labs.labs.get(self.state.decoder)
        new = [] if lab is None or not trained.shows else [name for name in trained.names if name in lab.runs]
        if lab is not None and new:
            before = (lab.decoder.runs[0],) if trained.is_set else self.state.methods
            self.state.show(tuple(by_family(lab, [*before, *new])) if trained.is_set else (*before, *new))
        self.notice.add(trained.words)
