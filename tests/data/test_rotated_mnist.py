"""Rotated MNIST: the published views where they are, and the same recipe elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from gpvae_core.cli.main import main
from gpvae_core.data.base import absolute_name, short_name
from gpvae_core.data.mnist import FILES
from gpvae_core.data.rotated_mnist import FILE, SPLINE_RANGE, parse_digits, principal_scores
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.runs import load_run
from tests.data.makers import Digits, enlarge, idx, load_set, read, write_tree


def write_digits(home: Path, digits: Digits, *shown: int) -> np.ndarray:
    """Write an MNIST of 410 different images of each of these digits; return them, (digits, 410, 28, 28)."""
    upright = np.stack([enlarge(digits[0][410 * place : 410 * (place + 1)], 28) for place in range(len(shown))])
    # One of each digit in turn.
    images, labels = upright.swapaxes(0, 1).reshape(-1, 28, 28), np.tile(shown, 410)
    contents = (images, labels, images[:20], labels[:20])
    write_tree(home, {name: idx(content) for name, content in zip(FILES, contents, strict=True)})
    return upright


def assert_views(split: Split, upright: np.ndarray, digits: tuple[int, ...], count: int) -> None:
    """Assert that images are the unrotated ones (digits, identities, H, W), rotated by their angle."""
    auxiliary = split.auxiliary
    assert auxiliary is not None
    place, identity = np.divmod(auxiliary["object"], 400)
    assert (np.array(digits)[place] == auxiliary["digit"]).all()
    assert (split.labels == auxiliary["digit"]).all()
    assert identity.max() < 360
    for row in np.random.default_rng(0).permutation(len(split))[:count]:
        degrees = 180 / np.pi * auxiliary["angle"][row]
        expected = rotate(upright[place[row], identity[row]] / 255.0, degrees, reshape=False)
        np.testing.assert_allclose(split.images[row, 0], expected, atol=1e-6)


def test_the_published_views_are_read_in_their_order(data_dir: Path) -> None:
    path = data_dir / "rotated_mnist" / FILE
    if not path.is_file():
        pytest.skip("no rotated_mnist in GPVAE_DATA_DIR")
    raw = read("rotated-mnist")
    with np.load(path) as published:
        for split, part in ((raw.train, "train"), (raw.test, "test")):
            np.testing.assert_array_equal(split.images[:, 0], published[f"{part}_images"][..., 0])
            auxiliary, aux = split.auxiliary, published[f"{part}_aux"]
            identity = np.asarray(aux[:, 0], np.int64)
            assert auxiliary is not None
            np.testing.assert_array_equal(auxiliary["object"], aux[:, 0])
            np.testing.assert_allclose(auxiliary["angle"], aux[:, 1], atol=1e-12)
            np.testing.assert_array_equal(auxiliary["pca"], published["pca_init"][identity])
            # Not the first 400 "3"s, but the published ones.
            assert_views(split, published["base_images"][None], (3,), 30)
    assert (len(raw.train), len(raw.test)) == (4050, 270)
    assert "the published training and test images in their order" in raw.note
    assert "'eval_images' in rotated_mnist_3.npz" in raw.note
    data = load_set("rotated-mnist:3")
    assert (len(data.train), len(data.validation), len(data.test)) == (3645, 405, 270)
    assert data.fingerprint == load_set("rotated-mnist").fingerprint


def test_the_same_recipe_makes_other_digits(home: Path, digits: Digits) -> None:
    upright = write_digits(home, digits, 3, 5)
    data = load_set("rotated-mnist:5,3")
    assert (len(data.train), len(data.validation), len(data.test)) == (7290, 810, 540)
    # The epoch is chosen on (identity, angle) pairs that are not trained on, of identities and angles that are.
    assert data.train.auxiliary is not None
    assert data.validation.auxiliary is not None
    trained, held_out = (
        {*zip(auxiliary["object"].tolist(), auxiliary["angle"].tolist(), strict=True)}
        for auxiliary in (data.train.auxiliary, data.validation.auxiliary)
    )
    assert (len(trained), len(held_out), len(trained & held_out)) == (7290, 810, 0)
    for place in (0, 1):
        assert {pair[place] for pair in held_out} <= {pair[place] for pair in trained}
    for split in (data.train, data.validation, data.test):
        assert_views(split, upright, (3, 5), 30)
    assert data.train.auxiliary is not None
    assert data.test.auxiliary is not None
    steps = np.rint(data.train.auxiliary["angle"] * 8 / np.pi)
    assert set(steps.tolist()) == {*range(16)} - {7}
    assert (np.rint(data.test.auxiliary["angle"] * 8 / np.pi) == 7).all()
    # No view twice, and 75 % of the views of each digit.
    assert len(np.unique(np.stack([steps, data.train.auxiliary["object"]]), axis=1).T) == 7290
    everyone = read("rotated-mnist:3-3,5").train
    assert np.bincount(everyone.labels).tolist() == [0, 0, 0, 4050, 0, 4050]
    assert "not the published split" in data.note
    # A digit's views do not depend on the others, but on the seed.
    alone, together = read("rotated-mnist").train, everyone
    np.testing.assert_array_equal(alone.images, together.images[together.labels == 3])
    assert not np.array_equal(alone.images, read("rotated-mnist", split_seed=1).train.images)


def test_scores_are_the_principal_components(home: Path, digits: Digits) -> None:
    upright = write_digits(home, digits, 3)[0, :400] / 255.0
    auxiliary = read("rotated-mnist").train.auxiliary
    assert auxiliary is not None
    centred = (upright - upright.mean(0)).reshape(400, -1)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_scores(upright)), np.abs(u * s)[:, :8], atol=1e-5)
    np.testing.assert_array_equal(auxiliary["pca"], principal_scores(upright)[auxiliary["object"]])


def test_splines_of_any_image_stay_within_the_range() -> None:
    """The worst image has a 1 where the spline's weights are positive, and a 0 elsewhere."""
    worst = [0.0, 1.0]
    for degrees in np.arange(0, 360, 22.5):
        weights = np.stack([rotate(one.reshape(12, 12), degrees, reshape=False) for one in np.eye(144)])
        worst = [min(worst[0], weights.clip(max=0).sum(0).min()), max(worst[1], weights.clip(min=0).sum(0).max())]
    assert SPLINE_RANGE[0] <= worst[0] < 0 < 1 < worst[1] <= SPLINE_RANGE[1]


def test_names_take_digits_and_no_path() -> None:
    assert parse_digits("3") == (3,)
    assert parse_digits("0-9") == tuple(range(10))
    assert parse_digits("7,0-2,1") == (0, 1, 2, 7)
    assert absolute_name("rotated-mnist:0,1") == "rotated-mnist:0,1"
    assert short_name("rotated-mnist:0,1") == "rotated-mnist-0,1"
    for wrong in ("a", "10", "3-1", "0,", ",", "0..3", "3.5", "-1"):
        with pytest.raises(UserError, match="wanted digits as in 'rotated-mnist:0,1,3'"):
            parse_digits(wrong)
    with pytest.raises(UserError, match="wanted a path or another argument behind 'rotated-mnist:'"):
        read("rotated-mnist:")


def test_files_that_are_none(home: Path, digits: Digits) -> None:
    with pytest.raises(UserError, match="gpvae data fetch mnist"):
        read("rotated-mnist")
    write_digits(home, digits, 5)
    with pytest.raises(UserError, match="'rotated-mnist': wanted 400 training images of digit 3 in MNIST, got 0"):
        read("rotated-mnist")
    good: dict[str, Any] = {
        "train_images": np.zeros((2, 28, 28, 1), np.float32),
        "train_aux": np.zeros((2, 10)),
        "test_images": np.zeros((2, 28, 28, 1), np.float32),
        "test_aux": np.zeros((2, 10)),
        "pca_init": np.zeros((400, 8)),
    }
    changes: tuple[dict[str, Any], ...] = (
        {"train_images": np.zeros((2, 28, 27, 1), np.float32)},
        {"train_images": np.full((2, 28, 28, 1), np.nan, np.float32)},
        {"train_aux": np.full((2, 10), 360.0)},
        {"train_aux": np.full((2, 10), np.nan)},
        {"train_aux": np.zeros(2)},
        {"pca_init": np.zeros((3, 8))},
    )
    for odd in changes:
        np.savez(home / FILE, **good | odd)
        with pytest.raises(UserError, match=r"is not an \.npz of plain numbers, is damaged or truncated"):
            read("rotated-mnist")
    np.savez(home / FILE, **good)
    assert len(read("rotated-mnist").train) == 2


def test_pixels_beyond_the_unit_interval_train_and_evaluate(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (data_dir / "rotated_mnist").is_dir():
        pytest.skip("no rotated_mnist in GPVAE_DATA_DIR")
    out = str(tmp_path / "run")
    for arguments in (
        ["train", "--method", "vae", "--dataset", "rotated-mnist", "--epochs", "1", "--out", out],
        ["evaluate", out, "--instances", "2", "--truth", "iwae", "--json"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0, capsys.readouterr().err
    scores = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert np.isfinite(scores["elbo"]["mean"])
    run = load_run(out)
    assert run.is_images
    assert run.pixel_range == SPLINE_RANGE
    x = run.data.test.pixels()
    assert float(x.min()) < 0.0 < 1.0 < float(x.max())
    assert run.posterior(x[:5]).mean.shape == (5, 2)
    with pytest.raises(UserError, match=r"wanted pixels in \[-0.7, 1.7\], got 0 to 255"):
        run.posterior(torch.linspace(0, 255, 784).reshape(1, 28, 28))
