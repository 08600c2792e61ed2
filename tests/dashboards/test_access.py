"""The pages by keys alone, for a screen reader (axe-core), and in narrow and wide windows, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from dashboards.explorer.controls import ExplorerControls
from dashboards.explorer.state import ExplorerState
from tests.dashboards.conftest import Served, eventually

pytestmark = pytest.mark.page
EXPLORER = "?run=tiny-gp&with=tiny-vae"
PAGES = {
    "explorer": EXPLORER, "gap-lab": "gap-lab", "mapa-lab": "mapa-lab?N=60&k=5&S=2", "vi-lab": "vi-lab?steps=20",
    "results": "results",
}  # fmt: skip
LISTS = {
    "explorer": "Run", "gap-lab": "Decoder of", "mapa-lab": "Set", "vi-lab": "Method of A", "results": "Table",
}  # fmt: skip
"""A drop-down of each page."""
MEASURES = Path(__file__).with_name("measures.js").read_text(encoding="utf-8")


def measured(page: Any, what: str) -> Any:
    """The value of an expression in the page, in which the functions of measures.js can be used."""
    return page.evaluate(f"() => {{ {MEASURES}\nreturn {what} }}")


def opened(page: Any, served: Served, address: str) -> Any:
    """Open a page and wait until all its cards are there and none is being computed."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(served.url + address)
    expect(page.locator(".view .main-svg").first).to_be_attached(timeout=120_000)
    settled(page)
    return page


def settled(page: Any) -> None:
    for _ in range(2):  # between two answers no card is busy for a moment
        assert eventually(page, lambda: measured(page, "busy()"), False, 200) is False
        page.wait_for_timeout(300)


def chosen(page: Any, key: str) -> str:
    """What the address says."""
    return parse_qs(urlsplit(page.url).query).get(key, [""])[0]


def wait_for_choice(page: Any, key: str, value: str) -> None:
    assert eventually(page, lambda: chosen(page, key), value) == value


def violations(page: Any) -> list[str]:
    """What axe-core finds fault with: each rule with the elements that break it."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes']]}" for rule in found]


def toggle_theme(page: Any) -> None:
    page.get_by_role("button", name="Toggle theme").click()
    page.mouse.move(700, 890)  # off the button, whose tooltip stands outside of all landmarks


def open_list(page: Any, name: str, key: str = "Enter") -> Any:
    """Open a drop-down by a key; return the drop-down."""
    box = page.get_by_role("combobox", name=name)
    box.focus()
    page.keyboard.press(key)
    expect(page.get_by_role("listbox")).to_be_visible()
    return box


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault_in_light_and_dark(offline_page: Any, served: Served, name: str) -> None:
    page = opened(offline_page, served, PAGES[name])
    tabs = page.get_by_role("tab").all()
    for theme in ("light", "dark"):
        if theme == "dark":
            toggle_theme(page)
        for tab in tabs[1:] if theme == "light" else ():  # the colours of all are the same
            tab.click()
            expect(tab).to_have_attribute("aria-selected", "true")
            assert eventually(page, lambda: violations(page), []) == [], (theme, tab)
        for tab in tabs[:1]:
            tab.click()
            expect(page.get_by_role("combobox", name=LISTS[name])).to_be_visible()
        assert eventually(page, lambda: violations(page), []) == [], theme
        open_list(page, LISTS[name])
        assert eventually(page, lambda: violations(page), []) == [], f"{theme}, with an open list"
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_have_count(0)


@pytest.mark.parametrize("name", PAGES)
def test_every_control_is_reached_by_tab_and_shows_that_it_has_the_focus(
    offline_page: Any, served: Served, name: str
) -> None:
    page = opened(offline_page, served, PAGES[name])
    wanted = measured(page, "(window.unreached = stops()).length")
    cards = page.locator("section.view:visible").filter(has=page.locator(".main-svg"))
    assert page.locator("button.export:visible").count() == cards.count(), "one menu a card"
    unseen = []
    for _ in range(wanted + page.locator("[data-act=copy]").count() + 5):
        page.keyboard.press("Tab")
        stop = measured(
            page,
            """focused() && ((part) => {
          unreached = unreached.filter((other) => other !== part)
          return [marked(part), beginning(part)]
        })(focused())""",
        )
        if stop is None:
            break
        unseen += [] if stop[0] else [stop[1]]
    assert measured(page, "unreached.map(beginning)") == []
    assert unseen == [], "the focus is not to be seen"


def test_the_explorer_by_keys_alone(offline_page: Any, served: Served) -> None:
    page = opened(offline_page, served, f"{EXPLORER}&index=3&focus=second")
    for key in ("Enter", "Space", "ArrowDown", "ArrowUp", "F4"):  # before, none of them opened it
        box = open_list(page, "Details of", key)
        expect(page.get_by_role("option", name="tiny-vae")).to_be_focused()  # the chosen one
        page.keyboard.press("Escape")
        expect(page.get_by_role("listbox")).to_have_count(0)
        expect(box).to_be_focused()
    open_list(page, "Details of")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    wait_for_choice(page, "focus", "first")
    settled(page)
    assert chosen(page, "index") == "3"

    page.get_by_role("button", name="Next image").press("Enter")
    wait_for_choice(page, "index", "4")
    page.keyboard.press("ArrowRight")  # the focus is on a button, which has no use for it
    wait_for_choice(page, "index", "5")

    colour = page.locator("section[data-view=map] select[name=colour]")
    for key, value in (("ArrowDown", "uncertainty"), ("ArrowUp", "class")):
        colour.press(key)
        wait_for_choice(page, "colour", value)
        settled(page)
        expect(colour).to_be_focused()  # though it was drawn anew

    for view, named in (("map", r"^image (\d+), class \d$"), ("figure_one", r"^image (\d+)$")):
        cursor, reading = (page.locator(f"section[data-view={view}] {part}") for part in (".cursor", ".reading"))
        expect(cursor).to_be_visible()  # once its figure is drawn
        cursor.focus()
        expect(cursor).to_have_attribute("aria-label", re.compile("Arrow keys go to the nearest.* Enter picks it"))
        expect(reading).to_have_text(re.compile("Arrow keys"))
        before = picked = chosen(page, "index")
        for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):  # there may be none in one direction
            if picked == before:
                page.keyboard.press(key)
                expect(reading).to_have_text(re.compile(named))
                picked = re.findall(r"\d+", reading.inner_text())[0]
        assert picked != before
        if view == "map":
            expect(page.locator("section[data-view=map] .thumb")).to_be_visible()
        page.keyboard.press("Enter")
        wait_for_choice(page, "index", picked)

    opener = page.get_by_role("button", name="Save Gaps")
    opener.press("Enter")
    expect(page.get_by_role("menuitem", name="PNG")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    expect(opener).to_have_attribute("aria-expanded", "false")
    opener.press("Enter")
    expect(page.get_by_role("menuitem", name="PNG")).to_be_focused()
    page.keyboard.press("ArrowUp")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".csv")


def test_escape_closes_what_a_button_has_opened(offline_page: Any, served: Served) -> None:
    page = opened(offline_page, served, EXPLORER)
    pad, draw = page.get_by_label("Drawing area"), page.get_by_role("button", name="Draw")
    draw.press("Enter")
    expect(pad).to_be_visible()
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Escape")
    expect(pad).to_be_hidden()
    expect(draw).to_be_focused()
    page = opened(page, served, PAGES["gap-lab"])
    families = page.get_by_label("Families to train")
    expect(families).to_be_visible()  # as this decoder has one run alone
    page.keyboard.press("Escape")
    expect(families).to_be_hidden()
    expect(page.get_by_role("button", name="Train more on this decoder")).to_be_focused()


def test_the_gap_lab_by_keys_alone(offline_page: Any, served: Served) -> None:
    page = opened(offline_page, served, PAGES["gap-lab"])
    box = open_list(page, "Decoder of")
    other = page.get_by_role("option", selected=False).first.inner_text()
    page.keyboard.press(other[0])  # typing goes to the option that begins so
    page.keyboard.press("Escape")
    open_list(page, "Decoder of", "Space")
    page.keyboard.press("End")
    last = page.get_by_role("listbox").get_by_role("option").last
    expect(last).to_be_focused()
    name = last.inner_text()
    page.keyboard.press("Enter")
    wait_for_choice(page, "decoder", name)
    expect(box).to_have_text(name)
    play = page.get_by_role("button", name="Play")
    expect(play).to_be_enabled(timeout=60_000)
    slider = page.get_by_role("slider", name="Step", exact=True)
    slider.press("ArrowRight")
    expect(page.locator(".film")).to_have_attribute("data-step", "1")
    expect(page.locator(".notice")).to_contain_text(f"Now on the decoder of '{name}'")
    expect(page.locator(".view.busy")).to_have_count(0, timeout=60_000)
    check = page.get_by_role("checkbox").first
    expect(check).to_have_value(name)  # until then the methods on the decoder before it are offered
    expect(check).to_be_checked()
    check.press("Space")
    expect(page.locator(".notice")).to_contain_text("at least one method must be shown")


def test_the_mapa_lab_by_keys_alone(offline_page: Any, served: Served) -> None:
    page = opened(offline_page, served, PAGES["mapa-lab"])
    sub = page.locator("section[data-view=mapa_traces] .sub")
    cursor = page.locator("section[data-view=mapa_plane] .cursor")
    expect(cursor).to_be_visible()
    cursor.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    reading = page.locator("section[data-view=mapa_plane] .reading")
    expect(reading).to_have_text(re.compile(r"point \d+$"))
    point = reading.inner_text().split()[-1]
    page.keyboard.press("Enter")
    expect(sub).to_contain_text(f"training point {point},")

    field = page.get_by_label("Seed", exact=True)
    for seed in ("7", "8", "9"):  # before, only the first was taken until the field had lost the focus
        field.press("ControlOrMeta+a")
        page.keyboard.type(seed)
        page.keyboard.press("Enter")
        wait_for_choice(page, "seed", seed)
    expect(field).to_be_focused()
    page.keyboard.press("ArrowUp")
    wait_for_choice(page, "seed", "10")

    open_list(page, "Set", "ArrowDown")
    page.keyboard.press("Home")
    first = page.get_by_role("option").first
    expect(first).to_be_focused()
    name = first.inner_text()
    page.keyboard.press("Enter")
    wait_for_choice(page, "set", name)

    page.get_by_role("tab", name="Posterior").press("ArrowRight")
    wait_for_choice(page, "tab", "process")
    process = page.locator("section[data-view=mapa_process] .sub")
    expect(process).to_contain_text("noise 0.02")
    noise = page.get_by_label("Noise, number")
    noise.fill("0")
    noise.press("Enter")
    expect(page.locator(".notice")).to_contain_text("Noise: wanted a number above 0, at most 100, got '0'")
    expect(noise).to_have_value("0.02")  # before, the field said 0 and the figure showed 0.02


def test_the_results_by_keys_alone(offline_page: Any, served: Served) -> None:
    page = opened(offline_page, served, PAGES["results"])
    open_list(page, "Methods")
    for _ in range(2):
        page.keyboard.press("Enter")  # what is chosen leaves the list, the focus does not
        expect(page.locator("li:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_have_count(0)
    assert eventually(page, lambda: len(chosen(page, "methods").split(",")), 2) == 2
    open_list(page, "Table", "Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_for_choice(page, "table", "2")
    page.get_by_role("button", name="Sort by Method").press("Enter")
    expect(page.get_by_role("columnheader", name="Method")).to_have_attribute("aria-sort", "ascending")


def test_a_tooltip_lets_clicks_through(offline_page: Any, served: Served) -> None:
    """Before, that of the button for the next image, at its right, lay over the drop-down of classes."""
    page = opened(offline_page, served, EXPLORER)
    button, tooltip = page.get_by_role("button", name="Next image"), page.get_by_role("tooltip")
    for nudge in range(20):  # what is drawn anew under the pointer ends a hover
        button.hover(position={"x": 10 + nudge % 2, "y": 10})
        page.wait_for_timeout(1000)  # the tooltip opens after half a second
        if tooltip.count():
            break
    expect(tooltip).to_be_visible()
    box = tooltip.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("listbox")).to_be_visible()


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(((1440, 900), (390, 844)), id="usual,narrow"),
        pytest.param(((1920, 1080), (1024, 768)), id="wide,small", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_and_no_hole_is_left(
    offline_page: Any, served: Served, name: str, sizes: tuple[tuple[int, int], ...]
) -> None:
    page = opened(offline_page, served, PAGES[name])
    for size in sizes:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for tab in page.get_by_role("tab").all() or [None]:
            if tab is not None:
                tab.click()
                expect(tab).to_have_attribute("aria-selected", "true")
                settled(page)
            assert eventually(page, lambda: measured(page, "cut()"), []) == [], (size, tab)
            assert eventually(page, lambda: measured(page, "holes()"), []) == [], (size, tab)
            assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_no_hole_is_left_where_a_run_has_no_gp_uncertainty(offline_page: Any, served: Served) -> None:
    """Before, five cards left the sixth place of the grid empty."""
    page = opened(offline_page, served, "?run=tiny-vae")
    for size in ((1920, 1080), (1440, 900), (1024, 768), (390, 844)):
        page.set_viewport_size({"width": size[0], "height": size[1]})
        assert eventually(page, lambda: measured(page, "holes()"), []) == [], size
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name="tiny-gp").click()
    expect(page.locator("section[data-view=uncertainty] .main-svg").first).to_be_attached(timeout=120_000)
    assert eventually(page, lambda: measured(page, "holes()"), []) == []
    widths = [box["width"] for box in (card.bounding_box() for card in page.locator("section.view:visible").all()[:6])]
    assert max(widths) - min(widths) < 2


def test_the_choice_of_a_class_is_not_given_up_silently() -> None:
    said: list[str] = []
    state = ExplorerState(run="a")
    controls = ExplorerControls(state, said.append)
    data: Any = type("Data", (), {"class_names": ("0", "1"), "event_shape": (1, 8, 8)})()
    data.test = type("Split", (), {"images": range(6), "labels": (0, 1) * 3})()
    members = {"0": (0, 2, 4), "1": (1, 3, 5)}

    def explorer() -> Any:
        run = type("Run", (), {"data": data})()
        methods = {"by_class": lambda _, name: members[name], "quick_picks": lambda _: {"most certain": 2}}
        return type("Explorer", (), {"run": run, **methods})()

    controls.offer(explorer())
    controls.classes.value = "1"
    assert (state.index, said) == (1, [])
    controls.offer(explorer())  # another run on the same data keeps the class
    assert controls.classes.value == "1"
    controls._quick_chosen({"index": 2})
    assert controls.classes.value == "all"
    assert said == ["Class is 'all' again: test image 2 is not among the test images of class 1"]
