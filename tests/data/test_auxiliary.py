"""Auxiliary columns and masks: what they refuse, and that they follow their images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.base import DATASETS, DataConfig, RawData, Source, load
from gpvae_core.data.classes import ShownClasses
from gpvae_core.data.observed import wants_all_pixels
from gpvae_core.data.split import Split, fingerprint, hold_out, stratified_test_split
from gpvae_core.errors import UserError
from tests.data.makers import load_set

N = 40
COLUMNS = (
    Column("time", "number", unit="s"),
    Column("who", "category", names=("a", "b", "c", "d")),
    Column("place", "vector", size=2),
)


def numbered(count: int = N, columns: tuple[Column, ...] = COLUMNS) -> Split:
    """Images whose number is their pixels, their time, their place and their mask; two classes."""
    n = np.arange(count)
    images = np.broadcast_to(n[:, None, None, None], (count, 1, 4, 4)).astype(np.uint8)
    values = {"time": 1.0 * n, "who": n % 4, "place": np.stack([n, -n], 1).astype(float)}
    observed = (n[:, None, None] >> np.arange(16).reshape(4, 4) % 8) % 2 == 0  # the bits of the number
    return Split(images, n % 2, 255, Auxiliary(columns, values), observed)


def assert_together(split: Split) -> None:
    """Assert that labels, columns and masks are those of the images."""
    assert split.auxiliary is not None
    n = split.images[:, 0, 0, 0].astype(int)
    whole = numbered()
    assert whole.auxiliary is not None
    assert whole.observed is not None
    assert (split.auxiliary["time"] == n).all()
    assert (split.auxiliary["who"] == n % 4).all()
    assert (split.auxiliary["place"] == np.stack([n, -n], 1)).all()
    np.testing.assert_array_equal(split.observed, whole.observed[n])


def test_columns_and_masks_follow_their_images() -> None:
    split = numbered()
    assert_together(split.take(np.array([7, 3, 3, 39])))
    for part in (*hold_out(split, 0.2, 1, "x"), *stratified_test_split(split, 1, "x")):
        assert 0 < len(part) < N
        assert_together(part)
    assert_together(ShownClasses(("b", "a"), np.array([1, 0])).label(split))


def test_a_loaded_data_set_has_them_in_every_split(monkeypatch: pytest.MonkeyPatch) -> None:
    class Numbered(Source):
        """Numbers."""

        @classmethod
        def present(cls) -> bool:
            return True

        def read(self) -> RawData:
            split = numbered()
            return RawData(split.take(np.arange(30)), split.take(np.arange(30, N)), ("even", "odd"))

    monkeypatch.setitem(DATASETS._classes, "numbered", Numbered)
    data = load(DataConfig(name="numbered"))
    assert data.columns == COLUMNS
    for split in (data.train, data.validation, data.test):
        assert_together(split)
    with pytest.raises(UserError, match=r"'numbered': 39 of 40 images have missing pixels.*take one of svgp"):
        wants_all_pixels(data, ["svgp"])
    whole = {part: replace(getattr(data, part), observed=None) for part in ("train", "validation", "test")}
    wants_all_pixels(replace(data, **whole), ["svgp"])


def test_fingerprints_of_sets_without_columns_stay() -> None:
    """Those of the version before there were auxiliary columns."""
    assert load_set("digits").fingerprint == "f24cb50ef44247f60bcaf34cc51b31426052c26085273de8b453f7e4d55defe6"
    bare = Split(np.arange(64, dtype=np.uint8).reshape(4, 1, 4, 4), np.array([0, 1, 0, 1]), 255)
    assert fingerprint(bare) == "1efdf8c1ba815120c0ad4d1d78f97f93d7531236af08d1ae1afdc1d5ea63b4f3"
    assert load_set("digits").columns == ()


def test_fingerprints_tell_columns_and_masks_apart() -> None:
    split = numbered()
    bare = replace(split, auxiliary=None, observed=None)
    assert split.auxiliary is not None
    assert split.observed is not None
    period = (replace(COLUMNS[0], period=7.0), *COLUMNS[1:])
    later = {**split.auxiliary.values, "time": split.auxiliary["time"] + 1.0}
    variants = [
        bare,
        split,
        replace(bare, auxiliary=split.auxiliary),
        replace(bare, observed=split.observed),
        replace(bare, observed=~split.observed),
        replace(split, auxiliary=Auxiliary(period, split.auxiliary.values)),
        replace(split, auxiliary=Auxiliary(COLUMNS, later)),
    ]
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
    renamed = (*COLUMNS[:1], replace(COLUMNS[1], names=("p", "q", "r", "s")), COLUMNS[2])
    assert fingerprint(numbered(columns=renamed)) == fingerprint(split)


def test_a_column_is_found_by_its_name() -> None:
    auxiliary = numbered().auxiliary
    assert auxiliary is not None
    assert auxiliary.column("who") is COLUMNS[1]
    with pytest.raises(UserError, match="unknown column 'tme'; did you mean 'time'"):
        auxiliary.column("tme")
    with pytest.raises(UserError, match="unknown column 'places'; did you mean 'place'"):
        auxiliary["places"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "my time", "role": "number"}, "column 'my time' has no plain name"),
        ({"name": "2nd", "role": "number"}, "no digit first"),
        ({"name": "Zeit_größe", "role": "number"}, "has no plain name"),
        ({"name": "", "role": "number"}, "has no plain name"),
        ({"name": "t", "role": "number", "period": 0.0}, "wanted a period above 0"),
        ({"name": "t", "role": "number", "period": np.inf}, "wanted a period above 0"),
        ({"name": "t", "role": "vector", "period": 1.0}, "wanted a period above 0 of numbers"),
        ({"name": "who", "role": "category"}, "wanted one name for each category"),
        ({"name": "who", "role": "category", "names": ("a", "a")}, "no two alike"),
    ],
)
def test_columns_that_are_none(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Column(**arguments)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"time": np.array([0.0, np.nan])}, "'time': wanted finite numbers"),
        ({"time": np.array([0, 1])}, "'time': wanted float64 of shape"),
        ({"time": np.zeros((2, 1))}, r"'time': wanted float64 of shape \(2,\)"),
        ({"who": np.array([0, 4])}, "'who': wanted codes from 0 to 3, got 0 to 4"),
        ({"who": np.array([-1, 0])}, "got -1 to 0"),
        ({"who": np.array([0.0, 1.0])}, "'who': wanted int64"),
        ({"who": np.array([0, 1, 1])}, r"'who': wanted int64 of shape \(2,\) for a category, got int64 \(3,\)"),
        ({"place": np.zeros((2, 3))}, r"'place': wanted float64 of shape \(2, 2\)"),
        ({"other": np.zeros(2)}, "wanted values of each of 3 columns"),
    ],
)
def test_values_that_do_not_suit_their_columns(values: dict[str, np.ndarray], message: str) -> None:
    good = {"time": np.zeros(2), "who": np.array([0, 3]), "place": np.zeros((2, 2))}
    assert len(Auxiliary(COLUMNS, good)) == 2
    with pytest.raises(UserError, match=message):
        Auxiliary(COLUMNS, good | values)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="no two alike"):
        Auxiliary((COLUMNS[0], COLUMNS[0]), {"time": np.zeros(2)})


def test_columns_and_masks_are_of_all_images() -> None:
    split = numbered()
    assert split.auxiliary is not None
    with pytest.raises(UserError, match="wanted auxiliary data of each of 40 images, got 2 rows"):
        replace(split, auxiliary=split.auxiliary.take(np.array([0, 1])))
    with pytest.raises(UserError, match=r"wanted a mask of observed pixels of shape \(40, 4, 4\), got \(40, 4, 5\)"):
        replace(split, observed=np.ones((40, 4, 5), np.bool_))
