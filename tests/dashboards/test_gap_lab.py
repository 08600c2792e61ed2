"""The Gap Lab: its parts without a browser, and the page in one, offline, over really trained runs."""

from __future__ import annotations

import html
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

import numpy as np
import pytest
from playwright.sync_api import expect

from dashboards.app import navigation
from dashboards.gap_lab.labs import GapLabs
from dashboards.gap_lab.page import GapLabPage
from dashboards.gap_lab.state import GapLabState
from dashboards.lab.first_start import FirstStart
from dashboards.lab.jobs import Background
from dashboards.lab.library import RunLibrary
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.inspection.gap_lab import teaching
from gpvae_core.inspection.gap_lab.views import ImageOfTest
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run
from gpvae_core.training import train
from tests.dashboards.conftest import wait_until
from tests.dashboards.saving import check_figure, save
from tests.tidy import tidy

T = TypeVar("T")
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def lab_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """'first' with a few kept epochs, and two more encoders on its decoder; 'apart' has a decoder of its own."""
    root = tmp_path_factory.mktemp("lab")
    settings = {"latent_dim": 2, "train.epochs": 4, "train.lr": 2e-3, "hidden": 32}
    for name, more in (("apart", {"seed": 1}), ("first", {"train.keep_every": 2})):
        config = make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings | more)
        train(config, root / name, device="cpu")
    first = load_run(root / "first", device="cpu")
    plan = [teaching.planned(first, "full", 2), teaching.planned(first, "vae", 2)]
    teaching.train_planned(root, plan, first)
    return root


# Without a browser


def opened(root: Path, query: str = "") -> GapLabPage:
    library = RunLibrary([root])
    page = GapLabPage(library, FirstStart(library.root), None, query)
    page.loaded()
    return page


def test_an_address_is_read_and_what_is_wrong_is_said() -> None:
    state = GapLabState()
    query = "decoder=a&index=7&methods=a%3Ba%2Bsvi%3A8%2Cstep_size%3D0.1&step=0.02&momentum=0.9&covariance=full&y=ELBO"
    assert state.read(parse_qs(query)) == []
    assert (state.decoder, state.index, state.methods) == ("a", 7, ("a", "a+svi:8,step_size=0.1"))
    assert (state.step_size, state.momentum, state.covariance, state.quantity) == (0.02, 0.9, "full", "ELBO")
    wrong = state.read(parse_qs("index=-1&step=nan&momentum=x&covariance=round&of=all"))
    assert [line.split(":")[0] for line in wrong] == ["index", "of", "step", "momentum", "covariance"]
    assert state.index == 7


def test_labs_group_runs_and_survive_a_damaged_one(lab_runs: Path, tmp_path: Path) -> None:
    for path in lab_runs.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    library = RunLibrary([tmp_path])
    (tmp_path / "first-full" / "best" / "weights.safetensors").write_bytes(b"junk")
    labs = GapLabs(library)
    labs.refresh(finished_only=True)
    assert [(name, lab.decoder.runs) for name, lab in labs.labs.items()] == [
        ("first", ("first", "first-vae")),
        ("apart", ("apart",)),
    ]
    assert any("is damaged" in line for line in labs.complaints)
    before = labs.lab("first")
    labs.refresh(finished_only=True)
    assert labs.lab("first") is before
    assert list(labs.with_epochs(before)) == ["first"]
    with pytest.raises(UserError, match="did you mean 'first'"):
        labs.lab("fist")
    assert library.shared(GapLabs) is library.shared(GapLabs)


def test_a_decoder_that_is_known_has_its_lab(lab_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages ask for labs while another thread looks for runs: that thread may publish no decoder before its lab."""
    from gpvae_core.inspection.gap_lab import lab as lab_module

    labs = GapLabs(RunLibrary([lab_runs]))
    building, may_build, make = threading.Event(), threading.Event(), lab_module.GapLab

    def slowly(*args: Any) -> Any:
        building.set()
        assert may_build.wait(60)
        return make(*args)

    monkeypatch.setattr(lab_module, "GapLab", slowly)
    thread = threading.Thread(target=labs.refresh, args=(True,))
    thread.start()
    assert building.wait(60)
    with pytest.raises(UserError, match="unknown decoder 'first'"):
        labs.lab("first")
    may_build.set()
    thread.join(60)
    assert labs.lab("first").decoder.name == "first"


def test_a_background_ends_what_is_no_longer_wanted() -> None:
    def endless(progress: Progress) -> None:
        while True:
            progress(0, 1, "going on")
            time.sleep(0.01)

    background = Background("test")
    assert background.report().outcome == "idle"
    background.compute("a", endless)
    background.compute("b", lambda progress: 42)
    deadline = time.monotonic() + 30
    while background.result is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert background.result == 42
    background.compute("b", endless)
    assert background.result == 42
    background.compute(None, endless)
    assert background.report().outcome == "idle"


def test_one_training_at_a_time(tmp_path: Path, lab_runs: Path) -> None:
    shutil.copytree(lab_runs / "first", tmp_path / "first")
    page = opened(tmp_path)
    trainings = page.labs.trainings
    wait_until(page, lambda: page.session.request is not None)
    assert not trainings.running
    page.training.epochs.value = 5000
    page.training.start("vae")
    assert trainings.running
    page.training.start("full")
    assert "a training is running already" in html.unescape(str(page.notice.pane.object))
    trainings.cancel()
    wait_until(page, lambda: not trainings.running, 60)
    assert trainings.report().outcome == "cancelled"
    assert not (tmp_path / "first-full").exists()


def test_links_mark_the_page_one_is_on() -> None:
    text = str(navigation([("/", "One & all"), ("/two", "Two")], "/two").object)
    assert '<a href="/" data-page="/">One &amp; all</a>' in text
    assert '<a href="/two" data-page="/two" aria-current="page">Two</a>' in text


def test_a_trained_method_appears_and_an_unknown_refiner_is_a_message(lab_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(lab_runs / "first", tmp_path / "first")
    page = opened(tmp_path, "methods=first;first%2Bsvj:8;ghost")
    wait_until(page, lambda: page.training.panel.visible and bool(page.training.method.options))
    assert page.state.decoder == "first"
    assert page.state.methods == ("first",)
    for line in ("did you mean 'svi'", "unknown run on this decoder 'ghost'"):
        assert line in html.unescape(str(page.notice.pane.object))
    page.training.method.value = "full"
    page.training.epochs.value = 1
    page.training.train_one.clicks += 1
    wait_until(page, lambda: [item["key"] for item in page.controls.chips.items] == ["first", "first-full"])
    assert not page.training.panel.visible
    page.controls.add("svi:3")
    wait_until(page, lambda: page.controls.chips.items[-1]["key"] == "first+svi:3")
    assert page.state.methods == ("first", "first-full", "first+svi:3")
    wait_until(page, lambda: "Train a series" in page.session.cards["lab_sizes"].content["message"])


def test_a_test_image_is_shown_and_sums_stay_on_validation(lab_runs: Path) -> None:
    """Before, no test image could be shown, so that a link from the Explorer lost its image."""
    page = opened(lab_runs, "start=first&test=12")
    wait_until(page, lambda: page.session.request is not None and page.session.cards["lab_gaps"].figure != "")
    assert page.session.request is not None
    lab, image = page.session.request.lab, page.session.request.index
    data = lab.origin.data
    title = f"test image 12, class {data.class_names[int(data.test.labels[12])]}"
    assert image == ImageOfTest(12)
    assert page.session.cards["lab_gaps"].content["sub"] == title
    np.testing.assert_array_equal(lab.picture(("first",), image).image, data.test.pixels([12])[0].numpy())
    controls = page.controls
    assert (controls.split.value, controls.test.field.value, controls.test.field.visible) == ("test", "12", True)
    assert not controls.index.field.visible
    page.step(1)
    assert (page.state.test, page.state.index) == ("13", 0)
    controls.split.value = "validation"
    wait_until(page, lambda: page.session.request is not None and page.session.request.index == 0)
    page.step(-1)
    assert (page.state.test, page.state.index) == ("", lab.size - 1)
    controls.split.value = "test"
    assert page.state.test == "0"
    page._largest("first")
    wait_until(page, lambda: page.state.test == "" and page.state.index in lab.sample)
    page.close()


@pytest.mark.parametrize("text", ["-1", "x", "1e3", "99999"])
def test_a_test_image_that_there_is_not_is_said(lab_runs: Path, text: str) -> None:
    page = opened(lab_runs, f"decoder=first&index=4&test={text}")
    wait_until(page, lambda: page.session.request is not None)
    assert page.session.request is not None
    assert page.session.request.index == 4
    assert page.state.test == ""
    assert re.search("wanted (the number of )?a test image", html.unescape(str(page.notice.pane.object)))
    page.close()


# In a browser


@pytest.fixture(scope="module")
def lab_url(start_server: Callable[..., Any], lab_runs: Path) -> str:
    return str(start_server(lab_runs).url) + "gap-lab"


def eventually(page: Any, read: Callable[[], T], true: Callable[[T], bool], seconds: float = 30.0) -> T:
    """What `read` returns once it is as wanted, or last."""
    for _ in range(int(10 * seconds)):
        if true(value := read()):
            return value
        page.wait_for_timeout(100)
    return read()


def view(page: Any, name: str) -> Any:
    return page.locator(f"section[data-view=lab_{name}]")


def opened_in_browser(page: Any, url: str, query: str = "") -> Any:
    """Opens the page and waits for the film of SVI."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(url + query)
    expect(page.get_by_role("button", name="Play")).to_be_enabled(timeout=120_000)
    return page


def step(page: Any) -> int:
    return int(page.locator(".film").get_attribute("data-step") or -1)


def elbo(page: Any) -> float:
    return float(page.locator(".film").get_attribute("data-reading") or "nan")


def trail_length(page: Any) -> int:
    """Points of the trail drawn over the contours."""
    shapes = page.evaluate("(window.gpvaePlots.lab_contours.layout.shapes ?? []).map(shape => shape.path ?? '')")
    return shapes[0].count("L") + 1 if shapes else 0


def svi_gap(page: Any) -> float:
    """The length of SVI's stack in the gaps: that of its last shape, a line at its end."""
    return float(page.evaluate("window.gpvaePlots.lab_gaps.layout.shapes?.at(-1)?.y1 ?? NaN"))


@pytest.mark.page
def test_stacks_contours_and_curves_are_shown(offline_page: Any, lab_url: str) -> None:
    page = opened_in_browser(offline_page, lab_url)
    gaps = view(page, "gaps")
    expect(gaps.locator(".plot")).to_have_attribute("aria-label", re.compile(r"first-full .* nats below log p\(x\)"))
    expect(gaps.locator(".sentence")).to_contain_text("by quadrature")
    bars = "plot => plot.data.filter(trace => trace.type === 'bar').length"
    assert eventually(page, lambda: gaps.locator(".plot").evaluate(bars), lambda n: n == 3) == 3
    for name, words in (("times", "ms, inference gap"), ("epochs", "epoch 2: gap .*epoch 4: gap")):
        expect(view(page, name).locator(".plot")).to_have_attribute("aria-label", re.compile(words), timeout=120_000)
    expect(view(page, "sizes").locator(".message")).to_contain_text("Train a series here")
    gaps.locator("select").select_option("sample")
    expect(gaps.locator(".sub")).to_have_text("mean of 64 validation images", timeout=120_000)
    expect(page.locator(".notice")).to_be_hidden()
    name, content = save(page, gaps, "CSV")
    assert [row["method"] for row in tidy(content.decode())] == ["first", "first-vae", "first-full"]
    assert name == "Gaps-decoder-of-first-mean-of-64-validation-images.csv"
    for card in ("gaps", "contours", "bound", "times", "epochs"):
        check_figure(page, view(page, card), "decoder of first")
        assert tidy(save(page, view(page, card), "CSV")[1].decode())


@pytest.mark.page
def test_svi_plays_in_the_browser_and_its_settings_change_the_film(offline_page: Any, lab_url: str) -> None:
    page = opened_in_browser(offline_page, lab_url, f"?decoder=first&index=5&start={quote('first-vae')}&step=0.05")
    expect(page.get_by_role("combobox", name="SVI from")).to_have_text("vae")
    assert eventually(page, lambda: trail_length(page), lambda n: n == 1) == 1
    first, gap = elbo(page), eventually(page, lambda: svi_gap(page), lambda length: length > 0)
    page.get_by_role("combobox", name="Steps a second").select_option("16")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=60_000)  # the film ended
    assert eventually(page, lambda: step(page), lambda n: n == 100) == 100
    assert eventually(page, lambda: trail_length(page), lambda n: n == 101) == 101
    assert elbo(page) > first
    grown = elbo(page) - first
    shorter = eventually(page, lambda: svi_gap(page), lambda length: abs(gap - length - grown) < 2e-3)
    assert shorter == pytest.approx(gap - grown, abs=2e-3)
    legend = page.evaluate("window.gpvaePlots.lab_contours.data.map(trace => trace.name)")
    assert "SVI, at its step" in legend
    page.get_by_role("button", name="Reset").click()
    assert eventually(page, lambda: step(page), lambda n: n == 0) == 0
    page.get_by_role("slider", name="Step", exact=True).fill("7")
    slider = page.get_by_role("slider", name="Step size")
    slider.focus()
    slider.press("ArrowRight")
    page.wait_for_function("new URLSearchParams(location.search).get('step') > 0.051", timeout=30_000)
    expect(view(page, "bound").locator(".sub")).to_contain_text("step_size=0.056")
    page.get_by_role("combobox", name="Covariance").click()
    page.locator("li").get_by_text("full", exact=True).click()
    expect(view(page, "bound").locator(".sub")).to_contain_text("covariance=full")
    expect(page.locator(".film")).not_to_have_class(re.compile("busy"))
    assert step(page) == 7, "a change plays nothing, and stays at the step"
    expect(page.get_by_role("button", name="Play")).to_be_visible()


@pytest.mark.page
def test_methods_are_chosen_refined_and_refused(offline_page: Any, lab_url: str) -> None:
    page = opened_in_browser(offline_page, lab_url, "?decoder=first&methods=first")
    last = page.get_by_role("checkbox", name="first", exact=True)
    last.click()
    expect(page.locator(".notice")).to_contain_text("at least one method must be shown")
    expect(last).to_be_checked()
    page.get_by_role("checkbox", name="full").check()
    expect(view(page, "gaps").locator(".plot")).to_have_attribute("aria-label", re.compile("first-full"))
    page.get_by_role("button", name="+ svi:8").click()
    expect(page.get_by_role("checkbox", name="+svi:8")).to_be_checked()
    page.wait_for_function("location.search.includes('svi%3A8')", timeout=30_000)
    field = page.get_by_label("Refine, e.g.")
    field.fill("svi:8,stepsize=1")
    field.press("Enter")
    expect(page.locator(".notice")).to_contain_text("unknown setting 'stepsize'")
    expect(page.get_by_role("checkbox", name="+svi:8")).to_be_checked()
    page.locator("section[data-view=lab_gaps] h2").click()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".summary")).to_contain_text("validation image 1,")
    expect(page.locator(".notice")).to_be_hidden()
    page.get_by_role("link", name="Posterior Explorer").click()
    page.wait_for_url(re.compile(r"127\.0\.0\.1:\d+/(\?.*)?$"))
