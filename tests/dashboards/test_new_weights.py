"""A run that is trained on or retrained while a page is open: the page comes to show the new weights, unmixed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.gap_lab.page import GapLabPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from dashboards.lab.page import Page
from dashboards.mapa_lab.page import MapaLabPage
from gpvae_core import training_loop
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.inspection.gap_lab import teaching
from gpvae_core.runs import load_run
from gpvae_core.training import resume
from tests.dashboards.conftest import EPOCHS, Served, wait_until

MORE = EPOCHS + 6


def opened(kind: type[Page], folder: Path, query: str) -> Any:
    library = RunLibrary([folder], opened=lambda path: Explorer(load_run(path), gap_sample=4))
    page = kind(library, FirstStart(folder), None, query)
    page.loaded()
    return page


def alt(page: Any, card: str) -> str:
    return str(page.session.cards[card].content["alt"])


def wait_until_alike(page: Any, fresh: Any, cards: Sequence[str]) -> None:
    """Until the page's cards say what those of a page of another server do, which has seen the new weights alone."""

    def alike() -> bool:
        fresh.tick()
        return all(alt(page, card) == alt(fresh, card) != "" for card in cards)

    wait_until(page, alike)


def one_run(runs: Path, folder: Path) -> Path:
    shutil.copytree(runs / "tiny-vae", folder / "vae", ignore=shutil.ignore_patterns("explore"))
    return folder / "vae"


def test_a_page_waits_for_the_end_of_a_training_and_then_shows_its_weights(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "SAVE_SECONDS", 0.0)
    run = one_run(runs, tmp_path)
    page = opened(ExplorerPage, tmp_path, "run=vae&index=3")
    cards = ("map", "posterior", "gaps", "reconstructions", "traces")
    wait_until(page, lambda: all(alt(page, card) for card in cards))
    wait_until(page, lambda: page.library.preparation("vae").outcome == "done")
    before, was = {card: alt(page, card) for card in cards}, page.library.explorer("vae")
    said = []

    def on_epoch(epoch: int, model: object, metrics: object) -> None:
        page.tick()
        said.append("is being trained on" in page.notice.pane.object and page.notice.pane.visible)

    resume(run, epochs=MORE, device="cpu", on_epoch=on_epoch)
    assert any(said), "a training is noticed"
    page.tick()
    assert "being trained" not in page.notice.pane.object
    assert page.library.explorer("vae") is not was
    fresh = opened(ExplorerPage, tmp_path, "run=vae&index=3")
    wait_until(fresh, lambda: fresh.library.preparation("vae").outcome == "done")
    wait_until(fresh, lambda: "approximation gap" in alt(fresh, "gaps"))
    wait_until_alike(page, fresh, cards)
    assert alt(page, "gaps") != before["gaps"]


def test_a_page_that_is_opened_during_a_training_has_the_weights_of_now(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "SAVE_SECONDS", 0.0)
    run = one_run(runs, tmp_path)
    page = opened(ExplorerPage, tmp_path, "run=vae")
    wait_until(page, lambda: page.library.is_open("vae"))
    versions = []

    def on_epoch(epoch: int, model: object, metrics: object) -> None:
        ExplorerPage(page.library, page.first, None, "run=vae").loaded()
        versions.append(page.library.version)

    resume(run, epochs=MORE, device="cpu", on_epoch=on_epoch)
    assert versions[-1] > 0
    page.tick()
    assert page.library.renew(in_training=False) == []


def test_an_encoder_that_is_retrained_on_its_decoder_leaves_no_result_of_the_old_one(
    runs: Path, tmp_path: Path
) -> None:
    """Before, the lab kept its results by the name of the run, as the decoder had not changed."""
    origin = load_run(one_run(runs, tmp_path))

    def train_encoder(epochs: int) -> None:
        shutil.rmtree(tmp_path / "vae-full", ignore_errors=True)
        planned = teaching.planned(origin, "full", epochs)
        teaching.train_planned(tmp_path, [planned], origin)

    train_encoder(1)
    page = opened(GapLabPage, tmp_path, "decoder=vae&methods=vae;vae-full&start=vae-full&index=5")
    wait_until(page, lambda: "vae-full" in alt(page, "lab_gaps") and "SVI from vae-full" in alt(page, "lab_bound"))
    before = alt(page, "lab_gaps"), alt(page, "lab_bound")
    train_encoder(8)
    page.tick()
    wait_until(page, lambda: alt(page, "lab_gaps") != before[0] and alt(page, "lab_bound") != before[1])
    fresh = opened(GapLabPage, tmp_path, "decoder=vae&methods=vae;vae-full&start=vae-full&index=5")
    wait_until_alike(page, fresh, ("lab_gaps", "lab_bound", "lab_contours"))


def test_the_mapa_lab_follows_the_weights_of_its_image_model(runs: Path, tmp_path: Path) -> None:
    run = one_run(runs, tmp_path)
    page = opened(MapaLabPage, tmp_path, "tab=images&run=vae&image=2")
    wait_until(page, lambda: "of training images" in str(page.line.object))
    before = page.line.object
    resume(run, epochs=MORE, device="cpu")
    page.tick()
    wait_until(page, lambda: "of training images" in str(page.line.object) and page.line.object != before)


@pytest.mark.page
def test_an_open_page_shows_the_weights_of_a_training_that_goes_on(
    offline_page: Any, start_server: Callable[..., Served], runs: Path, tmp_path: Path
) -> None:
    run = one_run(runs, tmp_path)
    served = start_server(tmp_path)
    offline_page.goto(f"{served.url}?run=vae&index=3")
    gaps = offline_page.locator("section[data-view=gaps] .plot[aria-label*='amortization gap']")
    gaps.wait_for(timeout=120_000)
    before = gaps.get_attribute("aria-label")
    resume(run, epochs=MORE, device="cpu")
    other = "before => window.gpvaePlots.gaps.getAttribute('aria-label') !== before"
    offline_page.wait_for_function(other, arg=before, timeout=120_000)
