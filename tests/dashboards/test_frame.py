"""The frame on which every page stands: parameters of each type, fields, and a state that cannot be resolved."""

from __future__ import annotations

import datetime as dt
import html
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import panel as pn
import param
import pytest
from panel.io.location import Location

from dashboards.lab.address import PageState, as_text
from dashboards.lab.controls import Controls
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.widgets.card import Content
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress
from tests.dashboards.conftest import wait_until


class OfEachType(PageState):
    flag = param.Boolean(default=False)
    number = param.Integer(default=0, bounds=(-5, 5))
    share = param.Number(default=0.5, bounds=(0, 1), inclusive_bounds=(False, True))
    text = param.String()
    letter = param.String(default="a", regex="[a-z]")
    names = param.List(default=["a"], item_type=str)
    level = param.Selector(default=2, objects=[1, 2, 3])
    several = param.ListSelector(default=["a"], objects=["a", "b"])
    span = param.Range(default=(0.0, 1.0), bounds=(0, 10))
    pair = param.Tuple(default=("x", "y"))
    day = param.CalendarDate(default=dt.date(2026, 1, 2))
    moment = param.Date(default=dt.datetime(2026, 1, 2, 3, 4, 5, 600))
    colour = param.Color(default="#000000")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flag", True), ("number", -3), ("share", 1.0), ("text", "true"), ("text", "3"), ("letter", "b"),
        ("names", ["b", "c, d"]), ("names", []), ("level", 3), ("several", ["b", "a"]), ("span", (2.0, 3.5)),
        ("pair", ("u", "v")), ("day", dt.date(2027, 5, 6)), ("moment", dt.datetime(2027, 5, 6, 7)),
        ("colour", "#ff00ff"),
    ],
)  # fmt: skip
def test_a_parameter_of_each_type_is_read_from_the_address_that_it_was_written_to(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    location, state = Location(), OfEachType(**{name: value})
    monkeypatch.setattr(type(pn.state), "location", location)
    state.follow()
    assert getattr(state, name) == value
    opened = OfEachType()
    assert opened.read(parse_qs(location.search.lstrip("?"))) == []
    assert {**opened.param.values(), "name": ""} == {**state.param.values(), "name": ""}
    location.search = f"?{urlencode({name: as_text(state.param[name], value)})}"
    assert getattr(state, name) == value


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("flag=1", "flag: wanted one of true, false, got '1'"),
        ("number=-6", "number: wanted a whole number from -5 to 5, got '-6'"),
        ("number=1.5", "number: wanted a whole number from -5 to 5, got '1.5'"),
        ("share=0", "share: wanted a number above 0, at most 1, got '0'"),
        ("share=nan", "share: wanted a number above 0, at most 1, got 'nan'"),
        ("letter=A", "letter: wanted a value such as a, got 'A'"),
        ("names=b", """names: wanted a value such as ["a"], got 'b'"""),
        ("names=[1]", """names: wanted a value such as ["a"], got '[1]'"""),
        (f"names={'[' * 1999}", f"""names: wanted a value such as ["a"], got '{"[" * 40}'"""),
        ("level=4", "level: wanted one of 1, 2, 3, got '4'"),
        ('several=["c"]', """several: wanted a value such as ["a"], got '["c"]'"""),
        ("span=[2,20]", "span: wanted a value such as [0.0, 1.0], got '[2,20]'"),
        ("pair=uv", """pair: wanted a value such as ["x", "y"], got 'uv'"""),
        ("day=today", "day: wanted a value such as 2026-01-02, got 'today'"),
        ("colour=#f", "colour: wanted a value such as #000000, got '#f'"),
    ],
)
def test_a_wrong_value_of_each_type_is_one_line(query: str, line: str) -> None:
    state = OfEachType()
    assert state.read(parse_qs(query)) == [line]
    assert {**state.param.values(), "name": ""} == {**OfEachType().param.values(), "name": ""}


def test_a_field_is_made_for_each_type_that_one_can_type_or_choose() -> None:
    complaints: list[str] = []
    state = OfEachType()
    controls = Controls(state, complaints.append)
    chosen = {"flag": True, "number": -3, "share": 0.25, "text": "x", "level": 3}
    for name, value in chosen.items():
        field = controls.field(name, name)
        assert field.value == getattr(state, name)
        field.value = value
        assert getattr(state, name) == value
    field = controls.field("letter", "letter")
    field.value = "A"
    assert (state.letter, field.value, len(complaints)) == ("a", "a", 1)
    for name, kind in (("span", "Range"), ("several", "ListSelector")):
        with pytest.raises(TypeError, match=f"no field for the {kind} parameter '{name}'"):
            controls.field(name, name)


def test_new_options_take_their_value_to_the_browser_which_knows_it_by_its_label() -> None:
    controls, sent = Controls(OfEachType(), print), list[Any]()
    field = controls.field("level", "level")
    field.param.watch(sent.append, "value")  # as panel does, to send it
    controls.update(field, options={"one": 1, "two": 2}, value=2)
    assert [event.new for event in sent] == [2]
    controls.update(field, options={"one": 1, "two": 2}, value=2)
    assert len(sent) == 1


class Numbers(Pane[int]):
    name, title, in_job = "numbers", "Numbers", True

    def key(self, request: int) -> int:
        return request

    def compute(self, request: int, progress: Progress) -> int:
        while True:
            progress(0, 1, "counting")
            time.sleep(0.005)

    def draw(self, view: int, request: int) -> Content:
        return Content()


class NumbersPage(Page[int]):
    path, title, state_type = "/numbers", "Numbers", OfEachType

    def make_panes(self) -> tuple[Numbers]:
        return (Numbers(),)

    def layout(self) -> list[Any]:
        return []

    def resolve(self, values: Values) -> Resolved[int]:
        if values["number"] < 0:
            raise UserError("a negative number of numbers")
        return values.resolved(values["number"])


def test_a_state_that_cannot_be_resolved_ends_the_request_before_it(tmp_path: Path) -> None:
    page = NumbersPage(RunLibrary([tmp_path]), FirstStart(tmp_path), None, "number=2")
    page.loaded()
    wait_until(page, lambda: "Counting" in page.session.cards["numbers"].content["message"], 20)
    job = page.session._background["numbers"]._job
    page.state.number = -1
    wait_until(page, lambda: "negative" in page.session.cards["numbers"].content["message"], 20)
    assert page.session.request is None
    wait_until(page, lambda: job.report().outcome == "cancelled", 20)
    page.select("flag", "maybe")
    assert "flag: wanted one of true, false, got 'maybe'" in html.unescape(str(page.notice.pane.object))


class Shown(Pane[int]):
    name, title = "shown", "Shown"

    def key(self, request: int) -> int:
        return request

    def compute(self, request: int, progress: Progress) -> int:
        return request

    def draw(self, view: int, request: int) -> Content:
        return Content(sentence=f"card {view}")


class ImprovingPage(NumbersPage):
    """A page whose numbers are provisional at first; an even one is final."""

    def make_panes(self) -> tuple[Shown]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (Shown(),)

    def line_of(self, request: int) -> str:
        return f"line {request}"

    def improved(self, request: int, current: Callable[[], bool]) -> int | None:
        return request + 1 if request % 2 else None


def test_a_better_answer_reaches_the_line_above_the_cards_as_well_as_the_cards(tmp_path: Path) -> None:
    page = ImprovingPage(RunLibrary([tmp_path]), FirstStart(tmp_path), None, "number=3")
    page.loaded()
    wait_until(page, lambda: page.session.cards["shown"].content["sentence"] == "card 4", 20)
    assert "line 4" in page.line.object


class HiddenPage(ImprovingPage):
    """A page whose card is part of it for numbers above 2 alone."""

    def make_panes(self) -> tuple[Shown]:  # pyright: ignore[reportIncompatibleMethodOverride]
        pane = Shown()
        pane.shown = lambda request: request > 2
        return (pane,)


def test_a_card_that_is_not_part_of_the_page_is_hidden_and_waits_for_nothing(tmp_path: Path) -> None:
    page = HiddenPage(RunLibrary([tmp_path]), FirstStart(tmp_path), None, "number=2")
    page.loaded()
    card = page.session.cards["shown"]
    wait_until(page, lambda: not card.visible, 20)
    assert not card.content["busy"]
    page.state.number = 4
    wait_until(page, lambda: card.content["sentence"] == "card 4", 20)
    assert card.visible
