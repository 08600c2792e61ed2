"""The Posterior Explorer in a real browser, offline, over really trained runs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from gpvae_core.bench.browser import MAP, VIEWS, click_and_wait, map_points, wait_until_ready
from tests.dashboards.conftest import eventually
from tests.dashboards.saving import check_figure, kinds, save
from tests.dashboards.steps import alt, choose, chosen, notice, stamps, view, wait_for_choice, wait_for_repaint
from tests.tidy import tidy

pytestmark = pytest.mark.page
OpenAt = Callable[..., Any]

DRAWN = "plot => plot._fullData.map(trace => trace.x.length)"
"""Numbers of points of a figure's traces."""


def test_the_page_shows_six_views_that_say_what_they_are(explorer_page: OpenAt) -> None:
    page = explorer_page()
    for name in (*VIEWS, "figure_one"):
        card = view(page, name)
        card.locator(".main-svg").first.wait_for(state="attached")
        assert len(card.locator("h2").inner_text()) > 3
        assert len(card.locator(".sentence").inner_text()) > 40
        assert len(alt(page, name)) > 20
        assert card.locator(".plot").get_attribute("role") in ("img", "figure")
        assert card.get_by_role("button", name="Save").count() == 1
        assert list(dict.fromkeys(kind.partition(": ")[0] for kind in kinds(card))) == ["PNG", "SVG", "CSV"]
    expect(page.get_by_text("tiny-vae: ").first).to_be_visible()
    expect(notice(page)).to_be_hidden()
    about = page.locator("details.about")
    expect(about.locator("table")).to_be_hidden()
    about.locator("summary").click()
    for name, method in (("tiny-gp", "gp: Gaussian-process encoder"), ("tiny-vae", "vae: Plain amortized Gaussian")):
        row = about.locator("tr", has=page.get_by_role("cell", name=name, exact=True))
        expect(row).to_contain_text(method)
        expect(row).to_contain_text(re.compile(r"digits.*2.*4 of 4.*finished.*0\.\d+ \(learned\).*best ELBO −?-?\d+"))


def test_a_click_on_the_map_changes_the_image_and_all_six_views(explorer_page: OpenAt) -> None:
    page = explorer_page()
    before, index = stamps(page), chosen(page)["index"]
    points = map_points(page)
    assert len(points) == sum(page.locator(MAP).evaluate(DRAWN)) - 1  # the shown image, which has a ring, is left out
    figures = {name: alt(page, name) for name in VIEWS}
    milliseconds = click_and_wait(page, *points[len(points) // 2])
    assert milliseconds > 0
    page.wait_for_function("index => new URLSearchParams(location.search).get('index') !== index", arg=index)
    assert all(stamp > max(before.values()) for stamp in stamps(page).values())
    for name in VIEWS:
        expect(view(page, name).locator(".plot")).not_to_have_attribute("aria-label", figures[name])
    expect(page.locator(".summary")).to_contain_text(f"test image {chosen(page)['index']}")


def test_hovering_shows_the_image(explorer_page: OpenAt) -> None:
    page = explorer_page()
    x, y = map_points(page)[20]
    thumb = view(page, "map").locator(".thumb")
    for nudge in range(100):  # a hand never rests quite still, and a repaint under the pointer ends a hover
        page.mouse.move(x + nudge % 2, y)
        page.wait_for_timeout(100)
        if thumb.is_visible():
            break
    else:
        pytest.fail("no image appeared under the pointer")
    assert thumb.get_attribute("src").startswith("data:image/png;base64,")


def test_index_field_buttons_and_keys(explorer_page: OpenAt) -> None:
    page = explorer_page()
    field = page.get_by_label(re.compile("^Image"))
    for wanted in ("33", "44"):
        field.fill(wanted)
        field.press("Enter")
        wait_for_choice(page, "index", wanted)
    field.press("ArrowRight")
    page.get_by_role("button", name="Next image").click()
    wait_for_choice(page, "index", "45")
    page.locator("section[data-view=gaps] h2").click()
    page.keyboard.press("ArrowRight")
    wait_for_choice(page, "index", "46")
    page.keyboard.press("ArrowLeft")
    wait_for_choice(page, "index", "45")
    page.get_by_role("button", name="Previous image").click()
    wait_for_choice(page, "index", "44")
    expect(field).to_have_value("44")
    for wrong in ("9999", "abc"):
        field.fill(wrong)
        field.press("Enter")
        page.get_by_text(f"wanted a test image from 0 to 358, got '{wrong}'").wait_for()
        expect(field).to_have_value("44")
        assert chosen(page)["index"] == "44"


def test_quick_picks_and_classes(explorer_page: OpenAt) -> None:
    page = explorer_page()
    before = stamps(page)
    page.get_by_role("button", name="Quick picks").click()
    page.get_by_text("most uncertain").click()
    wait_for_repaint(page, before)
    page.locator(".summary").get_by_text("less certain here than on any other test image").first.wait_for()
    choose(page, "Class", "7")
    page.get_by_text(re.compile(r"test image \d+, class 7")).first.wait_for()
    wait_for_choice(page, "class", "7")
    first = chosen(page)["index"]
    page.keyboard.press("ArrowRight")  # the focus is still on the closed drop-down
    page.wait_for_function("first => new URLSearchParams(location.search).get('index') !== first", arg=first)
    field = page.get_by_label(re.compile("^Image"))
    expect(field).to_have_value(chosen(page)["index"])  # what follows is typed into a page at rest
    page.get_by_text(f"test image {chosen(page)['index']}, class 7").first.wait_for()
    field.fill("0")
    field.press("Enter")
    wait_for_choice(page, "index", "0")
    page.get_by_text("test image 0, class 5").first.wait_for()
    expect(page.get_by_role("combobox", name="Class")).to_have_text("all")


def test_what_is_being_typed_stays_while_an_answer_arrives(explorer_page: OpenAt) -> None:
    """Before, the number of the image that was shown meanwhile took its place."""
    page = explorer_page("?run=tiny-gp&with=&index=3")
    page.get_by_role("button", name="Next image").click()
    wait_for_choice(page, "index", "4")
    field = page.get_by_label(re.compile("^Image"))
    expect(field).to_have_value("4")
    field.fill("2")
    page.go_back()
    wait_for_choice(page, "index", "3")
    expect(page.locator(".summary")).to_contain_text("test image 3,")
    expect(field).to_have_value("2")
    field.press("Enter")
    wait_for_choice(page, "index", "2")
    for typed in ("many", "02"):  # what is refused, and the number that is shown already
        field.fill(typed)
        field.press("Enter")
        expect(field).to_have_value("2")
    expect(notice(page)).to_contain_text("wanted a test image from 0 to 358, got 'many'")


def test_back_goes_to_the_image_and_the_run_before_and_nothing_else_is_in_the_history(explorer_page: OpenAt) -> None:
    page = explorer_page("?run=tiny-gp&with=&index=9999")
    before, field = page.evaluate("history.length"), page.get_by_label(re.compile("^Image"))
    for wanted in ("33", "44"):
        field.fill(wanted)
        field.press("Enter")
        wait_for_choice(page, "index", wanted)
        page.wait_for_timeout(500)  # picks that follow one another faster are one entry of the history
    view(page, "map").locator("select").select_option("uncertainty")
    wait_for_choice(page, "colour", "uncertainty")
    choose(page, "Run", "tiny-vae")
    wait_for_choice(page, "run", "tiny-vae")
    assert page.evaluate("history.length") == before + 3
    for key, wanted, shown in (("run", "tiny-gp", "44"), ("index", "33", "33"), ("index", "0", "0")):
        page.go_back()
        wait_for_choice(page, key, wanted)
        expect(field).to_have_value(shown)
        expect(page.locator(".summary")).to_contain_text(f"test image {shown},")
    page.go_forward()
    wait_for_choice(page, "index", "33")
    expect(field).to_have_value("33")
    assert page.evaluate("history.length") == before + 3, "a correction is no entry, nor is what Back brings"
    expect(notice(page)).to_be_hidden()


def test_back_brings_the_class_that_a_pick_of_another_image_has_given_up(explorer_page: OpenAt) -> None:
    page = explorer_page("?run=tiny-gp&with=")
    choose(page, "Class", "7")
    page.wait_for_function("() => new URLSearchParams(location.search).get('index') !== '0'")
    wait_for_choice(page, "class", "7")
    index, field = chosen(page)["index"], page.get_by_label(re.compile("^Image"))
    page.wait_for_timeout(500)  # picks that follow one another faster are one entry of the history
    field.fill("0")  # a 5
    field.press("Enter")
    wait_for_choice(page, "index", "0")
    wait_for_choice(page, "class", "")
    page.go_back()
    wait_for_choice(page, "index", index)
    wait_for_choice(page, "class", "7")
    expect(page.get_by_role("combobox", name="Class")).to_have_text("7")


def test_an_address_restores_the_view(explorer_page: OpenAt) -> None:
    query = "?run=deep-gp&index=17&plane=3,1&colour=gap&against=negentropy&bandwidth=validation&coordinates=3"
    page = explorer_page(query)
    view(page, "map").get_by_text("inference gap (nats)").first.wait_for(timeout=60_000)
    traces, planes = (view(page, name).locator("select") for name in ("traces", "posterior"))
    expect(view(page, "map").locator("select")).to_have_value("gap")
    for selects, values in ((traces, ("3", "validation")), (planes, ("dims", "3", "1"))):
        for k, value in enumerate(values):
            expect(selects.nth(k)).to_have_value(value)
    expect(view(page, "traces").locator(".plot")).to_have_attribute("aria-label", re.compile("along z3 and z4"))
    expect(view(page, "posterior").locator(".sentence")).to_contain_text("slice")
    expect(page.locator(".summary")).to_contain_text("test image 17")
    before = stamps(page)
    planes.nth(1).select_option("4")
    wait_for_choice(page, "plane", "4,1")
    wait_for_repaint(page, before)
    planes.nth(0).select_option("principal")
    wait_for_choice(page, "plane", "principal")
    page.wait_for_function("() => location.search.includes('colour=gap')")
    traces.nth(0).select_option("1")
    view(page, "traces").locator(".plot[aria-label*='along z1 and z2']").wait_for()
    wait_for_choice(page, "coordinates", "1")


def test_a_wrong_address_is_said_and_the_rest_holds(explorer_page: OpenAt) -> None:
    page = explorer_page("?run=tiny-gq&index=12&colour=green&plane=x")
    notice(page).get_by_text("did you mean 'tiny-gp'").first.wait_for()
    expect(notice(page)).to_contain_text("colour: wanted one of class, uncertainty, gap")
    expect(notice(page)).to_contain_text("plane")
    wait_for_choice(page, "index", "12")
    page.wait_for_function("() => /run=tiny-gp|run=tiny-vae|run=deep-gp/.test(location.search)")
    page = explorer_page("?run=tiny-gp&index=99999&plane=9,9&colour=green")
    for line in ("wanted a test image from 0 to 358, got 99999", "from 1 to 2, got 9,9", "colour: wanted one of class"):
        expect(notice(page)).to_contain_text(line)
    wait_for_choice(page, "index", "0")


def test_two_runs_are_compared_and_a_plain_vae_hides_what_has_nothing_to_show(explorer_page: OpenAt) -> None:
    page = explorer_page("?run=tiny-vae&with=tiny-gp")
    for name in ("uncertainty", "figure_one"):
        expect(view(page, name)).to_be_hidden()
    for name in ("tiny-vae", "tiny-gp"):
        expect(view(page, "gaps").locator(".plot")).to_have_attribute("aria-label", re.compile(name))
    before = stamps(page)
    choose(page, "Details of", "tiny-gp")
    wait_for_repaint(page, before)
    view(page, "uncertainty").locator(".plot[aria-label*='Tr V[f]']").wait_for()
    expect(view(page, "figure_one")).to_be_visible()
    wait_for_choice(page, "focus", "second")


def test_dark_and_light(explorer_page: OpenAt) -> None:
    page = explorer_page()

    def papers() -> set[str]:
        plots = (view(page, name).locator(".plot") for name in (*VIEWS, "figure_one"))
        return {str(plot.evaluate("plot => plot.layout?.paper_bgcolor")) for plot in plots}

    assert eventually(page, papers, {"#FFFFFF"}) == {"#FFFFFF"}
    page.get_by_role("button", name=re.compile("theme", re.I)).click()
    assert eventually(page, papers, {"#15191E"}) == {"#15191E"}


def test_every_view_is_exported(explorer_page: OpenAt) -> None:
    """As a figure with title, run, image and date, nothing of it cut off, and as tables of which each is tidy."""
    page = explorer_page()
    of_both = ("posterior", "gaps")
    for name in (*VIEWS, "figure_one"):
        runs = "tiny-gp and tiny-vae" if name in of_both else "tiny-gp"
        about = runs if name == "figure_one" else f"{runs}, test image 0, class 5"
        file = check_figure(page, view(page, name), about)
        stem = re.sub(r"\W+", "-", f"{view(page, name).locator('h2').inner_text()} {about}")
        assert file == f"{stem}.svg"
        tables = [kind for kind in kinds(view(page, name)) if kind.startswith("CSV")]
        for kind in tables:
            file, content = save(page, view(page, name), kind)
            assert tidy(content.decode()), file
            assert file == f"{stem}{kind.partition(': ')[2] and '-' + kind.partition(': ')[2].replace(' ', '-')}.csv"
        assert len(tables) == (1 if name in ("map", "gaps") else 4 if name == "posterior" else len(tables))
    file, content = save(page, view(page, "map"), "PNG")
    image = Image.open(io.BytesIO(content))
    assert (image.width, file[-4:]) == (3 * 440, ".png")
    assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 50, "the points are drawn"


def cut_off(page: Any, width: int) -> list[str]:
    """Which cards leave the window, or their own frame, or lie over one another."""
    boxes = {name: view(page, name).bounding_box() for name in (*VIEWS, "figure_one")}
    wrong = []
    for name, box in boxes.items():
        plot = view(page, name).locator(".plot").bounding_box()
        inside = (
            0 <= box["x"] <= plot["x"]
            and plot["x"] + plot["width"] <= box["x"] + box["width"] + 1 <= width + 1
            and plot["y"] + plot["height"] <= box["y"] + box["height"]
        )
        wrong += [] if inside else [name]
    for one, other in combinations(boxes, 2):
        first, second = boxes[one], boxes[other]
        apart = (
            first["x"] + first["width"] <= second["x"]
            or second["x"] + second["width"] <= first["x"]
            or first["y"] + first["height"] <= second["y"] + 1
            or second["y"] + second["height"] <= first["y"] + 1
        )
        wrong += [] if apart else [f"{one} over {other}"]
    return wrong


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)], ids=str)
def test_nothing_is_cut_off(explorer_page: OpenAt, size: tuple[int, int]) -> None:
    page = explorer_page()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert eventually(page, lambda: cut_off(page, size[0]), []) == []
    view(page, "figure_one").locator(".sentence").scroll_into_view_if_needed()


def test_two_sessions_do_not_disturb_each_other(explorer_page: OpenAt, served: Any, context: Any) -> None:
    first = explorer_page("?run=tiny-gp&index=3")
    second = context.new_page()
    second.goto(f"{served.url}?run=tiny-vae&index=5")
    wait_until_ready(second)
    before = stamps(first)
    second.get_by_role("button", name="Next image").click()
    wait_for_choice(second, "index", "6")
    second.wait_for_timeout(500)
    assert chosen(first)["index"] == "3"
    assert stamps(first) == before
    assert "test image 3" in first.locator(".summary").inner_text()
    second.close()
