"""MNIST, OMNIGLOT, CIFAR-10, SVHN, CelebA: what is read is what was written."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.data import cifar10
from gpvae_core.data.base import DATASETS
from gpvae_core.data.downloads import DOWNLOADS
from gpvae_core.hashes import hexdigest
from tests.data.makers import (
    Digits,
    cifar_files,
    drawings,
    encode,
    enlarge,
    idx,
    load_set,
    read,
    write_mnist,
    write_svhn,
    write_tar,
    write_tree,
    write_zip,
)


def test_digits_are_scikit_learns(digits: Digits) -> None:
    raw = read("digits")
    # Each image is in one of the two parts, with its own label.
    both = np.concatenate([raw.train.images, raw.test.images])[:, 0]
    labels = np.concatenate([raw.train.labels, raw.test.labels])
    actual = sorted((*image.ravel(), label) for image, label in zip(both * 15, labels, strict=True))
    assert actual == sorted((*image.ravel(), label) for image, label in zip(*digits, strict=True))
    assert (len(raw.train), len(raw.test)) == (1438, 359)
    assert raw.train.pixels().max() == 1.0


def test_the_splits_that_runs_were_trained_on_stay() -> None:
    assert load_set("digits").fingerprint == "f24cb50ef44247f60bcaf34cc51b31426052c26085273de8b453f7e4d55defe6"


MNIST = "294de986eaacdcef16428a64231e9728cc56bae4912865a391bc759ce76a5936"
NOTED = "not the published files ({}): likelihoods are not comparable with published ones"


@pytest.mark.parametrize("packed", [True, False])
def test_other_files_under_published_names_are_told(
    home: Path, digits: Digits, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    paths = write_mnist(home, digits, packed)
    write_svhn(home, digits)
    write_tar(home / cifar10.ARCHIVE, cifar_files(digits, 20))
    for number in (1, 2):
        write_zip(home / f"images_background_small{number}.zip", drawings(digits, "a", {"Greek": 5}))
    data = load_set("mnist")
    assert data.note == NOTED.format(", ".join(path.name for path in paths.values()))
    assert data.fingerprint != MNIST
    assert load_set("svhn").note == NOTED.format("train_32x32.mat, test_32x32.mat")
    assert load_set("cifar10").note == NOTED.format("cifar-10-binary.tar.gz")
    assert NOTED.format("images_background_small1.zip, images_background_small2.zip") in load_set("omniglot").note
    # Files with the checksums that are published for their content are those, however they are compressed.
    published = [
        replace(one, content=content_sum(path)) for one, path in zip(DOWNLOADS["mnist"], paths.values(), strict=True)
    ]
    monkeypatch.setitem(DOWNLOADS, "mnist", tuple(published))
    assert load_set("mnist").note == ""
    cut = paths["t10k-labels-idx1-ubyte"]
    cut.write_bytes(gzip.compress(idx(digits[1][101:141])) if packed else idx(digits[1][101:141]))
    assert load_set("mnist").note == NOTED.format(cut.name)


def content_sum(path: Path) -> str:
    content = path.read_bytes()
    return f"md5:{hexdigest([gzip.decompress(content) if path.suffix == '.gz' else content], 'md5')}"


def test_real_mnist(data_dir: Path) -> None:
    if not (data_dir / "mnist").is_dir():
        pytest.skip("no mnist in GPVAE_DATA_DIR")
    raw = read("mnist")
    assert (len(raw.train), len(raw.test)) == (60_000, 10_000)
    assert (raw.train.labels[0], raw.test.labels[0]) == (5, 7)
    assert float(raw.train.pixels().mean()) == pytest.approx(0.1307, abs=5e-5)
    data = load_set("mnist")
    assert (len(data.train), len(data.validation)) == (54_000, 6_000)
    assert data.fingerprint == MNIST
    assert data.note == ""


def test_real_omniglot_subset(data_dir: Path) -> None:
    if not (data_dir / "omniglot").is_dir():
        pytest.skip("no omniglot in GPVAE_DATA_DIR")
    raw = read("omniglot")
    # Greek and Latin are in both zips: 4,840 distinct images of 242 characters, 20 drawers each.
    assert (len(raw.train), len(raw.test), len(raw.class_names)) == (242 * 16, 242 * 4, 242)
    assert set(np.bincount(raw.test.labels)) == {4}
    assert len({image.tobytes() for image in np.concatenate([raw.train.images, raw.test.images])}) > 4_800
    assert 0.03 < float(raw.train.pixels().mean()) < 0.2


@pytest.mark.slow
def test_real_colour_images(data_dir: Path) -> None:
    path = data_dir / "cifar10_jpeg" / "cifar10_jpeg.zip"
    if not path.is_file():
        pytest.skip("no cifar10_jpeg in GPVAE_DATA_DIR")
    raw = read(f"images:{path}")
    assert raw.train.images.shape == (25_000, 3, 32, 32)
    assert len(raw.test) == 5_000
    assert raw.class_names == cifar10.CLASSES
    np.testing.assert_allclose(raw.train.pixels().mean((0, 2, 3)), [0.4919, 0.4823, 0.4463], atol=5e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_files(home: Path, digits: Digits, packed: bool) -> None:
    write_mnist(home, digits, packed)
    raw = read("mnist")
    np.testing.assert_array_equal(raw.train.images[:, 0], enlarge(digits[0][:100], 28))
    np.testing.assert_array_equal(raw.test.labels, digits[1][100:140])


@pytest.mark.parametrize("unpacked", [True, False])
def test_cifar10_files(home: Path, digits: Digits, monkeypatch: pytest.MonkeyPatch, unpacked: bool) -> None:
    monkeypatch.setattr(cifar10, "RECORDS", 20)
    files = cifar_files(digits, 20)
    if unpacked:
        write_tree(home / "cifar10" / cifar10.FOLDER, files)
    else:
        write_tar(home / cifar10.ARCHIVE, {**files, "readme.html": b"about"})
    raw = read("cifar10")
    images = enlarge(digits[0][:120], 32)
    assert raw.train.images.shape == (100, 3, 32, 32)
    np.testing.assert_array_equal(raw.train.images[:, 0], images[:100])
    np.testing.assert_array_equal(raw.test.images[:, 1], 255 - images[100:])
    np.testing.assert_array_equal(raw.train.labels, digits[1][:100])
    assert raw.class_names[3] == "cat"


def test_svhn_files(home: Path, digits: Digits) -> None:
    write_svhn(home, digits)
    raw = read("svhn")
    images = enlarge(digits[0][:80], 32)
    np.testing.assert_array_equal(raw.train.images[:, 0], images[:60])
    np.testing.assert_array_equal(raw.test.images[:, 1], 255 - images[60:])
    # The digit 0 is written 10 in the file.
    np.testing.assert_array_equal(raw.train.labels, digits[1][:60])
    assert 0 in raw.train.labels


def test_omniglot_union_drops_what_is_in_both_zips(home: Path, digits: Digits) -> None:
    greek = {"Greek": 5}
    write_zip(home / "images_background_small1.zip", drawings(digits, "images_background_small1", greek))
    second = drawings(digits, "images_background_small2", greek) | drawings(
        digits, "images_background_small2", {"Tagalog": 5}, start=10
    )
    write_zip(home / "images_background_small2.zip", second)
    raw = read("omniglot")
    assert raw.class_names == ("Greek/character01", "Greek/character02", "Tagalog/character01", "Tagalog/character02")
    assert (len(raw.train), len(raw.test)) == (16, 4)
    assert np.bincount(np.concatenate([raw.train.labels, raw.test.labels])).tolist() == [5, 5, 5, 5]


def test_omniglot_is_white_on_black_and_published_parts_win(home: Path, digits: Digits) -> None:
    write_zip(home / "images_background.zip", drawings(digits, "images_background", {"Latin": 2}))
    write_zip(home / "images_evaluation.zip", drawings(digits, "images_evaluation", {"Angelic": 1}, start=4))
    for number in (1, 2):
        write_zip(home / f"images_background_small{number}.zip", {})
    raw = read("omniglot")
    assert (len(raw.train), len(raw.test)) == (4, 2)
    assert [raw.class_names[label] for label in raw.test.labels] == ["Angelic/character01", "Angelic/character02"]
    ink = torch.from_numpy(enlarge(digits[0][:1], 105)[0] > 100).to(torch.float32)
    expected = torch.nn.functional.interpolate(ink[None, None], (28, 28), mode="area")[0, 0]
    assert float((raw.train.pixels()[0, 0] - expected).abs().mean()) < 0.05
    assert read("omniglot", size=14).train.images.shape == (4, 1, 14, 14)


@pytest.mark.parametrize("zipped", [True, False])
def test_celeba_is_cropped_and_split(home: Path, digits: Digits, zipped: bool) -> None:
    faces = {}
    for i in range(20):
        picture = np.zeros((218, 178, 3), np.uint8)
        picture[:20] = picture[-20:] = 255  # above and below the middle square: 218 - 178 = 2 * 20 rows
        picture[20:198, :, 0] = 10 * i
        faces[f"img_align_celeba/{i + 1:06d}.png"] = encode(picture)
    if zipped:
        write_zip(home / "img_align_celeba.zip", faces)
    else:
        write_tree(home / "celeba", faces)
    raw = read("celeba")
    assert raw.validation is not None
    assert [len(raw.train), len(raw.validation), len(raw.test)] == [16, 2, 2]
    levels = np.concatenate([part.images[:, 0, 30, 30] for part in (raw.train, raw.validation, raw.test)])
    assert sorted(levels) == [10 * i for i in range(20)]
    assert raw.train.images.shape == (16, 3, 64, 64)
    assert raw.train.images[:, 1:].max() == 0
    again = read("celeba", split_seed=1)
    assert not np.array_equal(again.train.images, raw.train.images)


def test_present_follows_the_files(home: Path, digits: Digits) -> None:
    sources = {name: DATASETS.get(name) for name in ("mnist", "omniglot", "cifar10", "svhn", "celeba")}
    assert not any(source.present() for source in sources.values())
    write_mnist(home, digits)
    write_svhn(home, digits)
    for number in (1, 2):
        write_zip(home / f"images_background_small{number}.zip", {})
    write_tree(home / cifar10.FOLDER, cifar_files(digits, 1))
    (home / "img_align_celeba").mkdir()
    assert all(source.present() for source in sources.values())
    assert DATASETS.get("digits").present()
    assert DATASETS.get("images").present() is None


def test_a_validation_split_is_seeded_and_disjoint(digits: Digits) -> None:
    first, again = load_set("digits"), load_set("digits")
    other = load_set("digits", split_seed=1)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert (len(first.train), len(first.validation), len(first.test)) == (1294, 144, 359)
    parts = [{image.tobytes() for image in part.images} for part in (first.train, first.validation, first.test)]
    assert len(parts[0] | parts[1] | parts[2]) == len({image.tobytes() for image in digits[0]})
    assert parts[0] & parts[1] == set()
    assert len(load_set("digits", validation_fraction=0.5).validation) == 719
