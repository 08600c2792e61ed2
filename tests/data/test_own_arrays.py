"""array:PATH.npz: the user's own arrays, good and bad."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.errors import UserError
from tests.data.makers import (
    Digits,
    load_set,
    read,
    save,
)


@pytest.mark.parametrize("order", ["NHW", "NHWC", "NCHW"])
@pytest.mark.parametrize("key", ["images", "x"])
def test_each_order_of_axes(tmp_path: Path, digits: Digits, order: str, key: str) -> None:
    images = digits[0]
    stacked = {"NHW": images, "NHWC": images[..., None], "NCHW": images[:, None]}[order]
    raw = read(save(tmp_path / "a.npz", **{key: stacked, "labels": digits[1]}))
    # The same partition as the built-in digits have: seeded, by class.
    np.testing.assert_array_equal(raw.train.images, read("digits").train.images * 15)
    np.testing.assert_array_equal(raw.test.labels, read("digits").test.labels)


def test_colour_arrays(tmp_path: Path, digits: Digits) -> None:
    colour = np.stack([digits[0], 255 - digits[0], digits[0] // 2], -1)
    raw = read(save(tmp_path / "a.npz", images=colour, y=digits[1]))
    last = read(save(tmp_path / "b.npz", images=colour.transpose(0, 3, 1, 2), y=digits[1]))
    assert raw.train.images.shape == (1438, 3, 8, 8)
    np.testing.assert_array_equal(raw.train.images, last.train.images)
    np.testing.assert_array_equal(raw.train.images[:, 1], 255 - raw.train.images[:, 0])


def test_floats_stay_floats_and_texts_are_class_names(tmp_path: Path, digits: Digits) -> None:
    names = np.array(["even", "odd"])[digits[1] % 2]
    raw = read(save(tmp_path / "a.npz", images=digits[0] / 255.0, labels=names))
    assert raw.class_names == ("even", "odd")
    assert raw.train.images.dtype == np.float32
    expected = {image.tobytes() for image in (digits[0] / 255.0).astype(np.float32)}
    assert {image.tobytes() for image in raw.train.images} <= expected
    assert float(raw.train.pixels().max()) == pytest.approx(240 / 255)
    binary = read(save(tmp_path / "b.npz", images=digits[0] > 100))
    assert set(np.unique(binary.train.pixels().numpy())) == {0.0, 1.0}
    assert binary.class_names == ("images",)


def test_a_partition_in_the_file_is_kept(tmp_path: Path, digits: Digits) -> None:
    images, labels = digits
    name = save(
        tmp_path / "a.npz",
        train_images=images[:50],
        test_images=images[50:70],
        train_labels=labels[:50],
        test_labels=labels[50:70],
        other=np.zeros(3),
    )
    raw = read(name)
    np.testing.assert_array_equal(raw.train.images[:, 0], images[:50])
    np.testing.assert_array_equal(raw.test.images[:, 0], images[50:70])
    assert [raw.class_names[label] for label in raw.test.labels] == [str(label) for label in labels[50:70]]


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_validation_images_in_the_file_are_kept(tmp_path: Path, digits: Digits, name: str) -> None:
    images, labels = digits
    parts = {"train": slice(0, 50), "test": slice(50, 70), name: slice(70, 100)}
    arrays = {f"{part}_images": images[where] for part, where in parts.items()}
    data = load_set(save(tmp_path / "a.npz", **arrays, **{f"{p}_labels": labels[w] for p, w in parts.items()}))
    assert data.note == ""
    for split, where in zip((data.train, data.test, data.validation), parts.values(), strict=True):
        np.testing.assert_array_equal(split.images[:, 0], images[where])
        assert [data.class_names[label] for label in split.labels] == [str(label) for label in labels[where]]
    with pytest.raises(UserError, match=f"wanted labels of 'train_images' and 'test_images' and '{name}_images', or"):
        load_set(save(tmp_path / "b.npz", **arrays, train_labels=labels[:50], test_labels=labels[50:70]))
    with pytest.raises(UserError, match="wanted training and validation images of one shape and type"):
        load_set(save(tmp_path / "c.npz", **arrays | {f"{name}_images": images[:9, :6]}))
    del arrays["test_images"]
    no_test = load_set(save(tmp_path / "d.npz", **arrays))
    assert [len(no_test.train), len(no_test.validation), len(no_test.test)] == [40, 30, 10]
    assert no_test.note == "there is no 'test_images': a seeded 20 % of each class of 'train_images' is the test set"


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (["images", "labels"], ""),
        (["images", "targets"], "left out: 1 array ('targets') beside 'images'"),
        (["images", "labels", "train_labels"], "left out: 1 array ('train_labels') beside 'images' and 'labels'"),
        (["images", "val_images", "test_images"], "left out: 2 arrays ('test_images', 'val_images') beside 'images'"),
        (["x", "images", "train_images"], "left out: 2 arrays ('train_images', 'x') beside 'images'"),
        (
            ["train_images", "test_images", "images", "a\x1b]0;title\x07", "b\nc", "val_labels"],
            "left out: 4 arrays ('a]0;title', 'b c', 'images', ...) beside 'train_images' and 'test_images'",
        ),
    ],
)
def test_arrays_that_are_left_out_are_named(tmp_path: Path, digits: Digits, names: list[str], note: str) -> None:
    arrays = {name: (digits[1] if "labels" in name else digits[0])[:60] for name in names}
    assert load_set(save(tmp_path / "a.npz", **arrays)).note == note


def test_the_splits_of_an_array_stay(tmp_path: Path, digits: Digits) -> None:
    images, labels = digits[0][:60], digits[1][:60]
    whole = load_set(save(tmp_path / "a.npz", x=images, y=labels, other=labels))
    assert whole.fingerprint == "a3f9ff292427efac6e350066ce159d603c3fd174b2c18d047895afa2cc43deeb", (
        "runs trained on these images would no longer load"
    )
    pair = {"train_images": images[:40], "test_images": images[40:]}
    assert (
        load_set(save(tmp_path / "b.npz", **pair)).fingerprint
        == "a7334a3b4ffcaebd578a0779709228cf9b0ded9e433e9acf29853eab2230a4ed"
    )


X = np.zeros((30, 8, 8), np.uint8)
F = np.zeros((30, 8, 8))


def with_value(value: float) -> np.ndarray:
    array = F.copy()
    array[3, 4, 5] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": X}, "wanted an array 'images'"),
        ({"train_images": X}, "wanted an array 'images'"),
        ({"images": X[0]}, r"wanted \(N, H, W\).*got \(8, 8\)"),
        ({"images": np.zeros((30, 8, 8, 2), np.uint8)}, r"with C 1 or 3 .*got \(30, 8, 8, 2\)"),
        ({"images": np.zeros((30, 2, 2), np.uint8)}, r"sides of 4 to 256 pixels, got \(30, 1, 2, 2\)"),
        ({"images": X[:0]}, "wanted images, got none"),
        ({"images": X.astype(np.int64)}, r"wanted bytes \(uint8\) or floats in \[0, 1\], got int64"),
        ({"images": np.array([object()] * 30)}, "not an .npz of plain numbers"),
        ({"images": with_value(np.nan)}, "got NaN or infinity"),
        ({"images": with_value(np.inf)}, "got NaN or infinity"),
        ({"images": with_value(255.0)}, r"wanted pixels in \[0, 1\], got 0 to 255; divide by 255"),
        ({"images": with_value(-0.1)}, r"wanted pixels in \[0, 1\], got -0.1 to 0"),
        ({"images": X, "labels": np.zeros(29, int)}, r"wanted one label for each of 30 images, got shape \(29,\)"),
        ({"images": X, "labels": np.zeros(30)}, "wanted whole numbers or texts, got float64"),
        ({"train_images": X, "test_images": F}, "of one shape and type"),
        ({"train_images": X, "test_images": X[:, :6]}, "of one shape and type"),
        ({"train_images": X, "test_images": X, "test_labels": np.zeros(30, int)}, "or of none"),
        ({"images": X[:2]}, r"a\.npz': wanted at least 3 images, one each for training, validation and test, got 2"),
        ({"train_images": X[:1], "test_images": X}, r"a\.npz': wanted at least 2 training images, .* got 1"),
    ],
)
def test_bad_arrays_give_one_line(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_set(save(tmp_path / "a.npz", **arrays))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_archives_give_one_line(tmp_path: Path, digits: Digits, share: float, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    (np.savez_compressed if compressed else np.savez)(path, images=digits[0])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"a\.npz' is not an \.npz of plain numbers, is damaged or truncated"):
        read(f"array:{path}")


def test_a_plain_array_is_no_archive(tmp_path: Path, digits: Digits) -> None:
    file = io.BytesIO()
    np.save(file, digits[0])
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"is not an \.npz of plain numbers"):
        read(f"array:{tmp_path / 'a.npy'}")


def test_texts_of_an_array_stand_in_natural_order(tmp_path: Path, digits: Digits) -> None:
    labels = np.array([f"digit {i // 3}" for i in range(36)])
    data = load_set(save(tmp_path / "a.npz", images=digits[0][:36], labels=labels))
    assert data.class_names == tuple(f"digit {i}" for i in range(12))
    class_of = {digits[0][i].tobytes(): i // 3 for i in range(36)}
    assert [class_of[image.tobytes()] for image in data.train.images] == data.train.labels.tolist()
    # Whole numbers are in order as they are: also negative ones.
    numbers = load_set(save(tmp_path / "b.npz", images=digits[0][:36], labels=np.arange(36) // 3 - 2))
    assert numbers.class_names == tuple(map(str, range(-2, 10)))
    huge = np.array(["7" * 5000, "1", "10", "01"] * 9)
    assert load_set(save(tmp_path / "c.npz", images=digits[0][:36], labels=huge)).class_names[:3] == ("01", "1", "10")
