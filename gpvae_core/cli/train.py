"""`gpvae train`: train a method on a data set into a run folder, or go on with a stopped run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.options import refuse
from gpvae_core.errors import UserError
from gpvae_core.progress import Cancelled, terminal_progress

if TYPE_CHECKING:
    from gpvae_core.data.base import DataConfig
    from gpvae_core.run_files import EpochMetrics
    from gpvae_core.runs import RunSummary

EXAMPLES = """Train a method on a data set.

Examples:

  gpvae train --method vae --dataset digits --latent-dim 2 --out runs/vae

  gpvae train --method gp --dataset digits --init-from runs/vae --out runs/gp

  gpvae train --method gp --dataset mnist --preset kim2021 --epochs 50 --set encoder.expected_kl=closed_form

  gpvae train --method iaf:4 --decoder-from runs/vae --out runs/iaf

  gpvae train --method mapa:50 --dataset figure-8

  gpvae train --method mapa:50 --dataset digits --set bandwidth=validation

  gpvae train --method mapa:20 --dataset circle --epochs 3 --set recovery_epochs=5 --set encoder_epochs=5

--epochs of mapa are those before prior recovery and the fit of the encoder, which have up to 500 epochs of their own.

  gpvae train --resume runs/gp
"""


def command(
    method: Annotated[str | None, typer.Option(help="What to train: see `gpvae list methods`.  [default: vae]")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set: see `gpvae list datasets`.  [default: digits]")] = None,
    latent_dim: Annotated[int | None, typer.Option(help="Latent dimensions, d.  [default: 2; of points 1]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training images.  [default: 200; of points 500]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of weights, batches and noise.  [default: 0]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the run.  [default: runs/DATASET-METHOD-dD-sSEED]")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, key=value; repeatable. See `gpvae list settings`."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Settings of a paper: kim2021.")] = None,
    init_from: Annotated[Path | None, typer.Option(help="Start from the weights of this trained run.")] = None,
    decoder_from: Annotated[
        Path | None,
        typer.Option(help="Keep decoder and likelihood of this run frozen and train an encoder alone."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this stopped run (only --epochs and --device apply).")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps.  [default: the best there is]")] = None,
) -> None:
    new_run = {
        "--method": method,
        "--dataset": dataset,
        "--latent-dim": latent_dim,
        "--seed": seed,
        "--out": out,
        "--set": set_,
        "--preset": preset,
        "--init-from": init_from,
        "--decoder-from": decoder_from,
    }
    if resume is not None:
        from gpvae_core.training import resume as resume_run

        refuse(new_run, "--resume goes on with the run's own settings")
        _report(lambda **report: resume_run(resume, epochs=epochs, device=device, **report), resume)
        return
    from gpvae_core.settings import parse_settings

    overrides: dict[str, Any] = parse_settings(set_ or [])
    given = {"latent_dim": latent_dim, "train.epochs": epochs, "seed": seed}
    overrides |= {key: value for key, value in given.items() if value is not None}
    _train("vae" if method is None else method, dataset, overrides, preset, init_from, decoder_from, out, device)


def _train(
    method: str,
    dataset: str | None,
    overrides: dict[str, Any],
    preset: str | None,
    init_from: Path | None,
    decoder_from: Path | None,
    out: Path | None,
    device: str | None,
) -> None:
    """Train a new run; a data set that is not named is that of the run whose decoder is kept, else the digits."""
    from gpvae_core.config import make_config
    from gpvae_core.data.base import absolute_name, load
    from gpvae_core.runs import load_run
    from gpvae_core.training import train

    origin = load_run(decoder_from, device="cpu") if decoder_from else None
    kept = origin.config if origin else None
    name = dataset if dataset is not None else kept.data.name if kept else "digits"
    data_config = _data_config(absolute_name(name), overrides, kept.data if kept else None)
    data = load(data_config)
    if data.note:
        typer.echo(f"{name}: {data.note}", err=True)
    if origin is not None and data.event_shape != origin.model.event_shape:
        raise UserError(
            f"the decoder of '{decoder_from}' makes images of shape {origin.model.event_shape}: wanted a data set of "
            f"such images, got '{name}' with {data.event_shape}"
        )
    config = make_config(method, data_config, data.event_shape, overrides, preset, kept)
    start = (str(init_from), load_run(init_from, device="cpu").model) if init_from else None
    target = out or free_folder(Path("runs"), f"{_short(name)}-{config.method}-d{config.latent_dim}-s{config.seed}")
    if config.inference.finishes:
        typer.echo(
            "after training follow prior recovery and the fit of the encoder: up to 500 epochs each, or as set by "
            "recovery_epochs and encoder_epochs",
            err=True,
        )
    origins = {"init_from": start, "decoder_from": (str(decoder_from), origin.model) if origin else None}
    _report(lambda **report: train(config, target, device=device, data=data, **origins, **report), target)


def _data_config(name: str, overrides: dict[str, Any], given: DataConfig | None) -> DataConfig:
    """Take the data settings out of the overrides, as they decide how the data are loaded.

    Where they are `given` by the run whose decoder is kept, and of the same data set, they are the defaults.
    """
    from gpvae_core.data.base import DataConfig
    from gpvae_core.part import parse_model

    fields = set(DataConfig.model_fields) - {"name"}
    chosen = {key: overrides.pop(key) for key in list(overrides) if key.removeprefix("data.") in fields}
    defaults = given.model_dump() if given is not None and given.name == name else {"name": name}
    return parse_model(DataConfig, {**defaults, **{key.removeprefix("data."): v for key, v in chosen.items()}})


def _short(dataset: str) -> str:
    """Return 'images-pets' of 'images:/a/path/pets.zip'."""
    head, _, path = dataset.partition(":")
    return f"{head}-{Path(path).stem}" if path else head


def free_folder(root: Path, stem: str) -> Path:
    """`root/stem`, or the first of stem-2, stem-3, ... that is not there yet."""
    number = 1
    while (root / (stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return root / (stem if number == 1 else f"{stem}-{number}")


def _report(run: Any, folder: Path) -> None:
    """Train with a bar, then say where the run is and how good; after a stop, how to go on."""
    try:
        with terminal_progress() as progress:
            run(progress=progress)
    except (Cancelled, KeyboardInterrupt):
        typer.echo(f"stopped; go on with: gpvae train --resume {folder}", err=True)
        raise
    from gpvae_core.run_files import read_metrics
    from gpvae_core.runs import summarize

    rows = read_metrics(folder / "metrics.jsonl")
    if not rows:
        typer.echo(f"{folder}: trained before; its metrics.jsonl is missing or empty")
        return
    epochs = rows[-1]["epoch"]
    best = max(rows, key=lambda row: row["validation_elbo"])
    summary = summarize(folder)
    typer.echo(
        f"{folder}: {epochs} epoch{'' if epochs == 1 else 's'} in {sum_seconds(rows):.0f} s; best {summary.score_name} "
        f"{best['validation_elbo']:.1f} nats in epoch {best['epoch']}{_of_finished(summary)}"
    )


def _of_finished(summary: RunSummary) -> str:
    """Return the finished model's score, where the best weights were chosen by another."""
    if summary.best_elbo == summary.score or summary.best_elbo is None:
        return ""
    return f"; finished model: validation ELBO {summary.best_elbo:.1f} nats"


def sum_seconds(rows: Sequence[EpochMetrics]) -> float:
    """Return the training time so far; each row holds the time since the start."""
    return float(rows[-1]["seconds"])
