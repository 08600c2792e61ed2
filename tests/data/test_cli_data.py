"""`gpvae data list|fetch|verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpvae_core.cli.main import main
from gpvae_core.data.base import DATASETS
from gpvae_core.data.downloads import DOWNLOADS
from tests.data.makers import Digits, drawings, load_set, write_mnist, write_zip

Streams = pytest.CaptureFixture[str]


def run(capsys: Streams, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)"""
    with pytest.raises(SystemExit) as stop:
        main(["data", *arguments])
    streams = capsys.readouterr()
    return int(str(stop.value.code)), streams.out, streams.err


def test_list(home: Path, digits: Digits, capsys: Streams) -> None:
    write_mnist(home, digits)
    code, out, err = run(capsys, "list", "--json")
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)}
    known = {"digits", "mnist", "omniglot", "cifar10", "svhn", "celeba", "images:PATH", "array:PATH"}
    assert known <= set(rows)
    assert rows["celeba"] == {
        "name": "celeba",
        "argument": "",
        "shape": [3, 64, 64],
        "available": False,
        "columns": {},
        "summary": rows["celeba"]["summary"],
    }
    assert {name for name, row in rows.items() if row["available"] is True} == {"digits", "mnist", "rotated-mnist"}
    assert rows["rotated-mnist"]["argument"] == "DIGITS"
    assert rows["moving-ball"]["columns"] == {"time": "number", "video": "category", "position": "vector"}
    assert rows["images:PATH"]["available"] is None
    assert all(row["summary"].endswith(".") and "\n" not in row["summary"] for row in rows.values())
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "3x64x64" in out
    assert "[:DIGITS]" in out
    assert "your own" in out


def test_verify(capsys: Streams) -> None:
    code, out, err = run(capsys, "verify", "digits", "--json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    data = load_set("digits")
    assert row == {
        "name": "digits",
        "shape": [1, 8, 8],
        "train": 1294,
        "validation": 144,
        "test": 359,
        "classes": 10,
        "columns": {},
        "checksums": {},
        "fingerprint": data.fingerprint,
        "note": "",
    }
    code, out, _ = run(capsys, "verify", "digits")
    assert "1294 training, 144 validation and 359 test images of 1x8x8 in 10 classes" in out
    assert out.endswith(f"fingerprint {data.fingerprint}\n")


def test_verify_names_the_columns(capsys: Streams) -> None:
    out = run(capsys, "verify", "moving-ball")[1]
    assert "in 1 classes; columns: time (number), video (category), position (vector); fingerprint" in out


def test_verify_refuses_other_sums(home: Path, digits: Digits, capsys: Streams) -> None:
    # Readable, but not the published MNIST.
    write_mnist(home, digits)
    code, out, err = run(capsys, "verify", "mnist")
    assert (code, out) == (2, "")
    assert "is damaged or another file" in err
    assert "gpvae data fetch mnist" in err
    assert err.count("\n") == 1


def test_verify_real_mnist(data_dir: Path, capsys: Streams) -> None:
    if not (data_dir / "mnist").is_dir():
        pytest.skip("no mnist in GPVAE_DATA_DIR")
    code, out, _ = run(capsys, "verify", "mnist", "--json")
    assert code == 0
    assert len(json.loads(out)[0]["checksums"]) == 4


def test_verify_decodes_every_image(tmp_path: Path, capsys: Streams) -> None:
    path = write_zip(tmp_path / "set.zip", {f"a/{i}.png": b"broken" for i in range(9)})
    code, out, err = run(capsys, "verify", f"images:{path}")
    assert (code, out) == (2, "")
    assert "is not a picture that can be read" in err


def test_a_subset_is_called_one(home: Path, digits: Digits, capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        root = f"images_background_small{number}"
        write_zip(home / f"{root}.zip", drawings(digits, root, {"Greek": 5}))
    assert '"available": "subset (small1+small2)"' in run(capsys, "list", "--json")[1]
    monkeypatch.setenv("COLUMNS", "200")
    assert "subset (small1+small2)" in run(capsys, "list")[1]
    assert load_set("omniglot").note.startswith("a subset, the two small background zips, not the published ")
    monkeypatch.setitem(DOWNLOADS, "omniglot", ())
    assert "; note: a subset, the two small background zips, not the published" in run(capsys, "verify", "omniglot")[1]
    for number, name in enumerate(("images_background", "images_evaluation")):
        write_zip(home / f"{name}.zip", drawings(digits, name, {"Latin": 5}, start=10 * number))
    assert DATASETS.get("omniglot").present() is True
    assert load_set("omniglot").note == ""


def test_no_command_shows_the_help_alone(capsys: Streams) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (2, "")
    assert "Example: gpvae data list" in out


def test_fetch_of_what_needs_no_download(home: Path, capsys: Streams) -> None:
    assert run(capsys, "fetch", "digits")[:2] == (0, "digits: nothing to fetch, it is already there\n")
    assert run(capsys, "fetch", "images:here")[:2] == (0, "images:here: nothing to fetch, the path is your own\n")
    code, out, err = run(capsys, "fetch", "celeba")
    assert (code, out) == (2, "")
    assert "cannot be fetched freely: get img_align_celeba.zip" in err


@pytest.mark.parametrize("command", ["fetch", "verify"])
def test_unknown_names(command: str, capsys: Streams) -> None:
    code, out, err = run(capsys, command, "mnst")
    assert (code, out) == (2, "")
    assert "unknown dataset 'mnst'; did you mean 'mnist'?" in err
    code, out, err = run(capsys, command, "mnist:foo")
    assert (code, out) == (2, "")
    assert "data set 'mnist' takes no path, got 'mnist:foo'" in err


@pytest.mark.parametrize("command", ["list", "fetch", "verify"])
def test_help_has_an_example(command: str, capsys: Streams) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: gpvae data {command}" in out
