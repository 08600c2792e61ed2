"""`gpvae evaluate RUN` of a run that models images given their columns: images at columns of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from gpvae_core.cli.output import announced, put_json, say
from gpvae_core.cli.table import show
from gpvae_core.formatting import number, rounded
from gpvae_core.progress import terminal_progress
from gpvae_core.terminal import printable

LONG_WORK = 300_000
"""Number of decoded images from which on an evaluation is said to be long."""

if TYPE_CHECKING:
    from gpvae_core.evaluation.as_published import AsPublished
    from gpvae_core.evaluation.conditional import ConditionalEvaluation
    from gpvae_core.evaluation.instances import InstanceMeasures
    from gpvae_core.evaluation.mean import Mean
    from gpvae_core.evaluation.settings import HeldOutName
    from gpvae_core.runs import Run


def evaluate_at_columns(
    run: Run,
    split: HeldOutName,
    k: int,
    seed: int,
    instances: int | None,
    published: bool,
    hide: str,
    remarks: Sequence[str],
    json_: bool,
    out: Path | None,
) -> None:
    """Evaluate a run that models images given their columns, and print the result as a table or as JSON."""
    from gpvae_core.evaluation.conditional import evaluate_conditional

    count = len({"test": run.data.test, "validation": run.data.validation}[split])
    with terminal_progress() as progress:
        told = announced(progress, [*remarks, *_long_work(count, k)])
        result = evaluate_conditional(run, split, k, seed, told, instances, published, hide)
    if not put_json(result.to_json(), json_, out):
        _print(result)
        for line in constraint_lines(run.dir):
            say(line)


def constraint_lines(folder: Path) -> list[str]:
    """Return the line that says that the constraint of a run's training was not met; none where it was."""
    from gpvae_core.inference.gp_prior.constraint import unmet_constraint
    from gpvae_core.run_files import read_metrics

    rows = [dict(row) for row in read_metrics(folder / "metrics.jsonl") if "multiplier" in row]
    words = unmet_constraint(*([row[name] for row in rows] for name in ("epoch", "constraint", "multiplier")))
    return [words] if words else []


def _long_work(images: int, k: int) -> list[str]:
    """Return the line that says what would make a long evaluation shorter; none of a short one."""
    if images * k < LONG_WORK or k == 1:
        return []
    return [f"{k:,} samples of each of {images:,} images are decoded, which can take minutes: fewer are faster (--k)"]


def _print(result: ConditionalEvaluation) -> None:
    table = Table(title=escape(printable(f"{result.run} on {result.dataset} ({result.split})")))
    for column in ("quantity", "mean", "standard error", "n", "unit"):
        table.add_column(column, justify="left" if column in ("quantity", "unit") else "right")
    view = "training view" if result.hidden is None else "frame given"
    rows = {
        "mse, mean decoded": (result.mse, "pixel²"),
        "mse, sample decoded": (result.mse_sample, "pixel²"),
        f"nlpd, {result.k} sample{'s' * (result.k != 1)}": (result.nlpd, "nats"),
        f"coverage of 95 % intervals, {result.k} sample{'s' * (result.k != 1)}": (result.coverage, ""),
        "mse of the mean training image": (result.yardsticks.mean_image, "pixel²"),
        f"mse of the nearest {view}": (result.yardsticks.nearest_view, "pixel²"),
        "mse of that view, rotated": (result.yardsticks.nearest_view_rotated, "pixel²"),
    }
    for name, (mean, unit) in (rows | _published(result.as_published) | _instances(result.instances)).items():
        if mean is not None and mean.n:
            table.add_row(name, rounded(mean.mean, 4), number(mean.se), str(mean.n), unit)
    show(table)
    scored = "" if result.hidden is None else f": {result.hidden} of each is hidden, and scored"
    say(f"images of the {result.split} split at their columns, given {result.given}{scored}")
    if result.independent is not None:
        if result.mse.se is None:
            say(f"there are no standard errors, as the images are of {result.independent} alone")
        else:
            say(f"standard errors take {result.independent} as independent of one another, not their images")
    if result.unpredicted is not None:
        say(
            f"{result.unpredicted} of these images are of a category without a training image: nothing was learned of "
            "it, and their predictions rest on no image"
        )
    say(f"weights of epoch {result.best_epoch}, the best by the {result.chosen_by}")
    if result.training.seconds_per_epoch is not None:
        memory = result.training.peak_memory
        peak = f"; its peak memory was {memory / 1e6:,.0f} MB" if memory is not None else ""
        say(f"the training passes of an epoch took {number(result.training.seconds_per_epoch)} s{peak}")
    for name, parameter in (result.kernel or {}).items():
        fixed = "" if parameter.learned else " (fixed)"
        say(f"kernel: {name} = {number(parameter.value)} {parameter.unit or ''}".rstrip() + fixed)
    if result.instances is not None:
        for line in _remarks(result.instances):
            say(line)
    if result.unscored is not None:
        say(f"{result.unscored} missing frames are predicted, but have no pixel to be scored (gpvae impute shows them)")
    if result.context is not None:
        say(f"{result.context} images that predictions are given are not scored")
    if result.path_rmse is not None:
        say(f"latents after one affine fit to the known path: RMSE {number(result.path_rmse)} in units of the path")
    if result.yardsticks.nearest_view_rotated is not None:
        say("the rotated view knows that the column is an angle of the picture, which no model is told")


def _published(result: AsPublished | None) -> dict[str, tuple[Mean | None, str]]:
    if result is None:
        return {}
    return {f"mse, {result.decoded} decoded, epoch {result.epoch} ({result.label})": (result.mse, "pixel²")}


def _instances(result: InstanceMeasures | None) -> dict[str, tuple[Mean | None, str]]:
    """Return the rows of what was measured instance by instance."""
    rows: dict[str, tuple[Mean | None, str]] = {}
    if result is None:
        return rows
    if result.views is not None:
        rows["effective number of views behind a prediction"] = result.views.effective, "count"
        rows["largest share of a view"] = result.views.largest, ""
    if result.pseudo_gap is not None:
        rows[f"gap of the pseudo-observations of a {result.pseudo_gap.of}"] = result.pseudo_gap.gap, "nats"
        rows["the image's own part of that gap"] = result.pseudo_gap.own, "nats"
    if result.batch_bias is not None:
        bias = result.batch_bias
        rows[f"KL of q(z) by batches of {bias.batch_size} from q(z) by all"] = bias.kl, "nats"
        rows["standard deviation of that KL over batches"] = bias.spread, "nats"
        rows["distance of the mean over batches from the mean by all"] = bias.bias, "sd"
        rows["that distance by chance alone"] = bias.bias_by_chance, "sd"
    return rows


def _remarks(result: InstanceMeasures) -> list[str]:
    """Return what is said of the measures."""
    lines = []
    if result.views is None:
        lines.append("no views and no gap: the method has no pseudo-observations")
    elif result.pseudo_gap is None:
        lines.append("no gap of single images: the method has no inducing points")
    if result.pseudo_gap is not None:
        error = math.sqrt(sum(e * e for e in result.pseudo_gap.errors) / len(result.pseudo_gap.errors))
        lines.append(
            f"each gap is at least that large: the search may end below the best bound; its Monte Carlo error is "
            f"{number(error)} nats (root mean square), and measuring all took {number(result.pseudo_gap.seconds)} s"
        )
    return lines
