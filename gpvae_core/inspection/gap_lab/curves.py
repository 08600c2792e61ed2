"""Gaps against training epochs and against the size of the encoder, which illustrate the amortization gap."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.inspection.disk import DiskCache
from gpvae_core.inspection.embedding import seeded_sample
from gpvae_core.inspection.gap_lab.scores import GapReference, value
from gpvae_core.inspection.gap_lab.views import CurveView
from gpvae_core.inspection.gap_sample import named_truth
from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run, load_run

EPOCH_SAMPLE = 24
"""Number of validation images per epoch; with a trained decoder, each epoch has its own log p(x) of them."""
SIZE = "hidden"
"""The network setting that determines the encoder's size."""
Columns = dict[str, Array]
"""'epoch' (E,), and 'inference', 'approximation' and 'amortization' gaps of M images, (E, M) nats."""


def epoch_columns(
    load: Callable[[int], Run], epochs: Sequence[int], x: Tensor, seed: int, progress: Progress = silent
) -> Columns:
    """Return the gaps of the images `x` under the weights of each epoch.

    With a frozen decoder, log p(x) and the best Gaussians are computed only once.
    """
    references: dict[str, GapReference] = {}
    rows: list[tuple[Array, Array, Array]] = []
    for number, epoch in enumerate(epochs):
        run = load(epoch)
        images = x.to(run.device)
        progress(number, len(epochs), "epochs")
        key = run.decoder_fingerprint
        if key not in references:
            references[key] = GapReference.from_model(
                run.model, images, run.truth, seed, _epochs_only(progress, number, len(epochs))
            )
        table, elbo = references[key].table, references[key].elbos(run.model)
        best = table.best_diagonal_elbo
        rows.append((table.log_px - elbo, table.log_px - best, best - elbo))
    progress(len(epochs), len(epochs), "epochs")
    names = ("inference", "approximation", "amortization")
    columns = {name: np.stack([row[k] for row in rows]) for k, name in enumerate(names)}
    return {"epoch": np.asarray(epochs, dtype=np.float64), **columns}


def _epochs_only(progress: Progress, number: int, epochs: int) -> Progress:
    """Return a progress callback for the work within one epoch: it can cancel, but only reports whole epochs."""

    def report(done: int, total: int, what: str) -> None:
        progress(number, epochs, "epochs")

    return report


def epoch_view(name: str, columns: Mapping[str, Array], exact: bool) -> CurveView:
    """Return the mean gaps over the images against the epoch."""
    epochs = columns["epoch"]
    return CurveView(
        x=epochs,
        x_label="training epoch",
        labels=tuple(f"epoch {int(epoch)}" for epoch in epochs),
        **{part: tuple(value(row) for row in columns[part]) for part in ("inference", "approximation", "amortization")},
        logarithmic=False,
        sample=columns["inference"].shape[1],
        exact=exact,
        title=name,
    )


def epoch_curve(run: Run, seed: int = 0, sample: int = EPOCH_SAMPLE, progress: Progress = silent) -> CurveView:
    """Return the mean gaps of a fixed sample of validation images at each epoch whose weights `run` kept.

    The gaps are cached on disk.

    Raises:
        UserError: the run kept no weights.
    """
    epochs = run.kept_epochs
    if not epochs:
        raise UserError(f"run '{run.name}' kept no weights of its epochs: train it with --set keep_every=N")
    index = seeded_sample(len(run.data.validation), sample, seed)
    disk = DiskCache(run.dir / "explore", {"data": run.data.fingerprint, "seed": seed, "created": run.meta.created})
    settings = {"epochs": epochs, "sample": len(index), **named_truth(run.truth)}
    columns = disk.read("labepochs", settings)
    if columns is None:
        x = run.data.validation.pixels(index)
        device = run.device.type

        def load(epoch: int) -> Run:
            return load_run(run.dir, device=device, epoch=epoch)

        columns = epoch_columns(load, epochs, x, seed, progress)
        disk.write("labepochs", settings, columns)
    return epoch_view(run.name, columns, run.truth.exact)


def size_series(runs: Mapping[str, Run]) -> list[str]:
    """Return the longest series of runs that differ only in the size of the encoder's network, smallest first.

    It is empty if no two runs form such a series.
    """
    series: dict[str, dict[int, str]] = {}
    for name, run in runs.items():
        raw: dict[str, Any] = run.config.to_json()
        size = raw["net"].pop(SIZE, None)
        if run.config.freeze_decoder and isinstance(size, int):
            series.setdefault(json.dumps(raw, sort_keys=True), {}).setdefault(size, name)
    longest = max(series.values(), key=len, default={})
    return [longest[size] for size in sorted(longest)] if len(longest) > 1 else []


def encoder_parameters(run: Run) -> int:
    """Return the number of parameters of the run's encoder."""
    return sum(parameter.numel() for parameter in run.model.encoder.parameters())


def size_view(
    runs: Mapping[str, Run], names: Sequence[str], reference: GapReference, elbos: Mapping[str, Array]
) -> CurveView:
    """Return the mean gaps against the number of the encoder's parameters; all runs share the approximation gap."""
    table = reference.table
    return CurveView(
        x=np.array([encoder_parameters(runs[name]) for name in names], dtype=np.float64),
        x_label="parameters of the encoder",
        labels=tuple(names),
        inference=tuple(value(table.log_px - elbos[name]) for name in names),
        approximation=tuple(value(table.log_px - table.best_diagonal_elbo) for _ in names),
        amortization=tuple(value(table.best_diagonal_elbo - elbos[name]) for name in names),
        logarithmic=True,
        sample=len(table),
        exact=reference.exact,
        title=runs[names[0]].config.method,
    )
