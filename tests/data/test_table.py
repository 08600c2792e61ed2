"""Tables of one's own: columns and their roles, parts, missing frames and pixels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from gpvae_core.cli.main import main
from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.data.base import Dataset, absolute_name
from gpvae_core.data.split import Split
from gpvae_core.data.table_columns import FEW, fill, parse_heading, values_of
from gpvae_core.errors import UserError
from tests.data.makers import Digits, encode, load_set, read, write_tree

COUNT = 30
Row = Callable[[int], str]


@pytest.fixture
def folder(tmp_path: Path, digits: Digits) -> Path:
    """A folder with the first digits as p/0.png, p/1.png, ..."""
    return write_tree(tmp_path, {f"p/{i}.png": encode(digits[0][i]) for i in range(COUNT)})


def table(folder: Path, header: str, row: Row, name: str = "t.csv") -> str:
    """Write a table of COUNT rows, and return its name as a data set."""
    (folder / name).write_text("\n".join([header, *map(row, range(COUNT))]) + "\n")
    return f"table:{folder / name}"


def arrays(folder: Path, **columns: Any) -> str:
    """Write arrays to an .npz file, and return its name as a data set."""
    np.savez(folder / "t.npz", **columns)
    return f"table:{folder / 't.npz'}"


def everything(name: str) -> Split:
    """All rows, in the order of the column n."""
    raw = read(name)
    parts = [part for part in (raw.train, raw.validation, raw.test) if part is not None]
    auxiliary = [part.auxiliary for part in parts if part.auxiliary is not None]
    columns = auxiliary[0].columns
    values = {column.name: np.concatenate([part[column.name] for part in auxiliary]) for column in columns}
    masks = [np.ones((len(part), 8, 8), np.bool_) if part.observed is None else part.observed for part in parts]
    images, labels = np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])
    joined = Split(images, labels, parts[0].levels, Auxiliary(columns, values), np.concatenate(masks))
    return joined.take(np.argsort(values["n"]))


def roles(data: Dataset) -> dict[str, str]:
    return {column.name: column.role for column in data.columns}


def test_roles_are_guessed_and_told(folder: Path, digits: Digits) -> None:
    name = table(
        folder, "file,n,time,who,few,place:vector", lambda i: f"p/{i}.png,{i},{i * 0.7},w{i % 12},{i % 4},{i} 1.5"
    )
    data = load_set(name)
    assert roles(data) == {"n": "number", "time": "number", "who": "category", "few": "category", "place": "vector"}
    assert "guessed: n is a number, time is a number, who is a category, few is a category; name:role" in data.note
    assert "there is no column 'split': a seeded 20 % of the rows is the test set" in data.note
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 6)
    rows = everything(name)
    np.testing.assert_array_equal(rows.images[:, 0], digits[0][:COUNT])
    assert rows.auxiliary is not None
    n = np.arange(COUNT)
    np.testing.assert_allclose(rows.auxiliary["time"], 0.7 * n)
    names = rows.auxiliary.column("who").names
    assert names == tuple(f"w{i}" for i in range(12))  # 2 before 10
    np.testing.assert_array_equal(rows.auxiliary["who"], n % 12)
    np.testing.assert_array_equal(rows.auxiliary["place"], np.stack([n, np.full(COUNT, 1.5)], 1))


def test_the_header_says_roles(folder: Path) -> None:
    header = "n:number,angle:number(period=360 unit=degrees),few:number,t:category,comment:skip,my picture:image"
    data = load_set(table(folder, header, lambda i: f"{i},{i},{i % 3},{i * 0.5},a b,p/{i}.png"))
    assert roles(data) == {"n": "number", "angle": "number", "few": "number", "t": "category"}
    assert (data.columns[1].period, data.columns[1].unit) == (360.0, "degrees")
    assert "guessed" not in data.note


def test_whole_numbers_are_categories_only_where_they_are_few() -> None:
    heading, where = parse_heading("t", "here"), str
    for count, role in ((FEW, "category"), (FEW + 1, "number")):
        cells = [str(i % count) for i in range(60)]
        assert fill(heading, values_of(heading, cells, where), where, "here").column.role == role
    assert fill(heading, values_of(heading, ["1.0", "2.0"], where), where, "here").column.role == "number"


def test_a_column_split_names_the_parts(folder: Path) -> None:
    parts = ("train", "val", "Test")
    data = load_set(table(folder, "file,n,split", lambda i: f"p/{i}.png,{i},{parts[i % 3]}"))
    for remainder, split in enumerate((data.train, data.validation, data.test)):
        assert split.auxiliary is not None
        assert (split.auxiliary["n"] % 3 == remainder).all()
    assert "split" not in roles(data)
    assert "seeded" not in data.note
    data = load_set(table(folder, "file,n,part:split", lambda i: f"p/{i}.png,{i},{('train', 'valid')[i % 2]}"))
    assert (len(data.validation), len(data.test)) == (15, 3)
    assert "no row is of the part 'test': a seeded 20 % of those of 'train'" in data.note


def test_missing_frames_and_pixels_of_pictures(folder: Path, digits: Digits) -> None:
    opacity = np.full((8, 8), 255, np.uint8)
    opacity[2:5, 3], opacity[0, 0] = 0, 1
    grey = digits[0][4]
    (folder / "p" / "4.png").write_bytes(encode(np.stack([grey, grey, grey, opacity], -1)))
    rows = everything(table(folder, "file,n", lambda i: f"{'' if i in (7, 9) else f'p/{i}.png'},{i}"))
    assert rows.observed is not None
    expected = np.ones((COUNT, 8, 8), np.bool_)
    expected[[7, 9]], expected[4, 2:5, 3] = False, False
    np.testing.assert_array_equal(rows.observed, expected)
    assert (rows.images[:, 0][~expected] == 0).all()
    whole = np.flatnonzero(expected.all((1, 2)))
    np.testing.assert_array_equal(rows.images[whole, 0], digits[0][whole])
    name = f"table:{folder / 't.csv'}"
    assert "2 of 30 frames are missing and pixels are missing in 1 of 30 frames" in load_set(name).note
    with pytest.raises(UserError, match=r"row 6: picture 'p/4\.png' has transparent pixels.*wanted its own size, 8x8"):
        load_set(name, size=16)


def test_pictures_are_resized_where_a_size_is_told(folder: Path, digits: Digits) -> None:
    (folder / "p" / "4.png").write_bytes(encode(digits[0][4].repeat(2, 0)))
    name = table(folder, "file,n", lambda i: f"p/{i}.png,{i}")
    with pytest.raises(UserError, match=r"row 6: picture 'p/4\.png' has 8x16 pixels: wanted 8x8 as of the first"):
        load_set(name)
    data = load_set(name, size=12)
    assert data.event_shape == (1, 12, 12)
    assert "1 of 30 pictures are not square" in data.note
    assert data.train.observed is None


def test_arrays(tmp_path: Path, digits: Digits) -> None:
    images = digits[0][:COUNT] / 255.0
    images[3, 2, 2], images[5] = np.nan, np.nan
    seen = np.ones((COUNT, 8, 8), np.bool_)
    seen[8, 1:3] = False
    n = np.arange(COUNT)
    name = arrays(
        tmp_path,
        images=images,
        observed=seen,
        n=n * 1.0,
        few=n % 3,
        who=np.array(["a", "b"])[n % 2],
        place=np.stack([n, n], 1) / 2,
        split=np.where(n < 20, "train", "test"),
        **{"angle:number(period=6.28 unit=rad)": n},
    )
    data, rows = load_set(name), everything(name)
    expected = {"n": "number", "few": "category", "who": "category", "place": "vector", "angle": "number"}
    assert roles(data) == expected
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 10)
    assert rows.observed is not None
    seen[3, 2, 2], seen[5] = False, False
    np.testing.assert_array_equal(rows.observed, seen)
    np.testing.assert_array_equal(rows.images[:, 0], np.where(seen, images, 0.0).astype(np.float32))
    # Bytes in colour, with a mask of pixels.
    colour = np.repeat(digits[0][:COUNT, :, :, None], 3, -1)
    data = load_set(arrays(tmp_path, x=colour, n=n * 1.0))
    assert (data.event_shape, data.train.levels, data.train.observed) == ((3, 8, 8), 255, None)


def test_missing_pixels_are_not_learned(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(folder, "file,n", lambda i: f"{'' if i == 7 else f'p/{i}.png'},{i}")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--method", "vae", "--dataset", name, "--epochs", "1", "--out", str(tmp_path / "runs" / "a")])
    streams = capsys.readouterr()
    assert (stop.value.code, streams.out) == (2, "")
    assert "1 of 30 images have missing pixels, which this method would learn as black" in streams.err
    assert streams.err.splitlines()[-1].startswith("gpvae: ")
    assert not (tmp_path / "runs").exists()


def test_a_vae_trains_on_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(folder, "file,n", lambda i: f"p/{i}.png,{i}")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--method", "vae", "--dataset", name, "--epochs", "1", "--out", str(folder / "run")])
    assert stop.value.code == 0, capsys.readouterr().err


def test_the_path_is_absolute_in_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_name("table:a.csv") == f"table:{tmp_path.resolve() / 'a.csv'}"


def write_parquet(path: Path) -> None:
    pyarrow.parquet.write_table(
        pyarrow.table(
            {
                "file": [None if i == 7 else f"p/{i}.png" for i in range(COUNT)],
                "n": list(range(COUNT)),
                "time": [0.1 * i for i in range(COUNT)],
                "place:vector": [[0.5, float(i)] for i in range(COUNT)],
            }
        ),
        path,
    )


def test_parquet(folder: Path, digits: Digits) -> None:
    write_parquet(folder / "t.parquet")
    rows = everything(f"table:{folder / 't.parquet'}")
    assert rows.auxiliary is not None
    assert rows.observed is not None
    np.testing.assert_array_equal(rows.auxiliary["time"], [0.1 * i for i in range(COUNT)])
    np.testing.assert_array_equal(rows.auxiliary["place"][:, 1], np.arange(COUNT))
    assert np.flatnonzero(~rows.observed.any((1, 2))).tolist() == [7]
    np.testing.assert_array_equal(rows.images[8, 0], digits[0][8])
    (folder / "p" / "0.png").unlink()
    with pytest.raises(UserError, match=r"t\.parquet', row 2: picture 'p/0\.png' is not there"):
        load_set(f"table:{folder / 't.parquet'}")
    content = (folder / "t.parquet").read_bytes()
    half = content[: len(content) // 2]
    for odd in (content[:-20], content[:4], b"", b"PAR1" * 40, half + bytes(200) + content[-8:]):
        (folder / "t.parquet").write_bytes(odd)
        with pytest.raises(UserError, match=r"is not a Parquet file, or is damaged|cannot be read"):
            load_set(f"table:{folder / 't.parquet'}")


def test_parquet_without_pyarrow_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (folder / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="reading Parquet needs pyarrow: pip install pyarrow, or save the table as CSV"):
        load_set(f"table:{folder / 't.parquet'}")
