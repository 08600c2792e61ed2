"""images:PATH and array:PATH.npz: the user's own data, good and bad."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.api import load_dataset, train
from gpvae_core.data import tree
from gpvae_core.data.base import DataConfig, absolute_name
from gpvae_core.data.images import partition
from gpvae_core.errors import UserError
from gpvae_core.progress import silent
from tests.data.makers import Digits, deep_png, encode, enlarge, load_set, lock, read, write_tree, write_zip


def members(digits: Digits, count: int, root: str = "", size: int = 8) -> dict[str, bytes]:
    """The first digits as PNG files, one folder a class."""
    images = enlarge(digits[0][:count], size)
    return {f"{root}{digits[1][i]}/{i:04d}.png": encode(images[i]) for i in range(count)}


@pytest.mark.parametrize("zipped", [True, False])
def test_folders_are_classes_and_pixels_stay(tmp_path: Path, digits: Digits, zipped: bool) -> None:
    files = members(digits, 100, "mine/")
    rubbish = {
        "mine/.DS_Store": b"x",
        "__MACOSX/mine/0/._0000.png": b"x",
        "mine/.hidden/0.png": b"x",
        "mine/notes.txt": b"x",
    }
    path = (write_zip if zipped else write_tree)(tmp_path / "set", files | rubbish)
    raw = read(f"images:{path}")
    assert raw.class_names == tuple("0123456789")
    both = np.concatenate([raw.train.images, raw.test.images])
    labels = np.concatenate([raw.train.labels, raw.test.labels])
    # Grey and 8x8 as they are.
    assert both.shape == (100, 1, 8, 8)
    actual = sorted((*image.ravel(), label) for image, label in zip(both, labels, strict=True))
    expected = zip(digits[0][:100], digits[1][:100], strict=True)
    assert actual == sorted((*image.ravel(), label) for image, label in expected)
    assert len(raw.test) == 20


def test_train_and_test_folders_are_honoured(tmp_path: Path, digits: Digits) -> None:
    files = members(digits, 30, "set/train/") | members(digits, 20, "set/test/")
    raw = read(f"images:{write_zip(tmp_path / 'set.zip', files)}")
    assert (len(raw.train), len(raw.test), raw.validation) == (30, 20, None)
    assert raw.class_names == tuple("0123456789")
    order = sorted(range(20), key=lambda i: (digits[1][i], i))
    np.testing.assert_array_equal(raw.test.images[:, 0], digits[0][order])
    with_validation = files | members(digits, 10, "set/Validation/")
    raw = read(f"images:{write_zip(tmp_path / 'three.zip', with_validation)}")
    assert raw.validation is not None
    assert len(raw.validation) == 10


@pytest.mark.parametrize(
    ("folders", "parts", "classes"),
    [
        ([()] * 2, None, ["whole", "whole"]),
        ([("a",), ("a",)], None, ["a", "a"]),
        ([("root", "a"), ("root", "b")], None, ["a", "b"]),
        ([(), ("a",)], None, ["whole", "a"]),
        ([("root", "Greek", "c1"), ("root", "Latin", "c1")], None, ["Greek/c1", "Latin/c1"]),
        ([("train", "a"), ("test", "a")], ["train", "test"], ["a", "a"]),
        ([("r", "Train"), ("r", "TEST")], ["train", "test"], ["whole", "whole"]),
        ([("train", "Greek", "c1"), ("test", "Latin", "c2")], ["train", "test"], ["Greek/c1", "Latin/c2"]),
        ([("train", "a"), ("train", "b")], None, ["a", "b"]),
        ([("test", "a"), ("exam", "a")], None, ["test/a", "exam/a"]),
        ([("cat", "train"), ("cat", "Test"), ("dog", "train")], ["train", "test", "train"], ["cat", "cat", "dog"]),
        ([("r", "cat", "train", "x"), ("r", "dog", "val")], ["train", "validation"], ["cat/x", "dog"]),
        ([("Greek", "c1", "train"), ("Latin", "c1", "test")], ["train", "test"], ["Greek/c1", "Latin/c1"]),
        ([("train", "test"), ("test", "train")], ["train", "test"], ["test", "train"]),
        ([("cat", "train"), ("cat", "test"), ("dog",)], None, ["cat/train", "cat/test", "dog"]),
        ([("cat", "train"), ("dog", "train")], None, ["cat/train", "dog/train"]),
    ],
)
def test_what_folders_mean(folders: list[tuple[str, ...]], parts: list[str] | None, classes: list[str]) -> None:
    assert partition(folders, "whole") == (parts, classes)


def test_size_and_colour(tmp_path: Path, digits: Digits) -> None:
    grey = members(digits, 20)
    assert read(f"images:{write_zip(tmp_path / 'a.zip', grey)}", size=16).train.images.shape[1:] == (1, 16, 16)
    mixed = grey | {"0/odd.png": encode(np.zeros((9, 9), np.uint8))}
    assert read(f"images:{write_zip(tmp_path / 'b.zip', mixed)}").train.images.shape[1:] == (1, 28, 28)
    large = members(digits, 20, size=72)
    assert read(f"images:{write_zip(tmp_path / 'c.zip', large)}").train.images.shape[1:] == (1, 28, 28)
    # One red pixel in one image, and all images keep three channels.
    red = np.zeros((8, 8, 3), np.uint8)
    red[0, 0, 0] = 255
    colour = read(f"images:{write_zip(tmp_path / 'd.zip', grey | {'0/red.png': encode(red)})}")
    assert colour.train.images.shape[1:] == (3, 8, 8)
    assert np.concatenate([colour.train.images, colour.test.images])[:, 0].max() == 255


def test_classes_of_two_images_still_give_a_test_set(tmp_path: Path, digits: Digits) -> None:
    files = {f"{i // 2}/{i}.png": encode(digits[0][i]) for i in range(10)}
    raw = read(f"images:{write_zip(tmp_path / 'a.zip', files)}")
    assert (len(raw.train), len(raw.test)) == (8, 2)


@pytest.mark.parametrize("classes", [1, 3])
def test_the_fewest_images_give_three_parts(tmp_path: Path, digits: Digits, classes: int) -> None:
    data = load_set(save(tmp_path / "a.npz", images=digits[0][:3], labels=np.arange(3) % classes))
    assert [len(data.train), len(data.validation), len(data.test)] == [1, 1, 1]


def test_the_path_in_a_name_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for typed in ("a.npz", "./b/../a.npz", "~/a.npz", str(tmp_path / "a.npz")):
        assert absolute_name(f"array:{typed}") == f"array:{tmp_path.resolve() / 'a.npz'}"
    assert absolute_name("images:.") == f"images:{tmp_path.resolve()}"
    # Where there is no path, or none belongs, the name stays: loading tells what is wrong.
    assert [absolute_name(name) for name in ("digits", "mnist:here", "images")] == ["digits", "mnist:here", "images"]
    with pytest.raises(UserError, match="wanted a path, got '~nobody-of-this-name/a' "):
        absolute_name("images:~nobody-of-this-name/a")
    with pytest.raises(UserError, match="unknown dataset 'imags'"):
        absolute_name("imags:here")
    with pytest.raises(UserError, match=r"wanted a path, got 'a\\x00b', which has a null character"):
        absolute_name("images:a\0b")
    with pytest.raises(UserError, match="unknown dataset 'xxx"):
        load_dataset("x" * 5000)


def test_many_images_show_a_bar_on_standard_error(
    tmp_path: Path, digits: Digits, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_zip(tmp_path / "a.zip", members(digits, 300))
    read(f"images:{path}")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(tree, "MANY", 100)
    read(f"images:{path}")
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "300/300" in streams.err
    assert "left" in streams.err


def truncated_zip(path: Path, good: dict[str, bytes]) -> None:
    path.write_bytes(write_zip(path, good).read_bytes()[:-60])


def damaged_member(path: Path, good: dict[str, bytes]) -> None:
    data = bytearray(write_zip(path, good).read_bytes())
    data[100] ^= 255
    path.write_bytes(bytes(data))


def not_a_zip(path: Path, good: dict[str, bytes]) -> None:
    path.write_bytes(b"hello")


def folder_with(odd: dict[str, bytes], beside: bool = True) -> Callable[[Path, dict[str, bytes]], None]:
    """A folder of these files, beside good ones or alone."""

    def write(path: Path, good: dict[str, bytes]) -> None:
        path.mkdir()
        write_tree(path, good | odd if beside else odd)

    return write


BLACK = encode(np.zeros((8, 8), np.uint8))
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
PARTS = {f"{part}/0/{i}.png": BLACK for i in range(3) for part in ("train", "test", "other")}


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (folder_with({}, beside=False), "set' holds no image"),
        (folder_with({"a/notes.txt": b"x"}, beside=False), "set' holds no image"),
        (folder_with({"0/a.jpg": encode(NOISE, "JPEG")[:-500]}), r"a\.jpg' is truncated or damaged"),
        (folder_with({"0/a.png": b"not a picture"}), r"a\.png' is not a picture that can be read"),
        (folder_with({"0/a.png": b""}), r"a\.png' is empty"),
        (folder_with(PARTS, beside=False), "wanted only train/, test/ and perhaps validation/ on that level"),
        (
            folder_with({"0/a.png": BLACK}, beside=False),
            "set': wanted at least 3 images, one each .* got 1",
        ),
        (truncated_zip, "set' is not a zip of images, or is truncated"),
        (damaged_member, "in '.*set' is (truncated or )?damaged"),
        (not_a_zip, "set' is not a zip of images"),
    ],
)
def test_bad_folders_and_zips_give_one_line(
    write: Callable[[Path, dict[str, bytes]], None], message: str, tmp_path: Path, digits: Digits
) -> None:
    path = tmp_path / "set"
    write(path, members(digits, 20))
    with pytest.raises(UserError, match=message) as error:
        load_set(f"images:{path}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("locked", ["set", "set/0", "set/0/0000.png"])
def test_a_folder_or_picture_that_may_not_be_read(
    locked: str, tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tree(tmp_path / "set", members(digits, 20))
    lock(monkeypatch, tmp_path / locked)
    with pytest.raises(UserError, match=rf"{locked}' cannot be read \(Permission denied\)"):
        load_set(f"images:{path}")


def test_a_zip_or_array_that_may_not_be_read(tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"images:{write_zip(tmp_path / 'a.zip', members(digits, 20))}", save(tmp_path / "a.npz", images=digits[0])]
    for name in names:
        lock(monkeypatch, Path(name.partition(":")[2]))
        with pytest.raises(UserError, match=r"' cannot be read \(Permission denied\)"):
            load_set(name)


def test_hidden_folders_are_not_looked_into(tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tree(tmp_path / "set", members(digits, 20) | {".git/a.png": BLACK})
    lock(monkeypatch, path / ".git")
    assert len(load_set(f"images:{path}").class_names) == 10


def test_rubbish_in_a_zip_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    name = b"\x1b\x07" + b"x" * 27_000 + b".png"
    path = write_zip(tmp_path / "a.zip", {f"a/{i}.png": BLACK for i in range(20)} | {f"a/{'y' * 27_000}.png": BLACK})
    data = path.read_bytes()
    # In the local header the name is another than in the list at the end.
    path.write_bytes(data.replace(b"a/" + b"y" * 27_000 + b".png", name, 1))
    with pytest.raises(UserError, match="' is damaged ") as error:
        load_set(f"images:{path}")
    assert len(str(error.value)) < 600
    assert str(error.value).isprintable()


def test_sizes_are_bounded(tmp_path: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.zip", members(digits, 20))
    monkeypatch.setattr(tree, "MAX_ARRAY_BYTES", 1000)
    with pytest.raises(UserError, match="choose a smaller size"):
        read(f"images:{path}")
    monkeypatch.setattr(tree, "MAX_MEMBER_BYTES", 10)
    with pytest.raises(UserError, match="wanted images of at most"):
        read(f"images:{path}")


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(UserError, match="'nowhere' is not there: wanted a folder or a zip"):
        read("images:nowhere")
    with pytest.raises(UserError, match=r"'nowhere\.npz' is not there"):
        read("array:nowhere.npz")


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return f"array:{path}"


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


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("some/folder", "unknown dataset 'some/folder'; for data of your own write 'images:some/folder'"),
        ("here", "unknown dataset 'here'; for data of your own write 'images:here'"),
        ("here.zip", "unknown dataset 'here.zip'; for data of your own write 'images:here.zip'"),
        ("a/set.npz", "unknown dataset 'a/set.npz'; for data of your own write 'array:a/set.npz'"),
        ("there/a:b", "unknown dataset 'there/a:b'; for data of your own write 'images:there/a:b'"),
        ("mnst", "unknown dataset 'mnst'; did you mean 'mnist'?"),
    ],
)
def test_a_path_alone_is_told_its_name(name: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here.zip").touch()
    with pytest.raises(UserError, match=re.escape(advice)):
        load_dataset(name)


def members_of(count: int, *folders: str) -> dict[str, bytes]:
    """So many bright pictures in each of the folders."""
    return {f"{folder}/{i}.png": encode(NOISE[:8, :8, 0]) for folder in folders for i in range(count)}


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_partition_without_a_test_set_is_honoured(tmp_path: Path, digits: Digits, name: str) -> None:
    files = members(digits, 40, "set/train/") | members(digits, 10, f"set/{name}/")
    data = load_set(f"images:{write_zip(tmp_path / 'set.zip', files)}")
    assert data.class_names == tuple("0123456789")
    assert [len(data.train), len(data.validation), len(data.test)] == [30, 10, 10]
    first = {image.tobytes() for image in digits[0][:10]}
    assert {image.tobytes() for image in data.validation.images} == first
    assert data.note == "there is no test/: a seeded 20 % of each class of train/ is the test set"


@pytest.mark.parametrize(
    ("folders", "note"),
    [
        (["train/a", "test/a"], ""),
        (["a", "b"], ""),
        (["training/a", "testing/a"], ""),
        (["car", "plane", "train"], "'train' is read as a class: a partition is train/ and test/ alone"),
        (["a", "b", "test"], "'test' is read as a class: a partition is train/ and test/ alone"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], ""),
        (
            ["cat/train", "cat/val", "dog/train"],
            "there is no test/: a seeded 20 % of each class of train/ is the test set",
        ),
        (
            ["cat/train", "cat/test", "dog/train", "dog/test", "cow"],
            "read as classes: 4 folders ('cat/test', 'cat/train', 'dog/test', ...); "
            "a partition is train/ and test/ in every class, or above all",
        ),
        (
            ["cat/train", "dog/jump"],
            "read as classes: 1 folder ('cat/train'); a partition is train/ and test/ in every class, or above all",
        ),
        (["test/a", "val/a"], "'test' and 'val' are read as a class: a partition is train/ and test/ alone"),
    ],
)
def test_a_partition_that_is_not_read_is_named(tmp_path: Path, folders: list[str], note: str) -> None:
    assert load_set(f"images:{write_tree(tmp_path / 'set', members_of(5, *folders))}").note == note


def test_test_images_in_no_class_have_no_label(tmp_path: Path) -> None:
    flat = load_set(f"images:{write_tree(tmp_path / 'set', members_of(9, 'train/a', 'train/b', 'test'))}")
    assert flat.class_names == ("a", "b")
    assert set(flat.test.labels) == {-1}
    assert set(flat.train.labels) == {0, 1}
    assert flat.note == "9 images of test/ or validation/ lie in no class's folder and have no label"
    # No class's folder anywhere: all are of one class.
    bare = load_set(f"images:{write_tree(tmp_path / 'bare', members_of(9, 'train', 'test'))}")
    assert (bare.class_names, set(bare.test.labels), bare.note) == (("bare",), {0}, "")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_left_out_is_named(tmp_path: Path, zipped: bool) -> None:
    scans = {f"cats/{i}.tif": b"II*\0" for i in range(4)}
    files = members_of(5, "ants", "bees") | scans | {"bees/notes.txt": b"x", "bees/.hidden": b"x"}
    path = (write_zip if zipped else write_tree)(tmp_path / "set", files)
    data = load_set(f"images:{path}")
    assert data.class_names == ("ants", "bees")
    assert data.note == (
        "left out: 5 files ('cats/0.tif', 'cats/1.tif', 'cats/2.tif', ...) that are not PNG, JPEG, BMP, WebP or GIF"
    )


def test_a_class_that_is_a_link_is_named(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "set", members_of(5, "ants", "bees"))
    (path / "cats").symlink_to(write_tree(tmp_path / "elsewhere", members_of(5, ".")))
    assert load_set(f"images:{path}").note == "left out: 1 link ('cats') to folders"
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "cats").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"holds no image .*; left out: 1 link \('cats'\) to folders"):
        load_set(f"images:{alone}")


def numbered(digits: Digits) -> dict[str, bytes]:
    """Twelve classes by number, three different digits in each."""
    return {f"{i // 3}/{i}.png": encode(digits[0][i]) for i in range(36)}


# The fingerprint and the split of the code before: of classes in the order 0, 1, 10, 11, 2.
BEFORE = "ef63e9b17ea92679ca2fdbe590bee0f34ae0756395013b98cfbd8f78cc13469d"


def test_classes_by_number_stand_in_natural_order(tmp_path: Path, digits: Digits) -> None:
    data = load_set(f"images:{write_zip(tmp_path / 'set.zip', numbered(digits))}")
    assert data.class_names == tuple(map(str, range(12)))
    class_of = {digits[0][i].tobytes(): i // 3 for i in range(36)}
    for split in (data.train, data.validation, data.test):
        assert [class_of[image.tobytes()] for image in split.images] == split.labels.tolist()
    assert data.fingerprint == BEFORE, "runs trained on these images would no longer load"


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
    assert dark.note.startswith("'images': values use 0 to 0.0036")
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
        load_set(save(tmp_path / "g.npz", images=X + 250)).note
        == "'images': values use 250 to 250 of the range from 0 to 255"
    )


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
