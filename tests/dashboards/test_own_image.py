"""An image of the user's own in the Posterior Explorer, uploaded or drawn."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.dashboards.conftest import eventually
from tests.dashboards.steps import notice, stamps, view, wait_for_choice, wait_for_repaint

pytestmark = pytest.mark.page
OpenAt = Callable[..., Any]


def png(side: int = 30) -> bytes:
    """A real PNG: a bright bar on black."""
    image = Image.new("L", (side, side), 0)
    image.paste(255, (side // 3, 2, side // 2, side - 2))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def pixels(source: str) -> np.ndarray:
    """The grey levels of a picture in a data address."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


def upload(page: Any, name: str, content: bytes) -> None:
    """Choose a file for the upload button."""
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_an_uploaded_image_is_looked_at_and_junk_is_refused(explorer_page: OpenAt) -> None:
    page = explorer_page()
    before = stamps(page)
    upload(page, "bar.png", png())
    page.locator(".summary").get_by_text("uploaded image").first.wait_for()
    wait_for_repaint(page, before)
    view(page, "posterior").locator(".plot[aria-label*='uploaded image']").wait_for()
    for name, content, line in (
        ("junk.png", b"no picture", "the uploaded file is not a picture that can be read"),
        ("cut.png", png()[:60], "picture"),
        ("large.png", b"x" * 5_000_001, "at most 5.0 MB"),
    ):
        upload(page, name, content)
        notice(page).get_by_text(line).first.wait_for()
        assert "uploaded image" in page.locator(".summary").inner_text()
    page.get_by_role("button", name="Draw", exact=True).click()
    notice(page).wait_for(state="hidden")  # before, the error stayed beside the drawing pad
    before, source = stamps(page), page.locator(".summary img").get_attribute("src")
    page.get_by_role("button", name="Invert").click()
    wait_for_repaint(page, before)
    expect(page.locator(".summary img")).not_to_have_attribute("src", source)
    shown, inverted = (pixels(s) for s in (source, page.locator(".summary img").get_attribute("src")))
    assert np.array_equal(inverted, 255 - shown)
    page.get_by_role("button", name="Next image").click()
    wait_for_choice(page, "index", "1")
    notice(page).wait_for(state="hidden")
    page.get_by_role("button", name="Invert").wait_for(state="hidden")


def test_a_page_that_is_loaded_again_says_that_the_image_is_lost(explorer_page: OpenAt) -> None:
    """Before, as after the end of the server, a test image took its place and nothing was said."""
    page = explorer_page()
    assert not notice(page).is_visible()
    upload(page, "bar.png", png())
    page.locator(".summary").get_by_text("uploaded image").first.wait_for()
    page.reload()  # as lost.js does once the server is there again
    expect(notice(page)).to_contain_text("uploaded or drawn is lost", timeout=60_000)
    expect(page.locator(".summary")).to_contain_text("test image 0", timeout=60_000)
    expect(notice(page)).to_contain_text("upload or draw it once more")
    page.reload()
    expect(page.locator(".summary")).to_contain_text("test image 0", timeout=60_000)
    page.wait_for_timeout(2000)
    expect(notice(page)).to_be_hidden()
    upload(page, "bar.png", png())
    page.locator(".summary").get_by_text("uploaded image").first.wait_for()
    page.get_by_role("button", name="Next image").click()
    wait_for_choice(page, "index", "1")
    page.reload()
    expect(page.locator(".summary")).to_contain_text("test image 1", timeout=60_000)
    page.wait_for_timeout(2000)
    expect(notice(page)).to_be_hidden()


def test_a_photograph_of_a_phone_is_reduced_and_turned_upright(explorer_page: OpenAt) -> None:
    """Before, one of over 5 MB was refused."""
    levels = np.random.default_rng(0).integers(0, 40, (2000, 3000, 3), dtype=np.uint8)
    levels[:, :1500] += 200  # bright on the left, which its orientation (6) makes the top
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(levels).save(file, "JPEG", quality=100, subsampling=0, exif=exif)
    assert len(file.getvalue()) > 5_000_000
    page = explorer_page()
    page.locator("input[type=file]").set_input_files(
        {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
    )
    page.locator(".summary").get_by_text("uploaded image").first.wait_for()
    expect(notice(page)).to_have_text(re.compile("only its middle is used \\(33 % is cut away\\)"))
    shown = pixels(page.locator(".summary img").get_attribute("src"))
    half = len(shown) // 2
    assert shown[: half - 4].min() > 180
    assert shown[half + 4 :].max() < 60


def test_drawing_with_the_mouse(explorer_page: OpenAt) -> None:
    page = explorer_page()
    page.get_by_role("button", name="Draw", exact=True).click()
    pad = page.get_by_label("Drawing area")
    pad.wait_for(state="visible")
    box = pad.bounding_box()
    before = stamps(page)
    page.mouse.move(box["x"] + 84, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 84, box["y"] + 148, steps=8)
    page.mouse.up()
    page.locator(".summary").get_by_text("drawn image").first.wait_for()
    wait_for_repaint(page, before)
    drawn = pixels(page.locator(".summary img").get_attribute("src"))
    small = drawn[:: drawn.shape[0] // 8, :: drawn.shape[1] // 8]
    assert small[:, 3:5].max() > 100
    assert small[:, :2].max() == small[:, 6:].max() == 0
    grey = small[(small > 0) & (small < 255)]
    assert grey.size, "strokes are averaged, not cut"
    page.get_by_role("button", name="Clear").press("Enter")
    blank = "c => c.getContext('2d').getImageData(0, 0, 168, 168).data.every((v, k) => k % 4 === 3 || v === 0)"
    assert eventually(page, lambda: pad.evaluate(blank), True)
