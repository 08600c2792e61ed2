"""`gpvae predict` and `gpvae impute`: images that a run predicts at columns, written as an .npz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpvae_core.cli.options import given_path
from gpvae_core.cli.output import say
from gpvae_core.errors import UserError
from gpvae_core.files import check_file, replacing
from gpvae_core.part import MOST_SAMPLES
from gpvae_core.progress import terminal_note, terminal_progress

if TYPE_CHECKING:
    import numpy as np

    from gpvae_core.evaluation.prediction import PartName, Prediction

_Run = Annotated[Path, typer.Argument(parser=given_path, help="Folder of a trained run with a GP prior, or of cvae.")]
_Out = Annotated[Path, typer.Option("--out", metavar="FILE", parser=given_path, help="New file, FILE.npz.")]
_K = Annotated[
    int, typer.Option(min=2, max=MOST_SAMPLES, help="Number of samples for the standard deviations of pixels.")
]
_Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the samples.")]
_Device = Annotated[str | None, typer.Option(help="Compute on cpu, cuda or mps.  [default: the fastest available]")]


def predict_command(
    run: _Run,
    at: Annotated[
        Path,
        typer.Option("--at", metavar="TABLE", parser=given_path, help="Table (.csv or .parquet) with a row for each."),
    ],
    out: _Out,
    k: _K = 100,
    seed: _Seed = 0,
    device: _Device = None,
) -> None:
    """Predict images and latents at auxiliary data, such as times without an image, with their uncertainty.

    The table has a header and the columns that the run's kernel takes, and that of its groups if it has them (with
    cvae, those of the condition and the identity); other columns are not used. Predictions are given all images of the
    run's data set, or those of the same group or identity.

    The file has arrays images (N, C, H, W), the decoded mean of the latents; std, the standard deviation of each pixel
    with its noise; latents (N, D) and latent_variances (N, D); rests_on_none (N,), true where a row is of a category
    of which nothing was learned.

    Example: gpvae predict runs/mine --at times.csv --out at-times.npz
    """
    _check_new(out)
    with terminal_note(f"loading '{run}'"):  # which imports torch first
        from gpvae_core.evaluation.prediction import columns_used, predict
        from gpvae_core.runs import load_run

        loaded = load_run(run, device=device)
        columns = _columns(at, {column.name: column.role for column in columns_used(loaded)})
    with terminal_progress() as progress:
        found = predict(loaded, columns, k, seed, progress)
    _write(out, _arrays(found))
    say(f"{out}: {len(found.images)} images predicted at the rows of {at}")
    _say_what_rests_on_none(found, f"rows of {at}")


def impute_command(
    run: _Run,
    out: _Out,
    split: Annotated[str, typer.Option(help="Images to fill in: train, validation or test.")] = "test",
    k: _K = 100,
    seed: _Seed = 0,
    device: _Device = None,
) -> None:
    """Fill in the missing pixels and missing frames of a split, with their uncertainty.

    With a GP prior an image's latent follows from its own observed pixels and other images; with cvae from its own
    observed pixels alone, and of a missing frame from the images of the same identity.

    The file has the arrays of `gpvae predict`, but images with observed pixels as they are, and std 0 there; an array
    observed (N, H, W); and column_NAME for each auxiliary column, a category by its names. Images stand in the split's
    order.

    Example: gpvae impute runs/mine --split train --out filled.npz
    """
    _check_new(out)
    with terminal_note(f"loading '{run}'"):  # which imports torch first
        import numpy as np

        from gpvae_core.evaluation.prediction import impute
        from gpvae_core.runs import load_run

        loaded = load_run(run, device=device)
        data = loaded.data
    part = {"train": data.train, "validation": data.validation, "test": data.test}.get(split)
    if part is not None and part.auxiliary is not None and part.observed is None:
        raise UserError(f"there is nothing to fill in: no pixel of the {split} images of '{loaded.name}' is missing")
    with terminal_progress() as progress:
        found = impute(loaded, _part(split), k, seed, progress)
    assert part is not None
    assert part.auxiliary is not None
    columns = {
        f"column_{column.name}": np.array(column.names)[part.auxiliary[column.name]]
        if column.role == "category"
        else part.auxiliary[column.name]
        for column in part.auxiliary.columns
    }
    own = {"images": found.images, "std": found.std, "observed": found.observed}
    _write(out, {**columns, **_arrays(found.prediction), **own})
    frames, share = int((~found.observed.any((1, 2))).sum()), float((~found.observed).mean())
    say(f"{out}: {len(found.images)} images; {frames} missing frames and {share:.1%} of all pixels are filled in")
    _say_what_rests_on_none(found.prediction, "images")


def _part(name: str) -> PartName:
    """Return the name of a split as its type; `impute` refuses another."""
    return name  # pyright: ignore[reportReturnType]


def _check_new(path: Path) -> None:
    """Raise UserError unless the path is that of a new .npz file that can be written."""
    if path.suffix.lower() != ".npz":
        raise UserError(f"wanted --out FILE.npz, got '{path}'")
    if path.exists():
        raise UserError(f"'{path}' exists already: choose another file (--out)")
    check_file(path)


def _columns(path: Path, roles: dict[str, str]) -> dict[str, np.ndarray]:
    """Return these columns of a table by name; roles are those in the run's data. Others are left out.

    Raises:
        UserError: the table cannot be read, two columns have one name, or a cell does not suit its column's role.
    """
    from gpvae_core.data.table import CELLS
    from gpvae_core.data.table_columns import ColumnHeading, parse_headings, values_of

    if path.suffix.lower() not in CELLS:
        raise UserError(f"'{path}': wanted a table, which ends in {' or '.join(CELLS)}")
    cells = CELLS[path.suffix.lower()](path)
    headings = parse_headings(cells.header, f"'{path}', row 1")
    return {
        heading.name: values_of(ColumnHeading(heading.name, roles[heading.name]), cells.column(place), cells.where)
        for place, heading in enumerate(headings)
        if heading.name in roles
    }


def _arrays(found: Prediction) -> dict[str, np.ndarray]:
    """Return the arrays of a prediction by the names that they have in a file."""
    return {
        "images": found.images,
        "std": found.std,
        "latents": found.latents,
        "latent_variances": found.latent_variances,
        "rests_on_none": found.rests_on_none,
    }


def _say_what_rests_on_none(found: Prediction, rows: str) -> None:
    if count := int(found.rests_on_none.sum()):
        say(
            f"{count} of these {rows} are of a category without an image to learn from: what is predicted of them "
            "rests on none (rests_on_none in the file)"
        )


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import numpy as np

    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
