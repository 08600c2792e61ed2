"""Work in the background: what one page asks for leaves the others free, and ends where nobody wants it any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import torch
from bokeh.document import Document

from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab import jobs
from dashboards.lab.first_start import FirstStart
from dashboards.lab.jobs import Report, TimeOver, WatchedJob, allowed
from dashboards.lab.latest import Latest
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from gpvae_core.inspection.embedding import STEPS, Embedding
from gpvae_core.inspection.memo import Memo
from gpvae_core.progress import Cancelled, checkpoint
from gpvae_core.runs import load_run
from tests.dashboards.conftest import wait_until

LONG = "svi:10000,svi_samples=5000"
"""A refiner whose steps take minutes."""


def page_on(kind: type[Page], library: RunLibrary, query: str) -> Any:
    page = kind(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def content(page: Any, name: str) -> dict[str, Any]:
    return dict(page.session.cards[name].content)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Give a function that returns whether any thread took a step of a refiner in the last moment."""
    from gpvae_core.refiners import ascent

    steps, inner = [0], ascent.elbo_and_gradients

    def counting(*args: Any, **kwargs: Any) -> Any:
        steps[0] += 1
        return inner(*args, **kwargs)

    monkeypatch.setattr(ascent, "elbo_and_gradients", counting)

    def busy() -> bool:
        before = steps[0]
        time.sleep(0.3)
        return steps[0] > before

    yield busy


def test_a_long_job_of_one_tab_leaves_the_other_free_and_ends_with_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_S", 0.5)
    monkeypatch.setattr("dashboards.lab.session.CANCEL_AFTER_S", 0.5)
    library = RunLibrary([runs / "tiny-vae", runs / "tiny-gp"])
    with counted(monkeypatch) as busy:
        first = page_on(GapLabPage, library, f"decoder=tiny-vae&methods=tiny-vae;tiny-vae%2B{quote(LONG)}")
        wait_until(first, busy)
        wait_until(first, lambda: "Being computed" in content(first, "lab_gaps")["message"])
        second = page_on(GapLabPage, library, "decoder=tiny-vae&methods=tiny-vae")
        for name in ("lab_gaps", "lab_contours", "lab_bound", "lab_times"):
            wait_until(second, lambda name=name: content(second, name)["visible"])
        wait_until(first, lambda: content(first, "lab_gaps")["actions"] == (("cancel", "Cancel"),))
        first.session._act(first.session.panes[0], "cancel")
        assert content(first, "lab_gaps")["message"] == "Cancelled."
        assert content(first, "lab_gaps")["actions"] == (("again", "Try again"),)
        first.session._act(first.session.panes[0], "again")
        wait_until(first, busy)
        first.close()
        wait_until(second, lambda: not busy(), 20)
    second.state.index = 3
    wait_until(second, lambda: "image 3" in content(second, "lab_gaps")["sub"])
    second.close()


def test_a_page_is_closed_with_its_session(runs: Path) -> None:
    library, document = RunLibrary([runs]), Document()
    page = ExplorerPage(library, FirstStart(library.root), document, "")
    page.loaded()
    assert page.session.latest.current(page.session.latest.next())
    for callback in document.callbacks.session_destroyed_callbacks:
        callback(None)  # pyright: ignore[reportArgumentType]
    assert not page.session.latest.current(page.session.latest.next())


class Calls:
    """Stands for a server's session: it runs callbacks, and notes in which threads they were added."""

    def __init__(self) -> None:
        self.loop, self.threads = asyncio.get_running_loop(), set[int]()

    def _session_callback_added(self, event: Any) -> None:
        self.threads.add(threading.get_ident())
        self.loop.call_soon_threadsafe(event.callback.callback)


def test_what_the_pool_shows_is_added_in_the_documents_thread_and_in_order() -> None:
    """Before, a callback was lost now and then while the document held its events: a card stayed busy for ever."""
    shown: list[int] = []

    async def serve() -> bool:
        document, calls = Document(), Calls()
        document.callbacks.on_change_dispatch_to(calls)
        latest, end = Latest(document, print), time.monotonic() + 30
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: [latest.soon(partial(shown.append, k)) for k in range(200)])
            while len(shown) < 200 and time.monotonic() < end:
                document.hold("combine")
                document.unhold()
                await asyncio.sleep(0)
        return calls.threads == {threading.get_ident()}

    with ThreadPoolExecutor(1) as server:  # in this thread the browser of other tests may have its loop
        assert server.submit(asyncio.run, serve()).result()
    assert shown == list(range(200))


class Preparing:
    """Stands for an explorer whose preparation takes for ever, but can be stopped."""

    def __init__(self) -> None:
        self.begun = 0

    def prepare(self, progress: Any) -> None:
        self.begun += 1
        while True:
            checkpoint()
            time.sleep(0.005)


def test_runs_are_prepared_side_by_side_for_as_long_as_a_page_watches_them(runs: Path) -> None:
    made: dict[str, Preparing] = {}
    library = RunLibrary([runs], opened=lambda path: made.setdefault(path.name, Preparing()))  # pyright: ignore

    class Tab:
        def tick(self) -> None: ...

    one, other = Tab(), Tab()
    running = lambda name: library.preparation(name).running  # noqa: E731
    library.prepare(one, ["tiny-vae"])
    library.prepare(other, ["tiny-vae", "tiny-gp"])
    wait_until(one, lambda: made["tiny-vae"].begun == made["tiny-gp"].begun == 1)
    library.prepare(one, [])
    assert running("tiny-vae")
    assert running("tiny-gp")
    ending = library._preparations[library.summary("tiny-vae").path]
    library.prepare(other, ["tiny-gp"])
    ending.join(10)
    assert ending.report().outcome == "cancelled"
    assert not running("tiny-vae")
    assert running("tiny-gp")
    library.cancel_preparation("tiny-gp")
    assert library.preparation("tiny-gp").words.startswith("Cancelled")
    wait_until(one, lambda: not running("tiny-gp"))
    library.prepare(other, ["tiny-gp"])
    assert not running("tiny-gp")
    library.prepare(other, ["tiny-gp"], again=True)
    assert running("tiny-gp")
    library.prepare(other, [])
    wait_until(one, lambda: made["tiny-gp"].begun == 2)


def test_work_has_a_limit_and_says_so() -> None:
    job = WatchedJob("test", lambda progress: [checkpoint() for _ in iter(int, 1)], 0.05).start()
    job.join(10)
    assert job.report().outcome == "failed"
    assert "more than 0 s" in job.report().error
    job = WatchedJob("test", lambda progress: [checkpoint() for _ in iter(int, 1)], 60.0).start()
    job.cancel()
    assert job.report().outcome in ("stopping", "cancelled")
    job.join(10)
    assert job.report().outcome == "cancelled"
    checkpoint()


def test_every_refiner_and_truth_can_be_stopped_while_it_decodes(runs: Path) -> None:
    from gpvae_core.refiners.base import REFINERS
    from gpvae_core.runs import replace_refiner

    run = load_run(runs / "deep-gp", device="cpu")
    x = run.data.test.pixels([0, 1])
    calls: list[Callable[[], object]] = [lambda: run.gaps(x), lambda: run.truth.log_px(x), lambda: run.truth.samples(x)]
    for kind in REFINERS.summaries():
        if kind != "none":
            model = load_run(runs / "deep-gp", device="cpu").model
            try:
                replace_refiner(model, run.config, kind)
            except Exception:  # has weights of its own, or does not fit
                continue
            calls.append(lambda model=model: model.infer(x))
    assert len(calls) > 3
    for call in calls:
        with pytest.raises(Cancelled), torch.no_grad(), allowed(lambda: False, 60.0):
            call()


def test_who_waits_for_anothers_result_can_be_stopped() -> None:
    memo, started, release = Memo(), threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: memo.get("key", lambda: (started.set(), release.wait(30))))
    other.start()
    assert started.wait(10)
    with pytest.raises(TimeOver), allowed(lambda: True, 0.2):
        memo.get("key", lambda: 1)
    release.set()
    other.join(10)


def test_many_requests_of_one_page_take_one_thread_of_the_pool() -> None:
    latest, release, answered = Latest(None, print), threading.Event(), []
    begun = threading.Event()

    def slow(generation: int) -> None:
        begun.set()
        release.wait(30)

    latest.ask(slow)
    assert begun.wait(10)
    for _ in range(50):
        latest.ask(answered.append)
    others = [Latest(None, print) for _ in range(10)]
    seen = threading.Barrier(11)
    for other in others:
        other.ask(lambda generation: print(seen.wait(30)))
    seen.wait(30)
    release.set()
    deadline = time.monotonic() + 10
    while not answered:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert answered == [51]


def test_steps_of_a_point_placed_later_are_no_steps_of_the_map() -> None:
    reports: list[tuple[int, int, str]] = []
    z = np.random.default_rng(0).normal(size=(40, 3))
    drawn = Embedding(z, seed=0, progress=lambda done, total, what: reports.append((done, total, what)))
    assert reports[0] == (0, STEPS, "t-SNE map")
    assert reports[-1] == (STEPS, STEPS, "t-SNE map")
    count = len(reports)
    drawn.place(z[0])
    assert len(reports) == count


def test_the_time_left_runs_down_and_is_not_said_when_it_is_over() -> None:
    now = time.monotonic()
    assert Report("running", "map", 25, 750, 41.0, at=now).words == "Map 25 of 750, about 40 s left"
    assert Report("running", "map", 25, 750, 41.0, at=now - 20).words == "Map 25 of 750, about 20 s left"
    assert Report("running", "map", 700, 750, 5.0, at=now - 60).words == "Map 700 of 750, longer than expected"
    assert Report("running", "map", 950, 750).words == "Map 750 of 750"
