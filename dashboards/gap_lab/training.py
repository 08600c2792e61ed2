"""The panel that trains more encoders on the chosen decoder, with the progress of the training."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import panel as pn
import panel_material_ui as pmui

from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.panes import EpochGaps, SizeGaps
from dashboards.gap_lab.request import GapLabRequest
from dashboards.lab.controls import FIELD, SMALL, Opened
from dashboards.lab.progress import ProgressLine
from dashboards.lab.words import abbreviations
from gpvae_core.progress import Progress

if TYPE_CHECKING:
    from gpvae_core.inspection.gap_lab.methods import Decoder

INTRO_OF_FIRST = (
    "Only <b>{name}</b> uses this decoder, so there is nothing to compare yet. Train the families of posteriors on it, "
    "each for some seconds on the digits: the decoder stays as it is, only the encoders learn."
)
INTRO = "Encoders trained here keep the decoder of <b>{name}</b> and appear as methods by themselves."
TEACHING_SET = "the teaching set"


@dataclass(frozen=True)
class Trained:
    """What a training has made: the names of its runs, those of them that were there already, and what went wrong."""

    names: tuple[str, ...]
    known: tuple[str, ...]
    left_out: Mapping[str, str]
    """Why each of the other runs could not be trained, by its name."""
    is_set: bool
    """Whether it was the teaching set, which is shown in place of what was."""
    shows: bool
    """Whether its runs are shown as methods; a series has a card of its own."""

    @property
    def words(self) -> str:
        """What was trained and what was not, in a line; '' where all is new."""
        left_out = [f"{name} is left out: {reason}" for name, reason in self.left_out.items()]
        return "; ".join([*([self._known_words] if self.known else []), *left_out])

    @property
    def _known_words(self) -> str:
        new = [name for name in self.names if name not in self.known]
        was = "was" if len(self.known) == 1 else "were"
        made = f"trained: {', '.join(new)}" if new else "nothing was trained anew"
        return f"{', '.join(self.known)} {was} trained already, to the end and with these settings; {made}"


class TrainingPanel:
    """Fields, buttons and progress of a training, which all pages share; its runs are saved in the library's root."""

    def __init__(self, labs: GapLabs, complain: Callable[[str], None]) -> None:
        self._labs, self._complain = labs, complain
        self._request: GapLabRequest | None = None
        self._offered: Decoder | None = None
        """The decoder for which the fields were filled last."""
        self._trained: Trained | None = None
        """What was trained from this page, until the page takes it."""
        self._numbered: dict[str, bool] = {}
        """Whether each method takes a number after a colon, as in iaf:4."""
        self._intro = pn.pane.HTML("", margin=(4, 8), sizing_mode="stretch_width", styles={"font-size": "13px"})
        # NOTE: a field that gets its first description after it was drawn breaks the whole page (React error 310).
        about = {"description": "What each name stands for"}
        size: dict[str, Any] = {"sizing_mode": "stretch_width", "max_width": 520, "margin": (4, 4)}
        self.set = pmui.MultiChoice(label="Families to train", options=[], **size, **about)
        self.train_set = pmui.Button(label="Train the teaching set", size="small", margin=(8, 6))
        self.method = pmui.Select(label="Or a single method", options=[], width=170, **about, **FIELD)
        self.number = pmui.IntInput(label="Number", value=4, start=1, end=64, width=90, **FIELD)
        self.epochs = pmui.IntInput(label="Epochs", value=80, start=1, end=10_000, width=100, **FIELD)
        self.train_one = pmui.Button(label="Train", size="small", variant="outlined", margin=(8, 6))
        self.train_set.on_click(lambda _: self.start(TEACHING_SET))
        self.train_one.on_click(lambda _: self.start(self._one()))
        self.method.param.watch(lambda e: setattr(self.number, "visible", self._numbered.get(e.new, False)), "value")
        first = pn.FlexBox(self.set, self.train_set, align_items="center")
        second = pn.FlexBox(self.method, self.number, self.epochs, self.train_one, align_items="center")
        self.panel = pn.Column(self._intro, first, second, visible=False, sizing_mode="stretch_width", margin=(0, 8))
        self.toggle = pmui.Button(label="Train more on this decoder", icon="school", **SMALL)
        self.opened = Opened(self.toggle, self.panel)
        self.line = ProgressLine(labs.trainings, cancelled="Cancelled; the same button goes on.")

    def _one(self) -> str:
        method = str(self.method.value)
        return f"{method}:{self.number.value}" if self._numbered.get(method) else method

    def offer(self, request: GapLabRequest) -> None:
        """Offer what can be trained on the chosen decoder; the panel is open if the decoder has only one run."""
        from gpvae_core.inspection.gap_lab.teaching import default_epochs
        from gpvae_core.methods import methods

        before, self._request = self._offered, request
        self._offered, self.toggle.disabled = request.lab.decoder, False
        lab, families = request.lab, list(request.families)
        if before == lab.decoder:
            return
        self.panel.visible = len(lab.runs) == 1
        intro = INTRO_OF_FIRST if self.panel.visible else INTRO
        self._intro.object = intro.format(name=html.escape(lab.decoder.name))
        self._numbered = {m.name: bool(m.count) for m in methods().values() if m.inference == "amortized"}
        self.epochs.value = default_epochs(lab.origin)
        self.set.param.update(options=families, value=families, description=abbreviations(families))
        first = next(iter(self._numbered), None)
        self.method.param.update(options=list(self._numbered), value=first, description=abbreviations(self._numbered))

    def withdraw(self) -> None:
        """Offer nothing: there is no decoder to train on."""
        self._request = self._offered = None
        self.toggle.disabled, self.panel.visible = True, False

    def take_trained(self) -> Trained | None:
        """Return what was trained from this page, once; None where another page trained it, or nothing was."""
        trained, self._trained = self._trained, None
        return trained

    def start(self, what: str) -> None:
        """Start to train `what`: the teaching set, the series of a card by its name, or one method."""
        if self._request is None:
            return
        run, families, epochs = self._request.lab.origin, [str(name) for name in self.set.value], self.epochs.value
        name, root = what.removeprefix("lab_"), self._labs.library.root

        def work(progress: Progress) -> None:
            from gpvae_core.inspection.gap_lab import teaching

            progress(0, 0, f"starting {name}")
            if what == TEACHING_SET:
                plan = [teaching.planned(run, family) for family in families]
            elif what == SizeGaps.name:
                plan = teaching.size_set(run)
            else:
                plan = [teaching.epoch_run(run) if what == EpochGaps.name else teaching.planned(run, what, epochs)]
            made = teaching.train_planned(root, plan, run, progress)
            names, known = tuple(folder.name for folder in made.folders), tuple(made.known)
            series = what in (SizeGaps.name, EpochGaps.name)
            self._trained = Trained(names, known, made.left_out, what == TEACHING_SET, not series)

        if not self._labs.trainings.begin(name, work):
            self._complain("a training is running already: wait for it, or cancel it")
        self.tick()

    def tick(self) -> bool:
        """Show the progress; return True once, when a training has ended."""
        ended = self.line.follow()
        for button in (self.train_set, self.train_one):
            button.disabled = self._labs.trainings.running
        if ended is not None and ended.outcome == "done":
            self.panel.visible = False
        return ended is not None
