"""The parts of the page that need no browser: address, guard, jobs, requests, messages from the browser."""

from __future__ import annotations

import base64
import io
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from dashboards.explorer.all_images import TsneMap
from dashboards.explorer.approximations import words
from dashboards.explorer.controls import ExplorerControls
from dashboards.explorer.request import ComparedRun, ExplorerRequest
from dashboards.explorer.state import ExplorerState, plane_dims
from dashboards.guard import Foreign
from dashboards.lab.jobs import OF_RUN, Background, JobSlot, Report, WatchedJob
from dashboards.lab.latest import Latest
from dashboards.lab.library import RunLibrary
from dashboards.widgets.card import Card, Content
from dashboards.widgets.drawing import image_from_levels
from dashboards.widgets.upload import file_content
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.inspection.views import GapView, Instance, MapView, SampleRange
from gpvae_core.plots.theme import LIGHT
from gpvae_core.progress import Progress, silent

# The address


def test_an_address_sets_the_state() -> None:
    state = ExplorerState()
    query = "run=a&with=b&focus=second&index=12&plane=3,1&colour=gap&against=negentropy&bandwidth=validation"
    assert state.read(parse_qs(query)) == []
    assert (state.run, state.other, state.focus, state.index) == ("a", "b", "second", 12)
    assert (state.plane, state.colour, state.against, state.bandwidth) == ("3,1", "gap", "negentropy", "validation")
    assert state.names == ("a", "b")
    assert plane_dims(state.plane) == ("dims", (2, 0))


@pytest.mark.parametrize(
    "query",
    [
        "index=-1", "index=x", "index=1.5", "plane=0,1", "plane=1", "plane=1,2,3", "plane=../x", "colour=green",
        "focus=third", "against=", "bandwidth=9", "index=" + "9" * 400, "colour=<script>",
    ],
)  # fmt: skip
def test_wrong_values_are_said_and_left_out(query: str) -> None:
    state, untouched = ExplorerState(), ExplorerState()
    complaints = state.read(parse_qs(query, keep_blank_values=True))
    assert len(complaints) == 1
    values, before = state.param.values(), untouched.param.values()
    assert {k: v for k, v in values.items() if k != "name"} == {k: v for k, v in before.items() if k != "name"}


def test_right_values_beside_a_wrong_one_count() -> None:
    state = ExplorerState()
    lines = state.read(parse_qs("index=4&colour=green&inde=1"))
    assert [line.split(";")[0] for line in lines] == [
        "unknown key of the address 'inde'",
        "colour: wanted one of class, uncertainty, gap, got 'green'",
    ]
    assert "did you mean 'index'?" in lines[0]
    assert state.index == 4


def test_the_same_run_twice_is_one() -> None:
    assert ExplorerState(run="a", other="a").names == ("a",)


def test_picking_a_test_image_leaves_ones_own() -> None:
    state = ExplorerState()
    state.place("drawn", np.zeros((1, 8, 8)))
    assert state.own_image is not None
    state.pick(0)
    assert state.own_image is None


# Who may talk to the server


def fetched(site: str, mode: str, dest: str) -> dict[str, str]:
    """What a browser says of a request: where it comes from, how it was made, what for."""
    return {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"Host": "localhost:5006"}, False),
        ({"Host": "127.0.0.1:5006", "Origin": "http://localhost:5006"}, False),
        ({"Host": "LOCALHOST:5006"}, False),
        ({"Host": "evil.example:5006"}, True),
        ({"Host": "evil.example:5006", "Origin": "http://evil.example:5006"}, True),
        ({"Host": "localhost:5006", "Origin": "http://evil.example"}, True),
        ({"Host": "localhost:5006", "Origin": "null"}, True),
        ({"Host": "localhost:5006", "Sec-Websocket-Origin": "http://evil.example"}, True),
        ({"Host": "localhost:80"}, False),  # a forwarded port, as are the next ones
        ({"Host": "localhost"}, False),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, False),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}, False),
        ({"Host": "localhost:8000", "Sec-Websocket-Origin": "http://localhost:8000"}, False),
        ({"Host": "[::1]:8000", "Origin": "http://[::1]:8000"}, False),
        ({"Host": "[::1]"}, False),
        ({"Host": "[::1]:8000", "Sec-Websocket-Origin": "http://[::1]:8000"}, False),
        ({"Host": "[::1]:8000", "Origin": "http://[::1]:5006"}, True),
        ({"Host": "[::1]:8000", "Origin": "http://evil.example"}, True),
        ({"Host": "[::2]:8000"}, True),
        ({"Host": "[fe80::1]:8000"}, True),
        ({"Host": "[::ffff:10.0.0.1]:8000"}, True),
        ({"Host": "::1"}, True),
        ({"Host": "[::1].evil.example:8000"}, True),
        ({"Host": "evil.example[::1]:8000"}, True),
        ({"Host": "localhost:8000", "Origin": "http://localhost:5006"}, True),
        ({"Host": "localhost:5006", "Origin": "http://localhost"}, True),
        ({"Host": "localhost:5006", "Origin": "https://evil.example:5006"}, True),
        ({"Host": "localhost:5006", "Origin": "http://evil.example:5006/@localhost:5006"}, True),
        ({"Host": "localhost:5006", "Origin": "http://[evil"}, True),
        ({"Host": "localhost:port"}, True),
        ({"Host": "127.0.0.1.evil.example:5006"}, True),
        ({"Host": "127a0b0c1:5006"}, True),
        ({"Host": "localhost:5006", **fetched("same-origin", "cors", "empty")}, False),
        ({"Host": "localhost:5006", **fetched("none", "navigate", "document")}, False),
        ({"Host": "localhost:5006", **fetched("cross-site", "no-cors", "image")}, True),
        ({"Host": "localhost:5006", **fetched("same-site", "no-cors", "image")}, True),  # of another port
        ({"Host": "localhost:5006", **fetched("cross-site", "navigate", "iframe")}, True),
        ({"Host": "localhost:5006", **fetched("cross-site", "navigate", "document")}, False),
        ({"Host": "evil.example:5006", **fetched("cross-site", "navigate", "document")}, True),
        ({"Host": "localhost.evil.example:5006"}, True),
        ({"Host": ""}, True),
    ],
)
def test_foreign_requests_are_told_apart(headers: dict[str, str], refused: bool) -> None:
    connection: Any = type("Connection", (), {"context": None})()
    start = RequestStartLine("GET", "/", "HTTP/1.1")
    request = HTTPServerRequest(start_line=start, headers=HTTPHeaders(headers), connection=connection)
    assert (Foreign().match(request) is not None) == refused


# Jobs


def test_a_job_reports_and_ends() -> None:
    release = threading.Event()

    def work(progress: Progress) -> None:
        progress(3, 10, "counting")
        release.wait(5)

    job = WatchedJob("test", work).start()
    while job.report().what != "counting":
        time.sleep(0.005)
    report = job.report()
    assert report.running
    assert (report.done, report.total, report.share) == (3, 10, 0.3)
    release.set()
    job.join(5)
    assert job.report().outcome == "done"


def test_a_callback_that_outlives_its_job_changes_nothing() -> None:
    kept: list[Progress] = []
    job = WatchedJob("test", kept.append).start()
    job.join(5)
    kept[0](850, 750, "late")
    assert job.report() == Report("done")


def test_a_job_is_cancelled_at_its_next_report() -> None:
    reached = threading.Event()

    def work(progress: Progress) -> None:
        while True:
            progress(0, 1, "turning")
            reached.set()
            time.sleep(0.001)

    job = WatchedJob("test", work).start()
    assert reached.wait(5)
    job.cancel()
    job.join(5)
    assert job.report().outcome == "cancelled"
    assert not job.report().running


def test_a_failed_job_says_why(caplog: pytest.LogCaptureFixture) -> None:
    def wrong(progress: Progress) -> None:
        raise UserError("the disk is full")

    def broken(progress: Progress) -> None:
        raise ZeroDivisionError("oops")

    jobs = [WatchedJob("one", wrong).start(), WatchedJob("two", broken).start()]
    for job in jobs:
        job.join(5)
    assert jobs[0].report().error == "the disk is full"
    assert jobs[1].report().error.startswith("Two failed for a reason that this program did not expect")
    assert "oops" in caplog.text


def test_progress_in_words() -> None:
    assert Report("running", "training digits-vae", 3, 300, 41.0).words == (
        "Training digits-vae 3 of 300, about 40 s left"
    )
    assert Report("running", "training", 3, 300, None).words == "Training 3 of 300"
    assert Report("running", "training", 3, 300, 2.0).words == "Training 3 of 300, about 5 s left"
    assert Report("running", "training", 3, 300, 301.0).words == "Training 3 of 300, about 5 min left"
    assert Report("running", "best Gaussians", 359, 359, 3.0).words == "Best Gaussians 359 of 359"
    assert "kept" in Report("cancelled").words


def test_a_time_left_says_what_it_is_for_where_more_follows() -> None:
    """A first start trains two runs, and a view is computed in several steps: the time is not that of the whole."""
    words: list[str] = []

    def work(progress: Progress) -> None:
        progress(0, 880, "training 2 of 10, digits-iaf: step")
        time.sleep(0.6)
        progress(86, 880, "training 2 of 10, digits-iaf: step")
        words.append(slot.report().words)

    for slot, part in ((JobSlot(OF_RUN), "of this run"), (Background("a view"), "of this step")):
        slot.begin("a job", work)
        while slot.running:
            time.sleep(0.05)
        assert words[-1].startswith("Training 2 of 10, digits-iaf: step 86 of 880, about ")
        assert words[-1].endswith(f" left {part}")


# Requests


def test_only_the_newest_request_is_answered() -> None:
    latest, shown = Latest(None, print), []
    started, release, done = threading.Event(), threading.Event(), threading.Event()

    def slow(generation: int) -> None:
        started.set()
        release.wait(5)
        latest.push(generation, lambda: shown.append("old"))

    def skipped(generation: int) -> None:
        shown.append("never")

    def new(generation: int) -> None:
        latest.push(generation, lambda: shown.append("new"))
        done.set()

    latest.ask(slow)
    assert started.wait(5)
    latest.ask(skipped)
    latest.ask(new)
    release.set()
    assert done.wait(5)
    assert shown == ["new"]


def test_refining_drops_when_something_newer_was_asked() -> None:
    latest, shown, done = Latest(None, print), [], threading.Event()
    old = latest.next()
    new = latest.next()
    latest.afterwards(lambda generation: shown.append(generation), old)
    latest.afterwards(lambda generation: (shown.append(generation), done.set())[0], new)
    assert done.wait(5)
    assert shown == [new]


# What the browser sends


def test_a_drawing_becomes_an_image() -> None:
    levels = [0, 51, 102, 153, 204, 255]
    image = image_from_levels(levels, (3, 2, 3))
    assert image.shape == (3, 2, 3)
    np.testing.assert_allclose(image[1].ravel(), np.array(levels) / 255, atol=1e-7)
    np.testing.assert_array_equal(image[0], image[2])


@pytest.mark.parametrize(
    "levels", [None, [], [0] * 5, [0] * 7, [0] * 5 + [256], [0] * 5 + [-1], [0] * 5 + [0.5], ["0"] * 6]
)
def test_a_wrong_drawing_is_refused(levels: object) -> None:
    with pytest.raises(UserError, match="wanted"):
        image_from_levels(levels, (1, 2, 3))


def test_a_file_arrives_whole_or_not_at_all() -> None:
    content = bytes(range(256)) * 4
    assert file_content(base64.b64encode(content).decode(), 1024) == content
    with pytest.raises(UserError, match="at most"):
        file_content(base64.b64encode(content * 2).decode(), 1024)
    for damaged in ("%%%%", "abc", 7, None, ""):
        with pytest.raises(UserError):
            file_content(damaged, 1024)


# The line above the views


def test_the_verdict_names_the_larger_part() -> None:
    gap = GapView("gp", -50.0, "grid", -50.2, -50.5, -52.0, 0.3, 2)
    assert words(gap, None, None) == (
        "log p(x) = −50.00 nats; its ELBO is 2.00 nats below it, mostly due to amortization (0.50 approximation + 1.50 "
        "amortization); the true posterior has 2 modes."
    )
    approximation = words(GapView("gp", -50.0, "grid", None, -51.8, -52.0, None, 1), None, None)
    assert "mostly due to approximation by diagonal Gaussians (1.80 approximation + 0.20" in approximation
    flow = words(GapView("flow", -50.0, "grid", None, -50.5, -50.2, None, 1), None, None)
    assert "0.20 nats below it, 0.30 nats less than that of the best diagonal Gaussian (0.50 approximation − " in flow


def test_a_number_is_given_with_the_range_of_the_test_images_and_a_provisional_one_is_said_to_be_so() -> None:
    gap = GapView("gp", -50.0, "ais", -50.2, -50.5, -52.0, None, None)
    tested = SampleRange(np.linspace(-100.0, 0.0, 101), np.linspace(0.0, 10.0, 101))
    said = words(gap, None, tested)
    assert "log p(x) ≥ −50.00 nats (90 % of 101 test images: −95.0 to −5.0);" in said
    assert "its ELBO is 2.00 nats below it (90 % of 101 test images: 0.50 to 9.50)," in said
    quick = replace(gap, log_px_truth="iwae", best_full_elbo=None, best_diagonal_elbo=None)
    assert "log p(x) ≥ −50.00 nats (provisional: a tighter lower bound is being computed)" in words(quick, None, None)
    assert "provisional" not in words(replace(quick, log_px_truth="grid"), None, None)


# The map


def test_gaps_that_become_ready_while_the_map_is_drawn_are_shown_at_the_next_drawing() -> None:
    index = np.arange(4)
    view = MapView(index, np.random.default_rng(0).normal(size=(4, 2)), index, tuple("abcd"), None, None, "all")

    class Explorer:
        ready = frozenset({"map"})
        gap = None

        def map_view(self) -> MapView:
            answer = replace(view, gap=self.gap)
            self.ready, self.gap = frozenset({"map", "gaps"}), np.arange(4.0)  # just after the view was made
            return answer

    instance = Instance(np.zeros((1, 8, 8), dtype=np.float32), 0, "a", "test")
    run = ComparedRun("run", cast("Any", Explorer()), instance)
    request = ExplorerRequest((run,), 0, "auto", "gap", "inference gap", "sigma_x", 1, LIGHT, 0, refined=False)
    drawing = TsneMap()
    assert "still being computed" in drawing.draw(drawing.compute(request, silent), request).sentence
    second = drawing.draw(drawing.compute(request, silent), request)
    assert "still being computed" not in second.sentence
    assert "inference gap (nats)" in second.figure


# Runs


def test_a_place_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # `runs` is read below, and a user may have one in the working folder
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match=r"there is no run '.*note'$"):
        RunLibrary([tmp_path / "note"])
    (tmp_path / "notes" / "photo.png").touch()
    with pytest.raises(UserError, match="notes' holds no runs"):
        RunLibrary([tmp_path / "notes"])
    assert RunLibrary([Path("runs")]).names() == []


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    library = RunLibrary([tmp_path])
    assert library.names() == []
    assert library.default_choice() == ("", "")
    with pytest.raises(UserError, match="unknown run 'x'"):
        library.explorer("x")


def test_a_late_echo_does_not_undo_which_runs_the_page_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ExplorerState(run="newer", other="older")
    controls = ExplorerControls(state, lambda line: None)
    controls.offer_runs(["newer", "older"])
    controls.ignore_echoes()
    controls.run.value, controls.other.value = "older", ""
    assert (state.run, state.other) == (controls.run.value, controls.other.value) == ("newer", "older")
    monkeypatch.setattr("dashboards.explorer.controls.ECHO_S", 0.0)
    controls.ignore_echoes()
    controls.run.value = "older"
    assert state.run == "older"


def test_the_class_that_is_shown_is_that_of_the_image() -> None:
    """A class without a test image is not offered, and one's own image makes way for the class that is chosen."""
    labels, names = np.array([0, 2, 0, 2]), ("<b>a</b>", "none here", "$x$")
    data: Any = SimpleNamespace(class_names=names, event_shape=(1, 8, 8))
    data.test = SimpleNamespace(images=np.zeros((4, 1, 8, 8)), labels=labels)
    explorer: Any = SimpleNamespace(
        run=SimpleNamespace(data=data), quick_picks=dict,
        by_class=lambda name: np.flatnonzero(labels == names.index(name)),
    )  # fmt: skip
    state = ExplorerState(run="run", index=0)
    controls = ExplorerControls(state, lambda line: None)
    controls.offer(explorer)
    assert controls.classes.options == ["all", "<b>a</b>", "$x$"]
    controls.classes.value = "$x$"
    assert (state.index, controls.classes.value) == (1, "$x$")
    state.place("drawn", np.zeros((1, 8, 8)))
    assert controls.classes.value == "all"
    controls.classes.value = "$x$"
    assert (state.index, state.own_image, controls.classes.value) == (1, None, "$x$")
    state.pick(2)
    assert controls.classes.value == "all"


def test_a_dark_or_cropped_upload_is_shown_and_named_and_scaled_as_the_run_was_told() -> None:
    placed: list[np.ndarray] = []
    complaints: list[str] = []

    def upload(data: DataConfig, picture: np.ndarray) -> None:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        run = SimpleNamespace(model=SimpleNamespace(event_shape=(1, 8, 8)), config=SimpleNamespace(data=data))
        state = SimpleNamespace(place=lambda source, image: placed.append(image))
        controls: Any = SimpleNamespace(_explorer=SimpleNamespace(run=run), state=state, complain=complaints.append)
        ExplorerControls._uploaded(controls, file.getvalue())

    upload(DataConfig(name="digits"), np.eye(8, dtype=np.uint8))
    assert placed[0].max() == pytest.approx(1 / 255)
    assert [line[:51] for line in complaints] == ["the picture is nearly black: its values lie between"]
    upload(DataConfig(name="images:a", levels=1), np.eye(8, dtype=np.uint8))
    assert (placed[1].max(), len(complaints)) == (1.0, 1)
    upload(DataConfig(name="digits"), 255 - 255 * np.eye(8, 24, 8, dtype=np.uint8))
    assert complaints[1:] == [
        "the picture has another shape than the run's images, so only its middle is used (67 % is cut away)"
    ]


def test_a_figure_is_sent_once_and_not_again_while_it_stays() -> None:
    card, sent = Card({}), []
    card.param.watch(lambda *events: sent.append({event.name: event.new for event in events}), ["figure", "content"])
    for stamp in (1, 2):
        card.show(Content(figure="a figure", stamp=stamp))
    assert [sorted(names) for names in sent] == [["content", "figure"], ["content"]]
    assert all("a figure" not in map(str, change["content"].values()) for change in sent)
