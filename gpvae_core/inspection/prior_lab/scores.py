"""What runs on the same data reach, and what it takes them (Jazbec et al. 2021, Fig. 1, 3, 6 and 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.inspection.embedding import seeded_sample
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.inspection.prior_lab.views import RunScore
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.progress import Progress

MOST = 1500
"""Test images on which runs are compared, where they are in no series; else those of the first series."""


def run_score(lab: ConditionalLab) -> RunScore:
    """Return the errors of a run on the test images, and its cost; computed once."""
    return lab.results.get("score", lambda: _score(lab))


def run_scores(labs: Sequence[ConditionalLab], progress: Progress) -> tuple[RunScore, ...]:
    """Return the scores of these runs."""
    scores = []
    for number, lab in enumerate(labs):
        progress(number, len(labs), f"predicting the test images by {lab.name}: run")
        scores.append(run_score(lab))
    return tuple(scores)


def _score(lab: ConditionalLab) -> RunScore:
    index, mean = _latents(lab)
    columns = {column.name: lab.auxiliary("test")[column.name][index] for column in lab.columns}
    errors = lab.errors("test", index, lab.decoded(mean, columns))
    column = path_column(lab.auxiliary("test")) if lab.group else None
    rows, config = lab.run.metrics, lab.run.config
    scales = lab.length_scales()
    points = config.inference.model_dump().get("points")
    path = None if column is None else lab.auxiliary("test")[column.name][index]
    return RunScore(
        run=lab.name,
        method=config.method,
        images=int(np.isfinite(errors).sum()),
        mse=float(np.nanmean(errors)),
        path_rmse=None if path is None else AffineFit.of(mean, path).rmse(mean, path),
        epochs=rows[-1]["epoch"] if rows else 0,
        seconds=float(rows[-1]["seconds"]) if rows else 0.0,
        points=None if points is None else int(points),
        length_scale=scales[0][0] if len(scales) == 1 else None,
        learned=any(learned for _, learned in scales),
    )


def _latents(lab: ConditionalLab) -> tuple[Indices, Array]:
    """Return test images that are scored, at most about MOST, and the posterior means (M, D) of their latents."""
    series = lab.results.get("series", lambda: SeriesLab(lab)) if lab.layout == "series" else None
    if series is not None and series.split == "test":
        return series.first_latents()
    scored = lab.scored("test")
    if lab.group:
        return scored, lab.latents("test").mean.cpu().numpy()[scored]
    auxiliary = lab.auxiliary("test")
    index = scored[seeded_sample(len(scored), MOST, 0)]
    return index, lab.predicted({column.name: auxiliary[column.name][index] for column in lab.columns})[0]
