"""The GP-Prior Lab in a browser, offline: figures of several runs, measures on a button, and a first training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.dashboards.prior_lab.cards import alt, card, opened_in_browser
from tests.dashboards.saving import check_figure, save
from tests.dashboards.steps import choose, wait_for_choice
from tests.tidy import tidy


@pytest.mark.page
def test_figures_of_runs_are_drawn_and_what_is_missing_is_said(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp", "points")
    alt(page, "points").to_have_attribute("aria-label", re.compile("m = 4: films-svgp.*m = 2: films-svgp2"))
    alt(page, "paths").to_have_attribute("aria-label", re.compile(r"svgp:4: 4 points, from .* after epoch 3"))
    for name in ("points", "paths"):
        check_figure(page, card(page, name), "films-svgp")
        assert tidy(save(page, card(page, name), "CSV")[1].decode())
    for name in ("batches", "drift"):
        expect(card(page, name)).to_be_hidden()
    opened_in_browser(page, prior_url, "?run=views-svgp", "scores")
    proposed = card(page, "batches").locator("code")
    expect(proposed).to_contain_text([re.compile(f"method svgp:8 .*batch_size={size} ") for size in (32, 128)])
    card(page, "drift").get_by_role("button", name="Compute").click()
    alt(page, "drift").to_have_attribute("aria-label", re.compile(r"svgp:8: .* nats after epoch 1, .* after 3"))
    check_figure(page, card(page, "drift"), "svgp:8", "epoch")
    assert [row["epoch"] for row in tidy(save(page, card(page, "drift"), "CSV")[1].decode())] == [1, 2, 3]
    opened_in_browser(page, prior_url, "?run=films-markov", "scores")
    expect(card(page, "paths")).to_be_hidden()
    expect(card(page, "points")).to_be_hidden()
    questions = page.get_by_role("heading", name=re.compile(r"\?$"))
    expect(questions).to_have_count(3)


FOURTH_MARK = """plot => { const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect()
  const marks = plot._fullData.find(trace => trace.customdata)
  const at = [xaxis._offset + xaxis.d2p(marks.x[3]), yaxis._offset + yaxis.d2p(marks.y[3])]
  return [box.left, box.top].map((start, k) => start + (at[k] * box.width) / plot.offsetWidth) }"""
"""Place on the screen of the mark of the fourth pair of the grid."""


@pytest.mark.page
def test_a_picked_film_or_image_is_measured_on_a_button(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp", "path")
    expect(card(page, "instance")).to_contain_text(
        "how many nats the bound gains where those of film 6 are the best ones"
    )
    expect(page.get_by_role("heading", name="What is predicted, how surely")).to_be_visible()
    choose(page, "Points, m", "2")
    wait_for_choice(page, "run", "films-svgp2")
    choose(page, "Points, m", "4")
    wait_for_choice(page, "run", "films-svgp")
    card(page, "instance").get_by_role("button", name="Measure").focus()
    page.keyboard.press("Enter")
    alt(page, "instance").to_have_attribute("aria-label", re.compile(r"^film 6: gap \d.* nats$"))
    expect(card(page, "instance")).to_contain_text("that is what amortization loses here")
    page.get_by_role("button", name="Next series").click()
    card(page, "instance").get_by_role("button", name="Measure").click()
    alt(page, "instance").to_have_attribute("aria-label", re.compile(r"^film 7: gap .*; film 6: gap"))
    assert [row["what"] for row in tidy(save(page, card(page, "instance"), "CSV")[1].decode())] == ["film 7", "film 6"]
    opened_in_browser(page, prior_url, "?run=views-svgp", "view")
    expect(card(page, "instance").locator(".message")).to_contain_text("'training view' above goes to one")
    page.get_by_role("button", name="training view", exact=True).click()
    card(page, "instance").get_by_role("button", name="Measure").click()
    moved = re.compile(r"thing 0 at 0.0°: gap .* nats$")
    alt(page, "instance").to_have_attribute("aria-label", moved)
    expect(card(page, "instance")).to_contain_text("does not move with its mini-batch, as that holds all training")
    check_figure(page, card(page, "instance"), "views-svgp", "gap (nats)", "its own part")
    opened_in_browser(page, prior_url, "?run=views-cvae", "view")
    expect(card(page, "instance").locator(".message")).to_contain_text("views-cvae (cvae) has no pseudo-observations")
    opened_in_browser(page, prior_url, "?run=pairs-svgp", "grid")
    expect(card(page, "behind")).to_contain_text("effectively")
    expect(card(page, "instance").locator(".message")).to_contain_text("pick one in the grid that was trained on")
    card(page, "grid").locator(".cursor").focus()
    page.keyboard.press("ArrowRight")
    expect(card(page, "grid").locator(".reading")).to_have_text("hero 0, pose 1")
    page.keyboard.press("Enter")
    wait_for_choice(page, "pair", "2")
    expect(page.get_by_role("combobox", name="character and pose")).to_contain_text("hero 0, pose 1")
    card(page, "instance").get_by_role("button", name="Measure").click()
    alt(page, "instance").to_have_attribute("aria-label", re.compile("hero 0, pose pose 1: gap .* nats"))
    x, y = card(page, "grid").locator(".plot").evaluate(FOURTH_MARK)
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.wait_for_function("(window.gpvaePlots.prior_grid._hoverdata ?? []).length > 0")
    page.mouse.click(x, y)
    wait_for_choice(page, "pair", "4")
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_a_first_run_is_trained_with_its_curves(
    offline_page: Any, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    """The first run is on the moving ball, of one epoch here; the second, with another m, stands beside it."""
    page = offline_page
    page.goto(str(start_server(tmp_path).url) + "gp-prior-lab")
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_label("Epochs", exact=True).press("Tab")
    expect(page.get_by_text("No run here has a GP prior")).to_be_visible()
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator(".progress-words")).to_contain_text("moving-ball-svgp15")
    alt(page, "live").to_have_attribute("aria-label", re.compile("moving-ball-svgp15, epoch 1: .*kl"), timeout=120_000)
    expect(card(page, "path").locator(".main-svg").first).to_be_attached(timeout=120_000)
    wait_for_choice(page, "run", "moving-ball-svgp15")
    expect(page.get_by_text("No run here has a GP prior")).to_be_hidden()
