"""An error that nobody expected: plain words in its place, the traceback in the log, and everything else goes on."""

from __future__ import annotations

import html
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
import pytest
from bokeh.document import Document
from bokeh.server.connection import ServerConnection
from panel.io.state import set_curdoc

from dashboards import guard
from dashboards.app import opener
from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab.address import PageState
from dashboards.lab.controls import Controls
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.lab.pane import Pane
from dashboards.lab.resolved import Resolved, Values
from dashboards.mapa_lab.page import MapaLabPage
from dashboards.results.page import ResultsPage
from dashboards.widgets.card import Content
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run
from tests.dashboards.conftest import wait_until

PLAIN = "failed for a reason that this program did not expect"
INNER = "list index out of range"


def fail(*_: Any, **__: Any) -> Any:
    raise IndexError(INNER)


def opened(kind: type[Page], folder: Path, query: str) -> Any:
    library = RunLibrary([folder], opened=lambda path: Explorer(load_run(path), gap_sample=4))
    page = kind(library, FirstStart(folder), None, query)
    page.loaded()
    return page


def message(page: Any, card: str) -> str:
    return str(page.session.cards[card].content["message"])


def notice(page: Any) -> str:
    return html.unescape(str(page.notice.pane.object))


@pytest.mark.parametrize("method", ["compute", "draw"])
@pytest.mark.parametrize(
    ("kind", "query", "card", "others"),
    [
        (ExplorerPage, "run=tiny-vae", "posterior", ("gaps", "reconstructions")),
        (GapLabPage, "decoder=tiny-vae", "lab_gaps", ("lab_contours", "lab_bound")),
        (GapLabPage, "decoder=tiny-vae", "lab_times", ("lab_contours", "lab_gaps")),
        (MapaLabPage, "N=100", "mapa_traces", ("mapa_plane",)),
        (MapaLabPage, "N=100&tab=passes", "mapa_passes", ("mapa_passes_both",)),
        (ResultsPage, "", "beside_paper", ()),
    ],
    ids=lambda part: getattr(part, "title", part if isinstance(part, str) else ""),
)
def test_a_pane_of_each_page_that_fails_says_so_and_the_others_go_on(
    kind: type[Page],
    query: str,
    card: str,
    others: tuple[str, ...],
    method: str,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = opened(kind, runs, query)
    pane = next(pane for pane in page.session.panes if pane.name == card)
    monkeypatch.setattr(pane, method, fail)
    page.session._answers.pop(card, None)
    page.session._background[card].discard()
    page.session.refresh()
    wait_until(page, lambda: PLAIN in message(page, card))
    for other in others:
        wait_until(page, lambda other=other: page.session.cards[other].figure != "" and message(page, other) == "")
    assert not page.session.cards[card].content["busy"]
    assert INNER not in message(page, card)
    assert "IndexError" not in message(page, card)
    assert INNER in caplog.text, "the traceback is in the log"


class NumberState(PageState):
    number = param.Integer(default=2, bounds=(0, 5))


class Square(Pane[int]):
    name, title, depends = "square", "Square", ("real",)

    def compute(self, request: int, progress: Progress) -> int:
        return request**2

    def draw(self, view: int, request: int) -> Content:
        return Content(sentence=f"{view}")


class Cube(Square):
    name, title = "cube", "Cube"


class PowersPage(Page[int]):
    path, title, state_type = "/powers", "Powers", NumberState

    def make_panes(self) -> tuple[Square, Cube]:
        return Square(), Cube()

    def layout(self) -> list[Any]:
        self.controls = Controls(self.state, self.notice.show)
        self.field = self.controls.field("number", "Number")
        return [self.field]

    def resolve(self, values: Values) -> Resolved[int]:
        return values.resolved(values["number"])


def sentence(page: Any, card: str) -> str:
    return str(page.session.cards[card].content["sentence"])


@pytest.mark.parametrize("hook", ["key", "slow", "shown", "selects", "waits_for", "drawing_key", "subject", "aside"])
def test_whatever_fails_in_a_pane_fails_in_its_card(hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Square, hook, fail)
    monkeypatch.setattr(Cube, hook, getattr(Pane, hook))
    page = opened(PowersPage, tmp_path, "number=3")
    wait_until(page, lambda: PLAIN in message(page, "square"), 20)
    wait_until(page, lambda: sentence(page, "cube") == "9", 20)
    assert INNER not in message(page, "square")


@pytest.mark.parametrize("hook", ["line_of", "offer", "beside", "improved", "watch"])
def test_whatever_fails_in_a_page_is_said_and_its_cards_are_filled(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PowersPage, hook, fail)
    page = opened(PowersPage, tmp_path, "number=3")
    wait_until(page, lambda: sentence(page, "square") == sentence(page, "cube") == "9", 20)
    wait_until(page, lambda: PLAIN in notice(page) + str(page.line.object), 20)
    assert INNER not in notice(page)
    assert not page.session.cards["cube"].content["busy"]


def test_a_state_that_fails_to_be_resolved_is_said_in_all_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PowersPage, "resolve", fail)
    page = opened(PowersPage, tmp_path, "")
    for card in ("square", "cube"):
        wait_until(page, lambda card=card: PLAIN in message(page, card), 20)
    assert PLAIN in notice(page)
    assert INNER not in notice(page)


def test_a_callback_that_fails_is_said_in_its_page(tmp_path: Path) -> None:
    made: list[PowersPage] = []

    class Kept(PowersPage):
        def layout(self) -> list[Any]:
            made.append(self)
            return super().layout()

    with set_curdoc(Document()):
        view = opener(Kept, RunLibrary([tmp_path]), FirstStart(tmp_path))()
        pn.state.execute(fail, schedule=False)
    assert view is made[0].frame
    assert PLAIN in notice(made[0])
    assert INNER not in notice(made[0])


def test_a_number_beyond_its_bounds_is_refused_in_the_words_of_the_address(tmp_path: Path) -> None:
    """Before, the line was param's: Integer parameter 'MapaState.size' must be at most ..."""
    page = opened(PowersPage, tmp_path, "")
    page.controls.set(number=9)
    assert "number: wanted a whole number from 0 to 5, got '9'" in notice(page)
    page.change(number=-1)
    assert "number: wanted a whole number from 0 to 5, got '-1'" in notice(page)
    assert page.state.number == 2


def test_a_preparation_that_fails_leaves_no_card_waiting(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened(ExplorerPage, runs, "")
    monkeypatch.setattr(Explorer, "prepare", fail)
    page.state.param.update(run="deep-gp", other="")
    wait_until(page, lambda: PLAIN in message(page, "map"))
    assert not page.session.cards["map"].content["busy"]
    assert PLAIN in page.strip.object


@pytest.mark.parametrize("runs_of", ["one", "two"])
def test_the_gap_lab_shows_what_it_can_of_one_dimension_and_of_a_refiner_that_diverges(
    runs_of: str, runs: Path, one_dimension: Path
) -> None:
    """Before, contours and bound showed an IndexError."""
    if runs_of == "one":
        page = opened(GapLabPage, one_dimension, "")
        wait_until(page, lambda: "no plane to draw" in message(page, "lab_contours"))
    else:
        page = opened(GapLabPage, runs, "decoder=tiny-vae&methods=tiny-vae;tiny-vae%2Bsvi:8,step_size=1e9")
        wait_until(page, lambda: "No region of tiny-vae+svi" in sentence(page, "lab_contours"))
    wait_until(page, lambda: page.session.cards["lab_bound"].figure != "" and message(page, "lab_bound") == "")
    wait_until(page, lambda: page.film.player.frames != "")
    assert "NaN" not in page.film.player.frames
    assert "Infinity" not in page.film.player.frames


@pytest.fixture(scope="module")
def one_dimension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VAE of d = 1 on the digits."""
    from gpvae_core.config import make_config
    from gpvae_core.data.base import DataConfig
    from gpvae_core.training import train

    root = tmp_path_factory.mktemp("line")
    settings = {"latent_dim": 1, "train.epochs": 2, "train.lr": 2e-3}
    train(make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings), root / "line", device="cpu")
    return root


def test_what_comes_from_a_tab_that_was_closed_is_not_logged_and_other_faults_are() -> None:
    closed = ServerConnection.__new__(ServerConnection)
    closed._session = None  # pyright: ignore[reportAttributeAccessIssue]

    def logged(raises: Callable[[], object]) -> bool:
        try:
            raises()
        except AssertionError:
            record = logging.LogRecord("bokeh", logging.ERROR, "", 0, "", (), sys.exc_info())
            return guard._in_one_line(record)
        raise RuntimeError("it raised nothing")

    def other() -> None:
        raise AssertionError("another")

    assert not logged(lambda: closed.session)
    assert logged(other)
