"""Bad tables end in one clear line that names the row and the column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpvae_core.errors import UserError
from tests.data.makers import Digits, encode, load_set, write_tree

GOOD = "file,time\n" + "".join(f"p/{i}.png,{i}.5\n" for i in range(9))


@pytest.fixture
def folder(tmp_path: Path, digits: Digits) -> Path:
    """A folder with the first digits as p/0.png, p/1.png, ..., and one that is larger."""
    pictures = {f"p/{i}.png": encode(digits[0][i]) for i in range(9)}
    large = encode(digits[0][0].repeat(2, 0).repeat(3, 1))
    return write_tree(tmp_path / "folder", pictures | {"p/large.png": large, "p/noise.png": b"noise", "out.txt": b"x"})


def line(folder: Path, text: str | bytes, name: str = "t.csv") -> str:
    """Return the error of a table, which is one line."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as error:
        load_set(f"table:{folder / name}")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("changed", "by", "message"),
    [
        ("5.5", "soon", "row 7: 'soon' in column 'time' is not a number; if it is a category, write 'time:category'"),
        ("5.5", "inf", "row 7: 'inf' in column 'time' is not a number"),
        ("5.5", "nan", "row 7: 'nan' in column 'time' is not a number"),
        ("5.5", "٣", "row 7: '٣' in column 'time' is not a number"),
        ("5.5", "", "row 7: column 'time' is empty"),
        ("\np/5.png", "\n\np/5.png", None),
        ("4.5", "", "row 6: column 'time' is empty"),
        ("p/5.png", "p/50.png", "row 7: picture 'p/50.png' is not there, or no file"),
        ("p/5.png", "p", "got none: call it name:image"),
        ("p/5.png", "../p/5.png", "row 7: picture '../p/5.png': wanted a path below the table's folder"),
        ("p/5.png", "p/../p/5.png", "wanted a path below the table's folder"),
        ("p/5.png", "/etc/hosts.png", "row 7: picture '/etc/hosts.png': wanted a path below the table's folder"),
        ("p/5.png", "p/large.png", "row 7: picture 'p/large.png' has 24x16 pixels: wanted 8x8 as of the first"),
        ("p/5.png", "p/noise.png", "row 7: picture 'p/noise.png' is not a picture that can be read"),
        ("p/5.png", "x" * 5000 + ".png", "is not there, or no file"),
        ("p/5.png", "a\0.png", "row 7: picture"),
        ("5.5\n", "5.5,6\n", "row 7: wanted 2 cells as in the header, got 3"),
        ("p/5.png,5.5\n", "p/5.png\n", "row 7: wanted 2 cells as in the header, got 1"),
        ("time", "time:nubmer", "row 1: column 'time': unknown role 'nubmer'; did you mean 'number'?"),
        ("time", "file", "row 1: two columns are called 'file'"),
        ("time", "file:number", "row 1: two columns are called 'file'"),
        ("time", "my time", "t.csv', row 1: column 'my time' has no plain name"),
        ("time", "time:number(period=-3)", "t.csv', row 1: column 'time': wanted a period above 0"),
        ("time", "", "column '' has no plain name"),
        ("time", "time:number(period=long)", "column 'time' has the period 'long', which is no number"),
        ("time", "time:number(period=-1)", "column 'time': wanted a period above 0 of numbers, got -1"),
        ("time", "time:number(perod=1)", "column 'time' has 'perod=1': wanted period=NUMBER or unit=TEXT"),
        ("time", "time:category(period=1)", "wanted period=NUMBER or unit=TEXT of a number"),
        ("time", "time:number(", "wanted a column name, name:role or name:role(option=value), got 'time:number('"),
        ("time", "time:image", "row 2: picture '0.5' is not there"),
        ("file,time", "file:image,time:image", "wanted one column of image paths, got 2 columns ('file', 'time')"),
        ("file", "file:skip", "wanted one column of image paths, got none"),
        ("time", "time:split", "row 2: wanted train, validation or test in column 'split', got '0.5'"),
        ("time", "time:vector", None),
    ],
)
def test_a_bad_row_or_header(folder: Path, changed: str, by: str, message: str | None) -> None:
    assert changed in GOOD
    text = GOOD.replace(changed, by, 1)
    if message is None:
        (folder / "t.csv").write_text(text)
        assert len(load_set(f"table:{folder / 't.csv'}").train) == 6
    else:
        assert message in line(folder, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("\n\n", "holds no rows"),
        ("file,time\n", "holds no rows"),
        ("file,time\n,1\n,2\n", "wanted one column of image paths, got none"),
        ("file:image,time\n,1\n,2\n", "column 'file:image' names no picture"),
        ("time,b\n1,2\n", "wanted one column of image paths, got none"),
        ("file,v:vector\np/1.png,1 2\np/2.png,1\n", "row 3: wanted 2 numbers in column 'v' as in the first row, got 1"),
        ("file,v:vector\np/1.png,1 2\np/2.png,1 x\n", "row 3: '1 x' in column 'v' is not a number"),
        ("file;time\np/1.png;1\np/2.png;2\n", "got the header 'file;time': are they separated by semicolons?"),
        ("file,split\np/1.png,test\np/2.png,test\n", "column 'split' names no row 'train'"),
        ("file\np/1.png\np/2.png\n", "wanted at least 3 images"),
        (b"\xff\xfe\x00", "is not a CSV file in UTF-8"),
        ("a" * 200_000 + "\n", "is not a CSV file in UTF-8 (field larger than field limit"),
    ],
)
def test_a_bad_file(folder: Path, text: str | bytes, message: str) -> None:
    assert message in line(folder, text)


def test_a_byte_order_mark_and_quotes_are_read(folder: Path) -> None:
    text = "\ufeff" + GOOD.replace("p/5.png", ' "p/5.png"').replace("p/6.png", '"p/6.png"').replace(' "', '"')
    (folder / "t.csv").write_text(text.replace("\n", "\r\n"), encoding="utf-8")
    assert [column.name for column in load_set(f"table:{folder / 't.csv'}").columns] == ["time"]


def test_other_files(folder: Path) -> None:
    for name, message in (
        ("out.txt", "wanted a table, which ends in .csv, .parquet or .npz"),
        ("none.csv", "is not there: wanted a table"),
        ("none.npz", "is not there"),
    ):
        with pytest.raises(UserError, match=message.replace(".", r"\.")):
            load_set(f"table:{folder / name}")
    with pytest.raises(UserError, match="wanted 'table:PATH', got 'table' without a path"):
        load_set("table")


def test_links_that_leave_the_folder_are_not_followed(folder: Path, digits: Digits) -> None:
    outside = write_tree(folder.parent / "outside", {"5.png": encode(digits[0][5])})
    (folder / "link").symlink_to(outside)
    assert "lies behind a link that leaves the table's folder" in line(folder, GOOD.replace("p/5.png", "link/5.png"))
    # A link to a file is read, as in a folder of images.
    (folder / "p" / "linked.png").symlink_to(outside / "5.png")
    (folder / "t.csv").write_text(GOOD.replace("p/5.png", "p/linked.png"))
    assert len(load_set(f"table:{folder / 't.csv'}").train) == 6


X = np.zeros((9, 8, 8), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"time": np.zeros(9)}, "wanted an array 'images' (N, H, W), got 1 array ('time')"),
        ({"images": X, "time": np.zeros(8)}, "wanted one entry of 'time' for each of 9 images, got shape (8,)"),
        ({"images": X, "time": np.array(1.0)}, "wanted one entry of 'time' for each of 9 images, got shape ()"),
        (
            {"images": X, "time": np.where(np.arange(9) == 4, np.inf, 1.0)},
            "entry 4: column 'time' is not a finite number",
        ),
        ({"images": X, "place": np.zeros((9, 2, 2))}, "column 'place': got float64 (9, 2, 2), which is no vector"),
        ({"images": X, "place": np.zeros((9, 0))}, "which is no vector"),
        ({"images": X, "z": np.zeros(9, complex)}, "column 'z': got complex128 (9,), which is no number"),
        ({"images": X, "t": np.zeros(9, "datetime64[s]")}, "which is no number"),
        ({"images": X, "o": np.array([None] * 9)}, "is not an .npz of plain numbers"),
        ({"images": X, "who": np.array(["a"] * 9, object)}, "(array 'who' holds Python objects: save texts as array."),
        ({"images": X, "my time": np.zeros(9)}, ".npz': column 'my time' has no plain name"),
        ({"images": X, "t:category": np.zeros(9)}, "column 't': got float64 (9,), which is no category"),
        ({"images": X, "t:image": np.zeros(9)}, "wanted the images in an array 'images', got a column 't:image'"),
        ({"images": X, "t": np.zeros(9), "t:number": np.zeros(9)}, "two columns are called 't'"),
        (
            {"images": X, "observed": np.ones((9, 8, 7), np.bool_)},
            "wanted bools of shape (9, 8, 8), got bool (9, 8, 7)",
        ),
        ({"images": X, "observed": np.ones((9, 8, 8))}, "wanted bools of shape (9, 8, 8), got float64"),
        ({"images": X, "split": np.array(["train"] * 8 + ["tset"])}, "entry 8: wanted train, validation or test"),
        ({"images": X[0]}, "wanted (N, H, W)"),
        ({"images": X + 0.5}, None),
        ({"images": X - 1.0}, "wanted pixels in [0, 1], got -1 to -1"),
        ({"images": X[:0]}, "wanted images, got none"),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, Any], message: str | None) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    if message is None:
        assert load_set(f"table:{tmp_path / 't.npz'}").columns == ()
        return
    with pytest.raises(UserError) as error:
        load_set(f"table:{tmp_path / 't.npz'}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_arrays_have_a_size_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", images=X)
    with pytest.raises(UserError, match="have a size of their own: leave out size=16"):
        load_set(f"table:{tmp_path / 't.npz'}", size=16)
