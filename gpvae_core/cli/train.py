"""`gpvae train`: train a method on a data set into a run folder, or resume a stopped run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpvae_core.cli.options import given_path, refuse
from gpvae_core.cli.output import announced, say
from gpvae_core.errors import UserError
from gpvae_core.formatting import number
from gpvae_core.progress import Cancelled, Progress, terminal_progress

if TYPE_CHECKING:
    from gpvae_core.run_records import EpochMetrics
    from gpvae_core.run_summaries import RunSummary
    from gpvae_core.training_plan import TrainingPlan

DIVERGED = -1e5
"""Nats a pixel: no model that has learned anything has so low a bound, whatever its likelihood."""

EXAMPLES = """Train a method on a data set.

Examples:

  gpvae train --method vae --dataset digits --latent-dim 2 --out runs/vae

  gpvae train --method gp --dataset digits --init-from runs/vae --out runs/gp

  gpvae train --method gp --dataset mnist --preset kim2021 --epochs 50 --set encoder.expected_kl=closed_form

  gpvae train --method iaf:4 --decoder-from runs/vae --out runs/iaf

  gpvae train --method mapa:50 --dataset figure-8

  gpvae train --method mapa:50 --dataset digits --set bandwidth=validation

  gpvae train --method mapa:20 --dataset circle --epochs 3 --set recovery_epochs=5 --set encoder_epochs=5

  gpvae train --method svgp:15 --dataset moving-ball

  gpvae train --method svgp:8 --dataset table:frames.csv --set "prior.kernel=rbf(time)" --set prior.group=video

  gpvae train --method svgp:32 --dataset rotated-mnist --set "prior.kernel=periodic(angle) * linear(object)"

  gpvae train --resume runs/gp

For mapa, --epochs does not include prior recovery and the fit of the encoder, which take up to 500 epochs each.
"""


def command(
    method: Annotated[str | None, typer.Option(help="Method: see `gpvae list methods`.  [default: vae]")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set: see `gpvae list datasets`.  [default: digits]")] = None,
    latent_dim: Annotated[
        int | None, typer.Option(help="Number of latent dimensions, d.  [default: 2; for points 1]")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training images.  [default: 200; for points 500]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of weights, batches and noise.  [default: 0]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=given_path, help="New folder for the run.  [default: runs/DATASET-METHOD-dD-sSEED]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, key=value; repeatable. See `gpvae list settings`."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Name of a paper's settings: kim2021.")] = None,
    init_from: Annotated[
        Path | None, typer.Option(parser=given_path, help="Trained run whose weights initialize this one.")
    ] = None,
    decoder_from: Annotated[
        Path | None,
        typer.Option(
            parser=given_path,
            help="Trained run whose decoder and likelihood are kept frozen; only an encoder is trained.",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(parser=given_path, help="Stopped run to resume (only --epochs and --device apply).")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Compute on cpu, cuda, cuda:1 or mps.  [default: the fastest available]")
    ] = None,
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
        before = _epochs_if_finished(resume)
        _report(lambda progress: resume_run(resume, epochs=epochs, device=device, progress=progress), resume, before)
        return
    from gpvae_core.settings import parse_settings
    from gpvae_core.training_plan import plan_training

    overrides: dict[str, Any] = parse_settings(set_ or [])
    given = {"latent_dim": latent_dim, "train.epochs": epochs, "seed": seed}
    overrides |= {key: value for key, value in given.items() if value is not None}
    plan = plan_training(method, dataset, overrides, preset, init_from, decoder_from, out)
    lines = _remarks(plan)
    _report(lambda progress: plan.train(device, announced(progress, lines)), plan.folder)


def _remarks(plan: TrainingPlan) -> list[str]:
    """Return a line on each thing that one should know of a training that begins."""
    from gpvae_core.run_summaries import summarize

    sources = [source.dir for source in (plan.init_from, plan.decoder_from) if source is not None]
    partial = [(folder, summarize(folder).partial) for folder in sources]
    lines = [f"'{folder}' is {how}: its training has not ended" for folder, how in partial if how]
    if plan.data.note:
        lines.append(f"{plan.data.name}: {plan.data.note}")
    lines += plan.config.inference.remarks(plan.config.prior, plan.data)
    if plan.config.inference.finishes:
        lines.append(
            "training is followed by prior recovery and the fit of the encoder: up to 500 epochs each, or as set by "
            "recovery_epochs and encoder_epochs"
        )
    return lines


def _epochs_if_finished(folder: Path) -> int | None:
    """Return the epochs of a run that is finished; None for any other, damaged ones included."""
    from gpvae_core.run_summaries import summarize

    try:
        summary = summarize(folder)
    except UserError:
        return None  # resuming tells what is wrong
    return summary.epochs if summary.finished else None


def _report(run: Callable[[Progress], Path], folder: Path, before: int | None = None) -> None:
    """Train with a bar, then print the run's folder and best score; if stopped, the command that resumes it.

    Args:
        before: epochs of a run that was finished before.
    """
    try:
        with terminal_progress() as progress:
            run(progress)
    except (Cancelled, KeyboardInterrupt):
        say(f"stopped; go on with: gpvae train --resume {folder}", err=True)
        raise
    from gpvae_core.run_files import read_metrics
    from gpvae_core.run_summaries import summarize

    rows = read_metrics(folder / "metrics.jsonl")
    if not rows:
        say(f"{folder}: trained before; its metrics.jsonl is missing or empty")
        return
    epochs = rows[-1]["epoch"]
    best = max(rows, key=lambda row: row["validation_elbo"])
    summary = summarize(folder)
    trained = f"{epochs} epoch{'' if epochs == 1 else 's'} in {sum_seconds(rows):.0f} s"
    if summary.epochs == before:
        trained = f"already finished, nothing was trained ({trained}; a larger --epochs trains it longer)"
    say(
        f"{folder}: {trained}; best {summary.score_name} "
        f"{best['validation_elbo']:.1f} nats in epoch {best['epoch']}{_finished_score(summary)}"
    )
    from gpvae_core.cli.evaluate_conditional import constraint_lines

    for line in [*constraint_lines(folder), *_sign_of_divergence(folder, rows[-1])]:
        say(line)


def _sign_of_divergence(folder: Path, last: EpochMetrics) -> list[str]:
    """Return a line where the bounds of the last epoch are so low that no model that has learned anything has them."""
    from gpvae_core.run_files import read_record
    from gpvae_core.run_records import RunMetadata

    pixels = math.prod(read_record(folder / "meta.json", RunMetadata).event_shape)
    lowest = min(last["train_bound"], last["validation_elbo"])
    if lowest >= DIVERGED * pixels:
        return []
    return [
        f"the last epoch ended with a bound of {number(lowest)} nats an image: training diverged; try a smaller "
        "learning rate (--set lr=...)"
    ]


def _finished_score(summary: RunSummary) -> str:
    """Return the finished model's ELBO as text, if the best weights were chosen by another score."""
    if summary.best_elbo == summary.score or summary.best_elbo is None:
        return ""
    return f"; finished model: validation ELBO {summary.best_elbo:.1f} nats"


def sum_seconds(rows: Sequence[EpochMetrics]) -> float:
    """Return the wall time of training, in seconds: each row holds the time since the start."""
    return float(rows[-1]["seconds"])
