"""The learned length scale over training (Jazbec et al. 2021, Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.data.moving_ball import true_length_scale
from gpvae_core.evaluation.kernel_parameters import length_unit
from gpvae_core.figures.base import FIGURES, SpreadFigure
from gpvae_core.figures.runs import RunOnDisk, grouped, spread
from gpvae_core.plots.spread_curves import Level, SpreadCurve, SpreadPanel, SpreadView
from gpvae_core.progress import Progress
from gpvae_core.run_files import read_record
from gpvae_core.run_records import RunMetadata

FEW_EPOCHS = 12
"""Epochs of which each has its number at the axis."""
MOST_EPOCHS = 400
"""Epochs of a curve that are drawn: of more, evenly spaced ones."""
TITLE = "learned length scale; mean ± standard deviation over seeds"
PREFIX, SUFFIX = "kernel.", ".length_scale"


@FIGURES.register("length-scale")
class LengthScaleOverTraining(SpreadFigure):
    """Learned length scale of the kernel over epochs for each m, beside the true one where it is known (Fig. 3)."""

    def lacking(self, run: RunOnDisk) -> str:
        if _keys(run):
            return ""
        return (
            f"run '{run.name}' has no learned length scale in its metrics: wanted a run with a GP prior that learns "
            'one, as with --set prior.kernel="rbf(time, learn=length_scale)"'
        )

    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> SpreadView:
        scales = {run.path: _scales(run) for run in runs}
        kernels = list(dict.fromkeys(name for found in scales.values() for name in found))
        several = len(kernels) > 1
        curves = []
        for group in grouped(runs):
            for kernel in kernels:
                members = [run for run in group.runs if kernel in scales[run.path]]
                if members:
                    name = f"{group.name}, {kernel}" if several else group.name
                    curves.append(_curve(name, [scales[run.path][kernel] for run in members]))
        true = {true_length_scale(run.config.data.name) for run in runs}
        levels = [Level(f"true length scale, {scale:g}", scale) for scale in true if scale and len(true) == 1]
        unit = unit_of_scales(runs)
        panel = SpreadPanel(curves, levels, f"length scale l of the kernel{unit}")
        epochs = sorted({epoch for curve in curves for epoch in curve.x})
        ticks = epochs if len(epochs) <= FEW_EPOCHS else ()
        return SpreadView([panel], "epoch", TITLE, x_ticks=ticks, band=True)


def unit_of_scales(runs: Sequence[RunOnDisk]) -> str:
    """Return the unit of the length scales, as ' (frames)'; '' if they have none, or the runs have several."""
    units = set()
    for run in runs:
        columns = read_record(run.path / "meta.json", RunMetadata).columns
        terms = parse_kernel(run.settings["prior.kernel"]).terms()
        units |= {length_unit(columns, term) for term in terms if "length_scale" in type(term.config).model_fields}
    return f" ({units.pop()})" if len(units) == 1 and None not in units else ""


def _keys(run: RunOnDisk) -> list[str]:
    """Return the names of the length scales in the metrics of the last epoch."""
    return [key for key in run.metrics[-1] if key.startswith(PREFIX) and key.endswith(SUFFIX)]


def _scales(run: RunOnDisk) -> Mapping[str, dict[int, float]]:
    """Return the length scale after each epoch, by its kernel's name."""
    rows = cast(Sequence[Mapping[str, Any]], run.metrics)
    return {
        key[len(PREFIX) : -len(SUFFIX)]: {row["epoch"]: float(row[key]) for row in rows if key in row}
        for key in _keys(run)
    }


def _curve(name: str, members: Sequence[Mapping[int, float]]) -> SpreadCurve:
    """Return the mean over runs at the epochs that all of them have."""
    shared = sorted(set.intersection(*(set(member) for member in members)))
    step = max(1, -(-len(shared) // MOST_EPOCHS))
    epochs = sorted({*shared[::step], shared[-1]})
    means = [spread([member[epoch] for member in members]) for epoch in epochs]
    return SpreadCurve(name, epochs, [m.mean for m in means], [m.sd for m in means], [m.runs for m in means])
