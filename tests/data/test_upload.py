"""An uploaded picture becomes one image of the run's shape, or one clear line."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from gpvae_core.data import upload
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError


def digit() -> Image.Image:
    """A real digit, 8x8, 0 to 255."""
    bunch: Any = load_digits()
    return Image.fromarray((bunch.images[0] * 15).astype(np.uint8))


def image_from_bytes(data: bytes, shape: tuple[int, int, int], white: int | None = None) -> torch.Tensor:
    return upload.image_from_bytes(data, shape, white=white).image


def as_bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_lossless_kinds_give_the_exact_pixels(kind: str) -> None:
    image = image_from_bytes(as_bytes(digit(), kind), (1, 8, 8))
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image.numpy()[0], np.asarray(digit()) / 255.0, atol=1e-7)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 30, 30), (1, 17, 17)])
def test_few_levels_stay_below_white_when_resized(kind: str, shape: tuple[int, int, int]) -> None:
    """At hard edges the filter overshoots, to 20 of 16 here; before, the picture was refused for a value it lacks."""
    ink = np.kron(np.array(digit()) > 120, np.ones((5, 5))).astype(np.uint8) * 16
    image = image_from_bytes(as_bytes(Image.fromarray(ink), kind), shape, white=16)
    assert float(image.max()) == 1.0
    with pytest.raises(UserError, match="wanted values from 0 to 15, the value of white, got 0 to"):
        image_from_bytes(as_bytes(Image.fromarray(ink), kind), shape, white=15)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_kinds_are_near(kind: str) -> None:
    image = image_from_bytes(as_bytes(digit().resize((64, 64), Image.Resampling.NEAREST), kind, quality=95), (1, 8, 8))
    # Ringing of the resampling at the hard edges of the enlarged pixels, besides the loss of the coding.
    assert float((image[0] - torch.from_numpy(np.asarray(digit()) / 255.0)).abs().mean()) < 0.05


def test_grey_becomes_colour_and_colour_becomes_grey() -> None:
    grey = image_from_bytes(as_bytes(digit(), "PNG"), (3, 8, 8))
    assert grey.shape == (3, 8, 8)
    assert torch.equal(grey[0], grey[2])
    red = Image.new("RGB", (8, 8), (255, 0, 0))
    assert torch.equal(image_from_bytes(as_bytes(red, "PNG"), (3, 8, 8))[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    # ITU-R 601: luma of pure red is 0.299.
    assert float(image_from_bytes(as_bytes(red, "PNG"), (1, 8, 8)).mean()) == pytest.approx(0.299, abs=1 / 255)


def test_the_middle_square_is_kept() -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    image = image_from_bytes(as_bytes(Image.fromarray(wide), "PNG"), (1, 10, 10))
    assert torch.equal(image, torch.ones(1, 10, 10))
    # Nothing of what is cut off leaks in when the rest is made smaller.
    assert torch.equal(image_from_bytes(as_bytes(Image.fromarray(wide), "PNG"), (1, 4, 4)), torch.ones(1, 4, 4))


CROPPED = "the picture has another shape than the run's images, so only its middle is used ({} % is cut away)"


@pytest.mark.parametrize(
    ("size", "shape", "left_out"),
    [
        ((300, 100), (1, 28, 28), 67),
        ((40, 10), (3, 28, 28), 75),
        ((10, 40), (1, 10, 10), 75),
        ((300, 299), (1, 28, 28), 1),
        ((30, 30), (1, 10, 20), 50),
        ((300, 300), (1, 28, 28), 0),
        ((30, 15), (1, 10, 20), 0),
    ],
)
def test_a_crop_is_named(size: tuple[int, int], shape: tuple[int, int, int], left_out: int) -> None:
    """The page's line says how much of the picture is not looked at; before, it said nothing."""
    rows = np.arange(size[1]) * 4 // size[1] % 2 * 255
    stripes = Image.fromarray(np.repeat(rows[:, None], size[0], 1).astype(np.uint8))
    note = CROPPED.format(left_out) if left_out else ""
    assert upload.image_from_bytes(as_bytes(stripes, "PNG"), shape).note == note
    # A photograph that is stored lying on its side is measured upright.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = as_bytes(stripes.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    assert upload.image_from_bytes(turned, shape).note == note


def test_what_the_crop_leaves_out_is_named_beside_what_is_left() -> None:
    left = np.zeros((100, 300), np.uint8)
    left[:, :100] = 255
    note = upload.image_from_bytes(as_bytes(Image.fromarray(left), "PNG"), (1, 28, 28)).note
    assert (
        note
        == f"{CROPPED.format(67)}; the picture is nearly black: its values are all 0, where 0 is black and 1 is white"
    )


def test_transparent_parts_are_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert torch.equal(image_from_bytes(as_bytes(clear, "PNG"), (1, 8, 8)), torch.ones(1, 8, 8))


def test_sixteen_bits_are_scaled() -> None:
    deep = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    assert float(image_from_bytes(as_bytes(deep, "PNG"), (1, 8, 8)).mean()) == pytest.approx(0.5, abs=1 / 255)


@pytest.mark.parametrize("white", [255, 1023, 4095, 65535])
def test_sixteen_bits_are_scaled_by_the_value_of_white(white: int) -> None:
    values = np.linspace(0, white, 64).astype(np.uint16).reshape(8, 8)
    deep = as_bytes(Image.fromarray(values), "PNG")
    image = image_from_bytes(deep, (1, 8, 8), white=white)
    np.testing.assert_allclose(image.numpy()[0], values / white, atol=0.5 / 255 + 1e-6)
    # Without a word of white it is 65535, whatever the values are.
    plain = image_from_bytes(deep, (1, 8, 8))
    np.testing.assert_array_equal(plain.numpy()[0], np.rint(values / 257.0).astype(np.float32) / np.float32(255))
    with pytest.raises(UserError, match=f"wanted values from 0 to {white - 1}, the value of white, got 0 to {white}"):
        image_from_bytes(deep, (1, 8, 8), white=white - 1)


def test_a_turned_photograph_is_set_upright() -> None:
    half = np.zeros((8, 8), np.uint8)
    half[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    image = image_from_bytes(as_bytes(Image.fromarray(half), "PNG", exif=exif), (1, 8, 8))
    assert torch.equal(image[0, :4], torch.ones(4, 8))
    assert torch.equal(image[0, 4:], torch.zeros(4, 8))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("L", (8, 8), level) for level in (255, 0)]
    image = image_from_bytes(as_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]), (1, 8, 8))
    assert torch.equal(image, torch.ones(1, 8, 8))


def striped(count: int) -> list[Image.Image]:
    """Frames with a white row each, one below the other."""
    return [Image.fromarray(np.eye(8, dtype=np.uint8)[:, k : k + 1].repeat(8, 1) * 255) for k in range(count)]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_more_frames_than_the_first_are_named(kind: str, count: int) -> None:
    """Before, they were dropped without a word. The pixels are those of a file with the first frame alone."""
    frames = striped(count)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    whole = as_bytes(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    read = upload.image_from_bytes(whole, (1, 8, 8))
    assert read.note == ("" if count == 1 else "the picture is animated: only its first frame is read")
    assert torch.equal(read.image, image_from_bytes(as_bytes(frames[0], kind, **lossless), (1, 8, 8)))
    if kind == "GIF" and count == 5:  # its later frames are damaged, which the first is not
        cut = upload.image_from_bytes(whole[:-60], (1, 8, 8))
        assert torch.equal(cut.image, read.image)


def test_the_previews_of_a_photograph_are_no_frames() -> None:
    photo = Image.fromarray(np.kron(np.eye(4, dtype=np.uint8) * 255, np.ones((8, 8), np.uint8)))
    several = as_bytes(photo, "MPO", save_all=True, append_images=[photo.resize((16, 16))])
    assert upload.image_from_bytes(several, (1, 8, 8)).note == ""


def bomb() -> bytes:
    """A PNG whose header claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def photograph(kind: str) -> bytes:
    """Noise, so that half of the bytes is half of the picture."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return as_bytes(Image.fromarray(noise), kind)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the uploaded file is empty"),
        (
            b"not a picture at all",
            "not a picture that can be read, or is truncated: wanted PNG, JPEG, BMP, WebP or GIF",
        ),
        (b"%PDF-1.7 " + bytes(100), "not a picture that can be read"),
        (bytes(5_000_001), "at most 5 MB, got 5.0 MB"),
        (bomb(), "too many pixels"),
    ],
)
def test_bad_uploads_give_one_line(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        image_from_bytes(data, (1, 8, 8))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_picture_gives_one_line(kind: str, share: float) -> None:
    whole = photograph(kind)
    with pytest.raises(UserError, match=r"truncated or damaged|not a picture that can be read") as error:
        image_from_bytes(whole[: int(len(whole) * share)], (3, 32, 32))
    assert "\n" not in str(error.value)


def test_random_bytes_behind_a_true_head_never_escape() -> None:
    generator = np.random.default_rng(1)
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "GIF"):
        whole = bytearray(photograph(kind))
        for _ in range(40):
            broken = bytearray(whole)
            for place in generator.integers(0, len(whole), 20):
                broken[place] = generator.integers(0, 256)
            try:
                image = image_from_bytes(bytes(broken), (3, 32, 32))
            except UserError:
                continue
            assert image.shape == (3, 32, 32)


def test_dark_pictures_are_scaled_as_told_or_named() -> None:
    binary = as_bytes(Image.fromarray((np.asarray(digit()) > 100).astype(np.uint8)), "PNG")
    dark = upload.image_from_bytes(binary, (1, 8, 8))
    assert float(dark.image.max()) == pytest.approx(1 / 255)
    assert dark.note == (
        "the picture is nearly black: its values lie between 0 and 0.0039, where 0 is black and 1 is white"
    )
    told = upload.image_from_bytes(binary, (1, 8, 8), white=1)
    assert (float(told.image.max()), told.note) == (1.0, "")
    with pytest.raises(UserError, match="the picture: wanted values from 0 to 1, the value of white, got 0 to 225"):
        image_from_bytes(as_bytes(digit(), "PNG"), (1, 8, 8), white=1)


@pytest.mark.parametrize(("name", "white"), [("images:a", 16), ("array:a.npz", None)])
def test_the_white_of_a_run_on_pictures_is_that_of_an_upload(name: str, white: int | None) -> None:
    assert upload.value_of_white(DataConfig(name=name, levels=16)) == white
    assert upload.value_of_white(DataConfig(name=name)) is None
