"""data.levels, the value of white in the user's own pictures and arrays, and the notes on dark ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpvae_core.api import train
from gpvae_core.data.base import DataConfig
from gpvae_core.data.levels import DARK_SHARE, sliver_note, spans_of
from gpvae_core.errors import UserError
from gpvae_core.progress import silent
from tests.data.makers import (
    Digits,
    deep_png,
    encode,
    load_set,
    save,
    write_zip,
)


def few_levels(digits: Digits, levels: int) -> np.ndarray:
    """Digits from 0 to `levels`, uint8."""
    return np.rint(digits[0][:60] / 240.0 * levels).astype(np.uint8)


@pytest.mark.parametrize("levels", [1, 16, 60])
@pytest.mark.parametrize("kind", ["array", "images"])
def test_bytes_that_use_a_sliver_of_their_range(tmp_path: Path, digits: Digits, levels: int, kind: str) -> None:
    images = few_levels(digits, levels)
    if kind == "array":
        name, where = save(tmp_path / "a.npz", images=images), "'images'"
    else:
        name = f"images:{write_zip(tmp_path / 'a.zip', {f'a/{i}.png': encode(x) for i, x in enumerate(images)})}"
        where = "'a.zip'"
    dark = load_set(name)
    assert float(dark.train.pixels().max()) == pytest.approx(levels / 255)
    assert dark.note == (
        f"{where}: values use 0 to {levels} of the range from 0 to 255, so that they are nearly black; "
        f"if {levels} is white: --set data.levels={levels}"
    )
    told = load_set(name, levels=levels)
    assert (float(told.train.pixels().max()), told.note) == (1.0, "")
    assert told.train.images.tobytes() == dark.train.images.tobytes()
    if levels > 1:
        with pytest.raises(UserError, match=f"wanted values from 0 to {levels - 1}, the value of white, got 0 to"):
            load_set(name, levels=levels - 1)


def deep_digits(digits: Digits, white: int, count: int = 60) -> dict[str, bytes]:
    """Digits of 16 bits from 0 to `white`."""
    return {f"a/{i}.png": deep_png(np.rint(digits[0][i] / 240.0 * white)) for i in range(count)}


@pytest.mark.parametrize("white", [200, 1023, 4095, 65535])
def test_pictures_of_sixteen_bits_are_scaled_by_their_white(tmp_path: Path, white: int) -> None:
    generator = np.random.default_rng(0)
    values = [generator.integers(0, white + 1, (8, 8)) for _ in range(40)]
    values[0].flat[:2] = 0, white
    name = f"images:{write_zip(tmp_path / 'a.zip', {f'a/{i:02d}.png': deep_png(x) for i, x in enumerate(values)})}"
    dark, told = load_set(name), load_set(name, levels=white)
    for data, divisor in ((dark, 65535), (told, white)):
        read = np.concatenate([split.pixels().numpy() for split in (data.train, data.validation, data.test)])
        expected = np.rint(np.stack(values) / divisor * 255) / 255
        assert sorted(map(tuple, read.reshape(40, -1))) == sorted(map(tuple, expected.reshape(40, -1).astype("f4")))
    assert told.note == ""
    assert dark.note == (
        f"'a.zip': values use 0 to {white} of the range from 0 to 65535, so that they are nearly black; "
        f"if {white} is white: --set data.levels={white}"
        if white < 65535
        else ""
    )
    with pytest.raises(
        UserError, match=r"/\d\d\.png' in .*: wanted values from 0 to 4, the value of white, got \d+ to"
    ):
        load_set(name, levels=4)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bits_in_colour_are_read_to_eight_and_said(tmp_path: Path, channels: int) -> None:
    generator = np.random.default_rng(0)
    for white, note in ((65535, ""), (1023, "'1023.zip': values use 0 to 1023 of the range from 0 to 65535, so that ")):
        images = [generator.integers(0, white + 1, (8, 8, channels)) for _ in range(40)]
        for image in images:
            if channels in (2, 4):
                image[..., -1] = 65535
        path = write_zip(tmp_path / f"{white}.zip", {f"a/{i}.png": deep_png(x) for i, x in enumerate(images)})
        data = load_set(f"images:{path}")
        assert data.note == note + (
            "they are nearly black; if 1023 is white: scale them by it to 8 bits before" * bool(note)
        )
        assert data.train.images.max() == white // 256
        with pytest.raises(
            UserError, match=r"has 16 bits a channel in colour or with transparency, of which 8 are read"
        ):
            load_set(f"images:{path}", levels=1023)


def test_pictures_of_two_depths(tmp_path: Path, digits: Digits) -> None:
    eight = {f"b/{i}.png": encode(digits[0][i]) for i in range(60)}
    name = f"images:{write_zip(tmp_path / 'a.zip', deep_digits(digits, 1023) | eight)}"
    assert load_set(name).note == (
        "'a.zip', 60 of 16 bits: values use 0 to 1023 of the range from 0 to 65535, so that they are nearly black; "
        "if 1023 is white: scale them by it to 8 bits before"
    )
    with pytest.raises(UserError, match=r"of one depth where data\.levels is set, got 60 of 8 bits and 60 of 16 bits"):
        load_set(name, levels=1023)
    assert load_set(f"images:{write_zip(tmp_path / 'b.zip', deep_digits(digits, 65535) | eight)}").note == ""


def test_floats_and_whole_numbers_by_levels(tmp_path: Path, digits: Digits) -> None:
    images = digits[0][:60]
    dark = load_set(save(tmp_path / "a.npz", images=images / 255.0 / 255.0))
    assert dark.note.startswith("'images': values use 0 to 0.0037 of")
    assert dark.note.endswith("of the range from 0 to 1, so that they are nearly black; divide by less before saving")
    expected = load_set(save(tmp_path / "b.npz", images=images / 255.0))
    assert expected.note == ""
    for kind in (np.int64, np.uint16, np.float64):
        told = load_set(save(tmp_path / "c.npz", images=images.astype(kind)), levels=255)
        np.testing.assert_array_equal(told.train.images, expected.train.images)
        assert told.note == ""
    with pytest.raises(UserError, match="wanted values from 0 to 255, the value of white, got -1 to 240"):
        load_set(save(tmp_path / "d.npz", images=np.where(images == 0, -1, images.astype(int))), levels=255)
    bools = save(tmp_path / "e.npz", images=images > 100)
    assert (load_set(bools).note, load_set(bools, levels=1).note) == ("", "")
    assert float(load_set(bools, levels=2).train.pixels().max()) == 0.5
    two = load_set(save(tmp_path / "f.npz", train_images=images, test_images=images // 255 + images // 240))
    assert two.note.startswith("'test_images': values use 0 to 1 of the range from 0 to 255, so that they are nearly")
    assert (
        load_set(save(tmp_path / "g.npz", images=np.zeros((30, 8, 8), np.uint8) + 250)).note
        == "'images': values use 250 to 250 of the range from 0 to 255"
    )


OTHERS = ", so that they are nearly black beside the others; if their white is another: scale all to one white before"


@pytest.mark.parametrize("kind", ["array", "images", "deep"])
@pytest.mark.parametrize("white", [1, 16])
def test_a_class_that_uses_a_sliver_is_counted(tmp_path: Path, digits: Digits, kind: str, white: int) -> None:
    """Class b has another value of white than class a; before, one bright image hid them all."""
    dark, full = few_levels(digits, white), 65535 if kind == "deep" else 255
    bright = np.rint(digits[0][:60] / 240.0 * full).astype(np.uint16 if kind == "deep" else np.uint8)
    for b, a in ((60, 60), (60, 1), (3, 60), (2, 60)):
        images = np.concatenate([dark[:b].astype(bright.dtype), bright[:a]])
        if kind == "array":
            name, where = save(tmp_path / "a.npz", images=images), "'images'"
        else:
            png = deep_png if kind == "deep" else encode
            files = {f"{'b' if i < b else 'a'}/{i}.png": png(x) for i, x in enumerate(images)}
            name, where = f"images:{write_zip(tmp_path / 'a.zip', files)}", "'a.zip'"
        use = f"{where}: {b} of {a + b} images use at most {white} of the range from 0 to {full}"
        assert load_set(name).note == ("" if b == 2 else use + OTHERS)


def test_one_white_pixel_hides_no_sliver(tmp_path: Path, digits: Digits) -> None:
    images = few_levels(digits, 1)
    images[7, 3, 3] = 255
    note = f": 59 of 60 images use at most 1 of the range from 0 to 255{OTHERS}"
    assert load_set(save(tmp_path / "a.npz", images=images)).note == f"'images'{note}"
    # Black images, and white ones, may be what they show.
    plain = digits[0][:60].copy()
    plain[:20], plain[20:30], plain[30:35] = 0, 255, 7
    assert load_set(save(tmp_path / "b.npz", images=plain)).note == ""


def test_the_advice_holds_for_all_parts(tmp_path: Path, digits: Digits) -> None:
    """Advice that another part's values refuse, or that hides a sliver, is not given."""
    bright, sixteen = digits[0][:60], few_levels(digits, 16)
    other = load_set(save(tmp_path / "a.npz", train_images=bright, test_images=few_levels(digits, 1)))
    assert other.note == f"'test_images': values use 0 to 1 of the range from 0 to 255{OTHERS}"
    name = save(tmp_path / "b.npz", train_images=sixteen, test_images=np.minimum(sixteen, 15))
    advice = "so that they are nearly black; if 16 is white: --set data.levels=16"
    assert load_set(name).note == "; ".join(
        f"'{part}_images': values use 0 to {high} of the range from 0 to 255, {advice}"
        for part, high in (("train", 16), ("test", 15))
    )
    assert load_set(name, levels=16).note == ""
    # Numbers whose white was told are named as the file has them.
    dark = save(tmp_path / "c.npz", images=sixteen.astype(np.float32))
    assert load_set(dark, levels=255).note == f"'images': values use 0 to 16 of the range from 0 to 255, {advice}"


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [
        (0, 17, "divide by their value of white, or, if 17 is white: --set data.levels=17"),
        (0, 16.5, "divide by their value of white, or, if 17 is white: --set data.levels=17"),
        (0, 1023, "divide by their value of white, or, if 1023 is white: --set data.levels=1023"),
        (0, 1e30, "divide by their value of white"),
        (-2, 257, "divide by 255, or clip overshoot"),
        (0, 200, "divide by 255, or clip overshoot"),
        (-0.01, 1.02, "clip overshoot"),
        (-1, 1, "shift and scale them to that before saving"),
    ],
)
def test_floats_beyond_one_are_told_what_to_do(
    tmp_path: Path, digits: Digits, low: float, high: float, advice: str
) -> None:
    images = low + digits[0][:60] / 240.0 * (high - low)
    name = save(tmp_path / "a.npz", images=images)
    with pytest.raises(UserError) as error:
        load_set(name)
    assert str(error.value).endswith(f"wanted pixels in [0, 1], got {low:g} to {high:g}; {advice}")
    if "levels=" in advice:
        assert load_set(name, levels=int(advice.rpartition("=")[2])).note == ""


@pytest.mark.parametrize("name", ["digits", "mnist", "omniglot", pytest.param("cifar", marks=pytest.mark.slow)])
def test_no_image_of_real_sets_is_taken_for_a_sliver(name: str, data_dir: Path) -> None:
    pictures = data_dir / "cifar10_jpeg" / "cifar10_jpeg.zip"
    if not (pictures if name == "cifar" else data_dir / name).exists() and name != "digits":
        pytest.skip(f"no {name} in GPVAE_DATA_DIR")
    data = load_set(f"images:{pictures}" if name == "cifar" else name)
    for split in (data.train, data.validation, data.test):
        spans = spans_of(split.images)
        assert sliver_note(spans, split.levels, name) == ""
        # Also with twice the threshold, and none at all in place of FEW.
        assert spans[:, 1].min() > 2 * DARK_SHARE * split.levels


def test_levels_where_none_belong() -> None:
    with pytest.raises(UserError, match="'digits' has levels of its own: leave out levels=16"):
        load_set("digits", levels=16)


def test_the_json_of_a_config_without_levels_stays() -> None:
    before = {"name": "digits", "size": None, "validation_fraction": 0.1, "split_seed": 0}
    assert DataConfig(name="digits").model_dump() == before
    told = DataConfig(name="array:a.npz", levels=16)
    assert told.model_dump() == before | {"name": "array:a.npz", "levels": 16}
    assert DataConfig.model_validate_json(told.model_dump_json()) == told


def test_training_by_the_interface_tells_the_note(
    tmp_path: Path, digits: Digits, caplog: pytest.LogCaptureFixture
) -> None:
    name = save(tmp_path / "a.npz", images=few_levels(digits, 1))
    train("vae", name, out=tmp_path / "run", settings={"epochs": 1, "hidden": 4}, progress=silent)
    (line,) = caplog.messages
    assert line.startswith(f"{name}: 'images': values use 0 to 1 of the range from 0 to 255")
