"""images:PATH: the user's own pictures, good and bad."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gpvae_core.api import load_dataset
from gpvae_core.data import tree
from gpvae_core.data.base import absolute_name
from gpvae_core.data.images import partition
from gpvae_core.errors import UserError
from tests.data.makers import (
    Digits,
    encode,
    load_set,
    lock,
    members,
    read,
    save,
    write_tree,
    write_zip,
)


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


@pytest.mark.parametrize("zipped", [True, False])
def test_pictures_that_are_cropped_are_counted(tmp_path: Path, zipped: bool) -> None:
    generator = np.random.default_rng(0)

    def note(*sizes: tuple[int, int]) -> str:
        files = {f"a/{i}.png": encode(generator.integers(0, 256, size, np.uint8)) for i, size in enumerate(sizes)}
        path = (write_zip if zipped else write_tree)(tmp_path / f"wide{len(sizes)}", files)
        return load_set(f"images:{path}", size=None if len(sizes) % 2 else 8).note

    cropped = "pictures are not square: only the square in the middle is read, up to {} % of a picture is left out"
    assert note(*[(10, 40)] * 20) == f"'wide20': 20 of 20 {cropped.format(75)}"
    assert note(*[(20, 40)] * 9, *[(40, 20)] * 10) == f"'wide19': 19 of 19 {cropped.format(50)}"
    assert note(*[(30, 30)] * 20, (300, 299), (30, 30)) == f"'wide22': 1 of 22 {cropped.format(1)}"
    assert note(*[(30, 30)] * 8, *[(40, 40)] * 9) == ""


def test_pictures_of_several_frames_are_counted(tmp_path: Path, digits: Digits) -> None:
    frames = [Image.fromarray(image) for image in digits[0][:5]]
    kinds = [("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp")]
    files = {
        f"a/{i:02d}.{ending}": encode(digits[0][0], kind, save_all=True, append_images=frames[1:], **lossless)
        for i in range(20)
        for kind, ending in kinds
        for lossless in [{"lossless": True} if kind == "WEBP" else {}]
    }
    single = {f"b/{i:02d}.gif": encode(image, "GIF") for i, image in enumerate(digits[0][:20])}
    data = load_set(f"images:{write_tree(tmp_path / 'set', files | single)}")
    assert data.note == "'set': 60 of 80 pictures are animated: only the first frame is read"
    of_a = data.train.images[data.train.labels == 0]
    np.testing.assert_array_equal(of_a, np.broadcast_to(digits[0][0], of_a.shape))
    assert load_set(f"images:{write_tree(tmp_path / 'single', single)}").note == ""


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


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("some/folder", "unknown dataset 'some/folder'; for data of your own write 'images:some/folder'"),
        ("here", "unknown dataset 'here'; for data of your own write 'images:here'"),
        ("here.zip", "unknown dataset 'here.zip'; for data of your own write 'images:here.zip'"),
        ("a/set.npz", "for data of your own write 'array:a/set.npz' or, with columns, 'table:a/set.npz'"),
        ("a/set.csv", "unknown dataset 'a/set.csv'; for data of your own write 'table:a/set.csv'"),
        ("a/set.parquet", "unknown dataset 'a/set.parquet'; for data of your own write 'table:a/set.parquet'"),
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


@pytest.mark.parametrize("zipped", [True, False])
def test_an_empty_class_is_named(tmp_path: Path, zipped: bool) -> None:
    """Before, it disappeared without a word, also as a part of a partition."""
    names, path = ("cats", "dogs/young", "Bees", ".hidden"), tmp_path / ("set.zip" if zipped else "set")
    files = members_of(5, "ants", "Bees", "dogs/old") | {"cats/.DS_Store": b"x"}
    if zipped:
        write_zip(path, {f"{name}/": b"" for name in (*names, "ants", "dogs")} | files)
    else:
        write_tree(path, files)
        for name in names:
            (path / name).mkdir(parents=True, exist_ok=True)
    data = load_set(f"images:{path}")
    assert data.class_names == ("Bees", "ants", "dogs/old")
    assert data.note == "left out: 2 folders ('cats', 'dogs/young') with nothing in it"


def test_an_empty_part_or_folder_of_empty_ones_is_named(tmp_path: Path) -> None:
    path = write_tree(tmp_path / "set", members_of(5, "train/a", "train/b"))
    (path / "test").mkdir()
    assert load_set(f"images:{path}").note == "left out: 1 folder ('test') with nothing in it"
    (tmp_path / "empty" / "cats").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no image .*; left out: 1 folder \('cats'\) with nothing in it"):
        load_set(f"images:{tmp_path / 'empty'}")


LOOSE = "lie beside the folders of other classes: what is directly in {} is read as a class of that name"


@pytest.mark.parametrize(
    ("folders", "classes", "note"),
    [
        ([".", "a", "b"], ("a", "b", "t13"), "5 images " + LOOSE.format("1 folder ('t13')")),
        (["r", "r/a", "r/b"], ("a", "b", "t13"), "5 images " + LOOSE.format("1 folder ('t13')")),
        (["a", "a/young", "b", "b/young/x"], None, "10 images " + LOOSE.format("2 folders ('a', 'b')")),
        (["train", "train/a", "test/a"], ("a", "t13"), "5 images " + LOOSE.format("1 folder ('t13')")),
        (["train", "train/a", "test", "test/a"], ("a", "t13"), "10 images " + LOOSE.format("1 folder ('t13')")),
        (["."], ("t13",), ""),
        (["train", "test"], ("t13",), ""),
        (["a", "ab", "b/a"], ("a", "ab", "b/a"), ""),
        (["r/Greek/c1", "r/Latin/c1"], ("Greek/c1", "Latin/c1"), ""),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_loose_pictures_are_named(
    tmp_path: Path, folders: list[str], classes: tuple[str, ...] | None, note: str, zipped: bool
) -> None:
    """Pictures beside the folders of classes are of a class called like the folder, and that is said."""
    files = {name.removeprefix("./"): content for name, content in members_of(5, *folders).items()}
    data = load_set(f"images:{(write_zip if zipped else write_tree)(tmp_path / 't13', files)}")
    assert data.note == note
    assert classes is None or data.class_names == classes


def test_one_loose_picture_is_named(tmp_path: Path) -> None:
    files = members_of(5, "a", "b") | {"x.png": encode(np.eye(8, dtype=np.uint8) * 255)}
    note = "1 image " + LOOSE.format("1 folder ('t13')").replace("lie ", "lies ")
    assert load_set(f"images:{write_tree(tmp_path / 't13', files)}").note == note


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
