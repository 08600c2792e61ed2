"""`gpvae data`: list, fetch and verify data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.group import group
from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import JsonFile, check_files, put_json, say
from gpvae_core.cli.table import print_table
from gpvae_core.errors import UserError, unknown
from gpvae_core.progress import terminal_progress

if TYPE_CHECKING:
    from gpvae_core.data.base import DataConfig, Source

app = group("List, fetch and verify data sets.\n\nExample: gpvae data list")
_Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Data sets: see `gpvae data list`.")]
_Json = Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")]
_AVAILABLE = {True: "yes", False: "no", None: "your own"}


@app.command("list")
def list_command(json_: _Json = False, out: JsonFile = None) -> None:
    """List the data sets: the shape of an image, whether the files are present, auxiliary columns, and a summary.

    The columns of table:PATH are those of its header, in which name:role says a column's role: time:number,
    angle:number(period=360 unit=degrees), object:category, position:vector, frame:image (the image's path), part:split
    (train, validation or test), comment:skip. Roles that it does not say are guessed, which the data set's note tells.
    An empty path is a missing frame, and a wholly transparent pixel a missing one.

    Example: gpvae data list --json
    """
    from gpvae_core.data.base import DATASETS

    check_files(out)
    rows = [_row(name, DATASETS.get(name), summary) for name, summary in DATASETS.summaries().items()]
    if not put_json(rows, json_, out):
        print_table([_shown(row) for row in rows])


def _row(name: str, source: type[Source], summary: str) -> dict[str, Any]:
    return {
        "name": f"{name}:{source.takes}" if source.takes_path else name,
        "argument": source.takes,
        "shape": source.shape,
        "available": source.present(),
        "columns": dict(source.columns),
        "summary": summary,
    }


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of the printed table."""
    name, argument = row["name"], row["argument"]
    return {
        "name": name if row["available"] is None or not argument else f"{name}[:{argument}]",
        "shape": _shape(row["shape"]),
        "available": _available(row["available"]),
        "columns": ", ".join(row["columns"]),
        "summary": row["summary"],
    }


def _available(present: bool | str | None) -> str:
    """Return the entry of the column; a text describes a part of the files that is present."""
    return present if isinstance(present, str) else _AVAILABLE[present]


def _shape(shape: tuple[int, ...] | None) -> str:
    return "x".join(map(str, shape)) if shape else ""


@app.command("fetch")
def fetch_command(
    names: _Names,
    mirror: Annotated[str | None, typer.Option(help="URL of another web folder with the same files.")] = None,
) -> None:
    """Download data sets and verify their checksums. Files that are present and correct are kept.

    They are written to the folder GPVAE_DATA_DIR if it is set and writable, otherwise to the user's cache.

    Example: gpvae data fetch mnist omniglot
    """
    from gpvae_core.data.base import parse_name, source_of
    from gpvae_core.data.downloads import DOWNLOADS, fetch

    for name in names:
        source = source_of(_config(name))
        head, _ = parse_name(name)
        if head in DOWNLOADS:
            with terminal_progress() as progress:
                paths = fetch(head, progress, mirror)
            say(f"{head}: {len(paths)} files in {paths[0].parent}")
        elif source.takes_path:
            say(f"{name}: nothing to fetch, the path is your own")
        elif source.present():
            say(f"{name}: nothing to fetch, it is already there")
        else:
            raise UserError(f"'{name}' cannot be fetched freely: {source.by_hand}")


@app.command("verify")
def verify_command(names: _Names, json_: _Json = False, out: JsonFile = None) -> None:
    """Verify the files' checksums, decode every image, and print the counts and the fingerprint.

    Example: gpvae data verify digits images:my-pictures.zip
    """
    check_files(out)
    rows = []
    for name in names:
        rows.append(_verify(name))
        if not json_:
            say(_sentence(rows[-1]))
    put_json(rows, json_, out)


def _verify(name: str) -> dict[str, Any]:
    from gpvae_core.data.base import load, parse_name, source_of
    from gpvae_core.data.downloads import verify

    config = _config(name)
    source_of(config)  # so that an unknown name is reported before a damaged file
    checksums = verify(parse_name(name)[0])
    data = load(config)
    return {
        "name": name,
        "shape": data.event_shape,
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
        "classes": len(data.class_names),
        "columns": {column.name: column.role for column in data.columns},
        "checksums": {path.name: checksum for path, checksum in checksums},
        "fingerprint": data.fingerprint,
        "note": data.note,
    }


@app.command("surrogates")
def surrogates_command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Synthetic data sets.  [default: all with a surrogate]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=given_path, help="Folder for the weights.  [default: the installed ones, which changes the data]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the first restart.")] = 0,
) -> None:
    """Refit the networks that replace the true decoders of the synthetic data, and print the error of each.

    On another machine or release of PyTorch the weights differ slightly, and with them the points: runs trained on the
    former points then refuse to load their data. Give --out to keep the installed weights.

    Example: gpvae data surrogates circle --out /tmp/surrogates
    """
    from gpvae_core.data.synthetic.examples import CURVES
    from gpvae_core.data.synthetic.fit import fit_surrogate
    from gpvae_core.data.synthetic.surrogate import MAX_MSE, WEIGHTS, save_surrogate, weights_file
    from gpvae_core.files import check_file

    selected = list(dict.fromkeys(names or CURVES))
    for name in selected:
        if name not in CURVES:
            raise unknown("surrogate", name, CURVES)
    folder = out or WEIGHTS
    for name in selected:
        check_file(weights_file(name, folder), makes_folders=True)
    for name in selected:
        with terminal_progress() as progress:
            fit = fit_surrogate(name, CURVES[name], seed, progress)
        path = save_surrogate(fit.net, name, folder)
        say(
            f"{name}: mean squared error {fit.mse:.2g} (wanted below {MAX_MSE:g}), at most {fit.largest:.2g} from the "
            f"curve, seed {fit.seed}: {path}"
        )


def _config(name: str) -> DataConfig:
    from gpvae_core.data.base import DataConfig

    return DataConfig(name=name)  # pyright: ignore[reportCallIssue]


def _sentence(row: dict[str, Any]) -> str:
    sums = f"; {len(row['checksums'])} files have their published checksums" if row["checksums"] else ""
    columns = f"; columns: {', '.join(f'{name} ({role})' for name, role in row['columns'].items())}"
    note = f"; note: {row['note']}" if row["note"] else ""
    return (
        f"{row['name']}: {row['train']} training, {row['validation']} validation and {row['test']} test images of "
        f"{_shape(row['shape'])} in {row['classes']} classes{columns if row['columns'] else ''}{sums}; "
        f"fingerprint {row['fingerprint']}{note}"
    )
