"""Published files that are missing, truncated, damaged or mixed up, and names that are wrong: one clear line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gpvae_core.data import cifar10
from gpvae_core.data.base import DATASETS, RawData, Split
from gpvae_core.errors import UserError
from tests.data.makers import (
    Digits,
    cifar_files,
    drawings,
    encode,
    idx,
    load_set,
    lock,
    read,
    write_mnist,
    write_svhn,
    write_tar,
    write_tree,
    write_zip,
)

SHARES = [0.0, 0.3, 0.99]


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def complaint(name: str) -> str:
    """The one line with which reading fails."""
    with pytest.raises(UserError) as error:
        load_set(name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "unknown dataset 'mnst'; did you mean 'mnist'?"),
        ("cifar100", "unknown dataset 'cifar100'; did you mean 'cifar10'?"),
        ("image:here", "did you mean 'images'?"),
        ("images", "wanted 'images:PATH', got 'images' without a path"),
        ("images:", "wanted a path or another argument behind 'images:'"),
        ("mnist:here", "takes no path, got 'mnist:here'"),
    ],
)
def test_wrong_names(name: str, message: str) -> None:
    assert message in complaint(name)


def test_a_size_where_none_belongs() -> None:
    with pytest.raises(UserError, match="'digits' has a fixed size: leave out size=16"):
        load_set("digits", size=16)


@pytest.mark.parametrize("name", ["mnist", "omniglot", "cifar10", "svhn"])
def test_missing_files_name_the_command(home: Path, name: str) -> None:
    assert f"run 'gpvae data fetch {name}', or set GPVAE_DATA_DIR" in complaint(name)


def test_missing_celeba_says_where_to_get_it(home: Path) -> None:
    assert "get img_align_celeba.zip (for non-commercial research) from https://mmlab" in complaint("celeba")


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("number", [0, 1])
def test_truncated_idx(home: Path, digits: Digits, share: float, packed: bool, number: int) -> None:
    path = list(write_mnist(home, digits, packed).values())[number]
    cut(path, share)
    line = complaint("mnist")
    assert str(path) in line
    assert "truncated" in line or "is not an IDX file" in line


def test_mixed_up_idx(home: Path, digits: Digits) -> None:
    paths = write_mnist(home, digits, packed=False)
    paths["train-labels-idx1-ubyte"].write_bytes(idx(digits[1][:99]))
    assert "100 images but 99 labels" in complaint("mnist")
    paths["train-labels-idx1-ubyte"].write_bytes(idx(digits[0][:100]))
    assert "is not an IDX file of bytes with 1 dimensions" in complaint("mnist")


@pytest.mark.parametrize(
    ("number", "content", "message"),
    [
        (
            2,
            np.zeros((40, 20, 20)),
            "t10k-images-idx3-ubyte': wanted N > 0 images (N, 28, 28), got (40, 20, 20)",
        ),
        (
            0,
            np.zeros((0, 28, 28)),
            "train-images-idx3-ubyte': wanted N > 0 images (N, 28, 28), got (0, 28, 28)",
        ),
        (
            2,
            np.zeros((0, 28, 28)),
            "t10k-images-idx3-ubyte': wanted N > 0 images (N, 28, 28), got (0, 28, 28)",
        ),
        (3, np.full(40, 77), "t10k-labels-idx1-ubyte': wanted labels from 0 to 9, got 77"),
    ],
)
def test_idx_files_of_another_set(home: Path, digits: Digits, number: int, content: np.ndarray, message: str) -> None:
    list(write_mnist(home, digits, packed=False).values())[number].write_bytes(idx(content))
    assert message in complaint("mnist")


def test_an_idx_header_cannot_claim_more_than_fits_a_number(home: Path, digits: Digits) -> None:
    # 2**32 * 2**32 * 4 bytes would be none in 64 bits.
    path = write_mnist(home, digits, packed=False)["train-images-idx3-ubyte"]
    path.write_bytes(bytes((0, 0, 8, 3)) + 2 * (1 << 31).to_bytes(4, "big") + (4).to_bytes(4, "big"))
    assert "is truncated" in complaint("mnist")


def part(count: int, size: int = 8, label: int = 0) -> Split:
    return Split(np.zeros((count, 1, size, size), np.uint8), np.full(count, label, np.int64), levels=255)


@pytest.mark.parametrize(
    ("test", "validation", "message"),
    [
        (part(0), None, "wanted test images, got none"),
        (part(3), part(0), "wanted validation images, got none"),
        (part(3, size=9), None, "wanted test images of shape (1, 8, 8) as in training, got (1, 9, 9)"),
        (part(3, label=2), None, "wanted test labels from 0 to 1 (-1 for none), got 2 to 2"),
        (part(3), part(3, label=-2), "wanted validation labels from 0 to 1 (-1 for none), got -2 to -2"),
        (part(3, label=-1), None, ""),
    ],
)
def test_the_parts_of_every_source_are_checked(
    monkeypatch: pytest.MonkeyPatch, test: Split, validation: Split | None, message: str
) -> None:
    raw = RawData(part(20, label=1), test, ("even", "odd"), validation)
    monkeypatch.setattr(DATASETS.get("digits"), "read", lambda source: raw)
    if message:
        assert f"'digits': {message}" in complaint("digits")
    else:
        assert load_set("digits").test is test


def test_one_file_lacking(home: Path, digits: Digits) -> None:
    write_mnist(home, digits)["t10k-labels-idx1-ubyte"].unlink()
    assert "gpvae data fetch mnist" in complaint("mnist")


@pytest.mark.parametrize("share", SHARES)
def test_truncated_cifar_archive(home: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    cut(write_tar(home / cifar10.ARCHIVE, cifar_files(digits, 20)), share)
    assert "cifar-10-binary.tar.gz' is damaged or truncated" in complaint("cifar10")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "data_batch_3.bin is truncated or another file: wanted 20 records"),
        (lambda data: data[: 10 * 3073], "data_batch_3.bin is truncated or another file"),
        (lambda data: data + data, "data_batch_3.bin is truncated or another file"),
        (lambda data: b"\x0b" + data[1:], "wanted labels from 0 to 9, got 11"),
    ],
)
def test_damaged_cifar_records(
    home: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], message: str
) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    files = cifar_files(digits, 20)
    files["data_batch_3.bin"] = change(files["data_batch_3.bin"])
    write_tar(home / cifar10.ARCHIVE, files)
    assert message in complaint("cifar10")


def test_incomplete_cifar_archive(home: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    files = cifar_files(digits, 20)
    del files["test_batch.bin"]
    write_tar(home / cifar10.ARCHIVE, files)
    assert "lacks test_batch.bin" in complaint("cifar10")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.99])
def test_truncated_mat(home: Path, digits: Digits, share: float) -> None:
    write_svhn(home, digits)
    cut(home / "train_32x32.mat", share)
    assert "train_32x32.mat' is damaged, truncated or no SVHN .mat file" in complaint("svhn")


def test_damaged_mat_never_escapes(home: Path, digits: Digits) -> None:
    write_svhn(home, digits)
    whole = (home / "test_32x32.mat").read_bytes()
    generator, refused = np.random.default_rng(0), 0
    for _ in range(60):
        broken = bytearray(whole)
        for place in generator.integers(0, 400, 5):
            broken[place] = generator.integers(0, 256)
        (home / "test_32x32.mat").write_bytes(bytes(broken))
        try:
            read("svhn")
        except UserError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((32, 32, 3, 9), np.uint8), np.ones((8, 1), np.uint8), "9 images but 8 labels"),
        (np.zeros((32, 32, 3, 0), np.uint8), np.zeros((0, 1), np.uint8), "holds no image"),
        (np.zeros((32, 32, 3, 9), np.uint8), np.zeros((9, 1), np.uint8), "labels from 1 to 10"),
        (np.zeros((32, 32, 3, 9), np.uint8), np.full((9, 1), 11, np.uint8), "labels from 1 to 10"),
        (np.zeros((32, 32, 3, 9)), np.ones((9, 1), np.uint8), "wanted X of bytes (32, 32, 3, N), got float64"),
        (np.zeros((9, 3, 32, 32), np.uint8), np.ones((9, 1), np.uint8), "wanted X of bytes (32, 32, 3, N)"),
    ],
)
def test_other_mat_contents(home: Path, digits: Digits, x: np.ndarray, y: np.ndarray, message: str) -> None:
    write_svhn(home, digits)
    savemat(home / "test_32x32.mat", {"X": x, "y": y})
    assert message in complaint("svhn")


def test_mat_without_the_variables(home: Path, digits: Digits) -> None:
    write_svhn(home, digits)
    savemat(home / "test_32x32.mat", {"Z": np.zeros(3)})
    assert "no SVHN .mat file" in complaint("svhn")


def test_truncated_omniglot(home: Path, digits: Digits) -> None:
    for number in (1, 2):
        root = f"images_background_small{number}"
        write_zip(home / f"{root}.zip", drawings(digits, root, {"Greek": 5}))
    cut(home / "images_background_small2.zip", 0.9)
    assert "images_background_small2.zip' is not a zip of images, or is truncated" in complaint("omniglot")


def test_too_few_faces(home: Path) -> None:
    (home / "img_align_celeba").mkdir()
    assert "holds no image" in complaint("celeba")
    for i in range(7):
        (home / "img_align_celeba" / f"{i}.png").write_bytes(encode(np.zeros((70, 70), np.uint8)))
    assert "img_align_celeba': wanted at least 8 faces for three parts, got 7" in complaint("celeba")
    (home / "img_align_celeba" / "7.png").write_bytes(encode(np.zeros((70, 70), np.uint8)))
    assert len(load_set("celeba").test) == 1


REFUSED = "cannot be read (Permission denied)"


@pytest.mark.parametrize("packed", [True, False])
def test_files_that_may_not_be_read(home: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    write_svhn(home, digits)
    if packed:
        cifar = write_tar(home / cifar10.ARCHIVE, cifar_files(digits, 20))
    else:
        cifar = write_tree(home, cifar_files(digits, 20)) / "data_batch_3.bin"
    mnist = write_mnist(home, digits, packed)["train-images-idx3-ubyte"]
    small = [write_zip(home / f"images_background_small{i}.zip", drawings(digits, "a", {"Greek": 5})) for i in (1, 2)]
    files = {"mnist": mnist, "cifar10": cifar, "svhn": home / "test_32x32.mat", "omniglot": small[1]}
    for name, path in files.items():
        lock(monkeypatch, path)
        assert complaint(name) == f"'{path}' {REFUSED}"


@pytest.mark.parametrize("name", ["mnist", "celeba"])
def test_folders_that_may_not_be_looked_into(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refuse(path: Path, **options: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    assert complaint(name) == f"'{home / name}' {REFUSED}"
