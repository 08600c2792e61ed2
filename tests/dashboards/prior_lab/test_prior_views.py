"""The GP-Prior Lab in a browser, offline: series, objects and pairs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.dashboards.conftest import eventually
from tests.dashboards.prior_lab.cards import alt, card, opened_in_browser, shapes
from tests.dashboards.saving import check_figure, save
from tests.dashboards.steps import wait_for_choice
from tests.tidy import tidy


@pytest.mark.page
def test_a_series_is_played_hidden_and_compared(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=films-svgp")
    player = page.get_by_role("region", name="Frames")
    expect(player.get_by_role("button", name="Play")).to_be_enabled()
    expect(page.locator(".summary")).to_contain_text("The model is given all frames")
    alt(page, "path").to_have_attribute("aria-label", re.compile(r"place x, place y over time \(s\).*path RMSE"))
    page.get_by_role("combobox", name="Hide from the model").click()
    page.locator("li").get_by_text("the middle third", exact=True).click()
    wait_for_choice(page, "hide", "middle")
    expect(page.locator(".summary")).to_contain_text(re.compile("not given: films-svgp MSE .* 2 hidden frames"))
    names = "window.gpvaePlots.prior_path.data.map(trace => trace.name)"
    assert "frame hidden" in eventually(page, lambda: page.evaluate(names), None, 1)
    page.get_by_role("combobox", name="with Run on").click()
    page.locator("li").get_by_text("films-markov", exact=True).click()
    wait_for_choice(page, "with", "films-markov")
    alt(page, "path").to_have_attribute("aria-label", re.compile("films-svgp: .*films-markov: "))
    expect(player.locator("canvas")).to_have_count(5)
    slider = player.get_by_role("slider", name="Instant")
    slider.focus()
    slider.press("End")
    expect(player.get_by_role("status").last).to_contain_text(re.compile("frame . .given"))
    last = float(page.evaluate("window.gpvaePlots.prior_path._fullData.find(t => t.name === 'true path').x.at(-1)"))
    assert eventually(page, lambda: round(shapes(page, "path")[0]["x0"] - last, 3), 0.0) == 0.0
    assert eventually(page, lambda: len(shapes(page, "plane")), 2) == 2
    player.get_by_role("combobox").select_option("16")
    player.get_by_role("button", name="Reset").click()
    player.get_by_role("button", name="Play").click()
    step = lambda: int(player.get_by_role("group").get_attribute("data-step")) > 3  # noqa: E731
    assert eventually(page, step, True) is True
    player.get_by_role("button", name="Pause").click()
    page.locator("section[data-view=prior_path] h2").click()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "item", "2")
    expect(card(page, "path").locator(".sub")).to_have_text("film 7")
    rows = tidy(save(page, card(page, "path"), "CSV")[1].decode())
    assert {row["run"] for row in rows} == {"films-svgp", "films-markov"}
    for name in ("path", "plane", "training"):
        check_figure(page, card(page, name), "films-svgp")
    for name in ("path", "plane"):
        expect(card(page, name).locator(".sentence")).to_have_text(
            re.compile(r"instant of the player\.( In part .*\.)?$")
        )
    assert {row["run"] for row in tidy(save(page, card(page, "training"), "CSV")[1].decode())} == {
        "films-svgp", "films-markov",
    }  # fmt: skip
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_an_object_is_turned_by_keys_and_its_views_are_shown(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=views-svgp&item=3", "view")
    expect(page.locator(".summary")).to_contain_text("object thing 2 at 135.0°: views-svgp MSE")
    alt(page, "behind").to_have_attribute("aria-label", re.compile(r"thing \d at .*°: \d"))
    slider = page.get_by_role("slider", name="angle")
    slider.focus()
    slider.press("Home")
    wait_for_choice(page, "at", "0")
    expect(page.locator(".summary")).to_contain_text("object thing 2 at 0.0°: views-svgp MSE")
    expect(page.locator(".summary")).to_contain_text("which was trained on")
    field = page.get_by_role("textbox", name="angle, number")
    field.fill("460")
    field.press("Enter")
    wait_for_choice(page, "at", "460")
    expect(card(page, "view").locator(".sub")).to_have_text("object thing 2 at 100.0°")
    expect(page.locator(".summary")).to_contain_text("no image in the data")
    page.get_by_role("button", name="validation view").click()
    expect(page.locator(".summary")).to_contain_text("at 225.0°: views-svgp MSE")
    page.locator("section[data-view=prior_view] h2").click()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "item", "4")
    expect(page.locator(".summary")).to_contain_text("object thing 3 at 225.0°")
    for name in ("view", "behind", "latents", "training", "map", "scores"):
        expect(card(page, name).locator(".main-svg").first).to_be_attached()
        check_figure(page, card(page, name), "views-svgp")
        assert tidy(save(page, card(page, name), "CSV")[1].decode())
    card(page, "map").get_by_role("combobox").select_option("object")
    wait_for_choice(page, "colour", "object")
    alt(page, "map").to_have_attribute("aria-label", re.compile("coloured by object"))
    proposed = card(page, "points").locator("code")
    expect(proposed).to_contain_text(["gpvae train --method svgp:4 ", "gpvae train --method svgp:16 "])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card(page, "points").get_by_role("button", name=re.compile("Copy the command: .* svgp:16 ")).click()
    expect(card(page, "points").locator(".said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == proposed.last.text_content()
    terms = "window.gpvaePlots.prior_training.layout.annotations.map(note => note.text).join()"
    assert "multiplier" in page.evaluate(terms), "GECO's terms are drawn"
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_a_conditional_vae_is_turned_and_stands_beside_a_run_with_a_gp_prior(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=views-cvae&item=3&with=views-svgp", "view")
    expect(page.locator(".summary")).to_contain_text(re.compile("thing 2 at 135.0°: views-cvae MSE.*; views-svgp MSE"))
    alt(page, "behind").to_have_attribute("aria-label", re.compile(r"(thing 2 at .*: 1[67]\.\d %; ){5}"))
    expect(card(page, "latents").locator(".message")).to_contain_text("views-cvae has no process over angle")
    alt(page, "scores").to_have_attribute("aria-label", re.compile("views-cvae: .*views-svgp: "))
    alt(page, "map").to_have_attribute("aria-label", re.compile("coloured by"))
    slider = page.get_by_role("slider", name="angle")
    slider.focus()
    slider.press("Home")
    wait_for_choice(page, "at", "0")
    expect(page.locator(".summary")).to_contain_text("thing 2 at 0.0°: views-cvae MSE")
    page.get_by_role("button", name="Train another").click()
    page.get_by_role("combobox", name="Method").click()
    expect(page.locator("li").get_by_text("cvae", exact=True)).to_be_visible()
    expect(page.locator(".notice")).to_be_hidden()


@pytest.mark.page
def test_pairs_and_runs_are_compared(offline_page: Any, prior_url: str) -> None:
    page = opened_in_browser(offline_page, prior_url, "?run=pairs-svgp", "grid")
    expect(page.locator(".summary")).to_contain_text(re.compile("pairs-svgp: MSE .* generated .not trained on"))
    alt(page, "grid").to_have_attribute("aria-label", re.compile("Grid of 5 by 8 predictions"))
    page.get_by_role("button", name="Next row").click()
    wait_for_choice(page, "item", "2")
    check_figure(page, card(page, "grid"), "pairs-svgp", "hero 1")
    assert len(tidy(save(page, card(page, "grid"), "CSV")[1].decode())) == 40
    opened_in_browser(page, prior_url, "?run=heroes-svgp", "grid")
    expect(page.locator(".summary")).to_contain_text(re.compile(r"\d for those generated .*\d for those given, .*on"))
    expect(card(page, "grid")).to_contain_text("found from its first images, which are given")
    check_figure(page, card(page, "grid"), "hero 6", "new", "in training", "given", "generated", "trained on")
    opened_in_browser(page, prior_url, "?run=films-svgp&error=path&time=epoch", "scores")
    alt(page, "scores").to_have_attribute("aria-label", re.compile("films-svgp: .*films-markov: .*path RMSE"))
    card(page, "scores").locator("select[name=error]").select_option("mse")
    wait_for_choice(page, "error", "mse")
