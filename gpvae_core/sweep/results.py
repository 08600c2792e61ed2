"""Reading a sweep's results as plain data, also while the sweep writes them. No torch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpvae_core.errors import UserError
from gpvae_core.sweep.schema import connect_to_read

FILE = "results.sqlite"


@dataclass(frozen=True)
class Result:
    """One job of a sweep: a training and its score. What is not known yet is None."""

    key: str
    setup: str
    dataset: str
    method: str
    latent_dim: int
    decoder: str
    """Kind of the decoder's network."""
    split: int
    restart: int
    status: str
    """planned, running, done or failed."""
    message: str | None
    """Why it failed, one line."""
    folder: str
    """Name of the run folder, below runs/."""
    epochs_wanted: int
    k: int
    """Importance samples of the IWAE score."""
    cost_key: str
    started: str | None
    finished: str | None
    validation_elbo: float | None
    """Of the best epoch, nats: what a restart is chosen by."""
    test_iwae: float | None
    """Mean over the test images, nats: the paper's 'test log-likelihood score'."""
    test_iwae_se: float | None
    test_elbo: float | None
    test_elbo_se: float | None
    test_images: int | None
    epochs: int | None
    best_epoch: int | None
    parameters: int | None
    train_seconds: float | None
    score_seconds: float | None
    device: str | None
    note: str | None
    """What a reader should know of the images, as that they are a subset."""
    versions: dict[str, str] | None
    validation_log_px: float | None = None
    """Mean log p(x) over the validation points, nats, by quadrature; on data of known truth what a restart is chosen
    by. This and what follows is None in results of before, and where it is not defined."""
    test_log_px: float | None = None
    """Over the test points."""
    test_kl: float | None = None
    """KL[p_GT || p_model] over the test points, nats."""
    test_kl_se: float | None = None
    decoder_passes: float | None = None
    """For each point of a training step."""
    encoder_passes: float | None = None
    truth: str | None = None
    """How log p(x) of a seeded sample of test images was found: 'line', 'grid', 'ais' or 'iwae'; None where it was not
    asked for (evaluate.truths in the sweep file)."""
    truth_log_px: float | None = None
    """Its mean over that sample, nats; beyond two latent dimensions a lower bound in expectation."""
    truth_log_px_se: float | None = None
    """Standard error of that mean over images."""
    truth_error: float | None = None
    """Root mean square of the standard errors of single images, nats; None by quadrature."""
    truth_images: int | None = None
    truth_untrusted: int | None = None
    """Images of the sample whose log p(x) is not to be trusted."""


MEASURED = (
    *("validation_elbo", "test_iwae", "test_iwae_se", "test_elbo", "test_elbo_se", "test_images", "epochs"),
    *("best_epoch", "parameters", "train_seconds", "score_seconds", "device", "note", "versions"),
    *("validation_log_px", "test_log_px", "test_kl", "test_kl_se", "decoder_passes", "encoder_passes"),
    *("truth", "truth_log_px", "truth_log_px_se", "truth_error", "truth_images", "truth_untrusted"),
)
"""Fields that a job returns when it is done."""
PLANNED = (
    *(
        "key",
        "dataset",
        "method",
        "latent_dim",
        "decoder",
        "split",
        "restart",
        "status",
        "message",
        "folder",
        "epochs_wanted",
    ),
    *("k", "cost_key", "started", "finished"),
)


@dataclass(frozen=True)
class Setup:
    """Results that may stand in one table: the same epochs, preset, settings and score."""

    setup: str
    name: str
    """Of the sweep that asked for it last."""
    content: dict[str, Any]
    """epochs, preset, set, method_settings, evaluate."""
    updated: str


class Results:
    """A sweep's SQLite file, opened anew for each question, so that a reader never blocks the sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def setups(self) -> list[Setup]:
        """Return the latest first."""
        rows = self._read("SELECT setup, name, content, updated FROM setups ORDER BY updated DESC, setup")
        return [Setup(row["setup"], row["name"], json.loads(row["content"]), row["updated"]) for row in rows]

    def rows(self, setup: str | None = None) -> list[Result]:
        """Return every job of a setup, or of all setups (a job that two setups share then comes twice)."""
        found = self._read(
            "SELECT members.setup, jobs.*, "
            "coalesce(json_extract(config, '$.decoder.kind'), json_extract(config, '$.net.kind')) AS decoder "
            "FROM members JOIN jobs USING (key) WHERE ?1 IS NULL OR setup = ?1 "
            "ORDER BY dataset, latent_dim, method, split, restart, setup",
            setup,
        )
        return [_result(row) for row in found]

    def costs(self) -> dict[str, Cost]:
        """Return the seconds of an epoch and a score by cost key: the mean over jobs done, else as measured before."""
        known = {
            row["cost_key"]: Cost(row["epoch_seconds"], row["score_seconds"])
            for row in self._read("SELECT cost_key, epoch_seconds, score_seconds FROM costs")
        }
        done = self._read(
            "SELECT cost_key, "
            "sum(json_extract(result, '$.train_seconds')) / sum(json_extract(result, '$.epochs')) AS epoch_seconds, "
            "avg(json_extract(result, '$.score_seconds')) AS score_seconds "
            "FROM jobs WHERE status = 'done' GROUP BY cost_key"
        )
        return known | {row["cost_key"]: Cost(row["epoch_seconds"], row["score_seconds"]) for row in done}

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with closing(connect_to_read(self.path)) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise UserError(f"'{self.path}' cannot be read: {error}") from None


@dataclass(frozen=True)
class Cost:
    """Seconds of one epoch and of one score."""

    epoch_seconds: float
    score_seconds: float

    def job(self, epochs: int) -> float:
        return epochs * self.epoch_seconds + self.score_seconds


def open_results(path: Path) -> Results:
    """Return the results in a sweep's folder, or in the file itself.

    Raises:
        UserError: there are none, or a newer version wrote them.
    """
    results = Results(path / FILE if path.is_dir() else path)
    results.setups()
    return results


def _result(row: sqlite3.Row) -> Result:
    measured = json.loads(row["result"]) if row["result"] else {}
    fields: dict[str, Any] = {name: row[name] for name in PLANNED} | {name: measured.get(name) for name in MEASURED}
    return Result(setup=row["setup"], **fields)


def complete_runs(rows: Iterable[Result]) -> list[list[Result]]:
    """Return the jobs of each run (data set, method, d, split) all of whose restarts ended, one of them well."""
    runs: dict[tuple[str, str, str, int, int], list[Result]] = {}
    for row in rows:
        runs.setdefault((row.setup, row.dataset, row.method, row.latent_dim, row.split), []).append(row)
    return [
        run
        for run in runs.values()
        if all(row.status in ("done", "failed") for row in run) and any(row.status == "done" for row in run)
    ]


def best_restarts(rows: Sequence[Result]) -> list[Result]:
    """Return the restart of each complete run that is best on validation; test scores do not count."""
    return [_best([row for row in run if row.status == "done"]) for run in complete_runs(rows)]


def _best(done: Sequence[Result]) -> Result:
    """Return the validation log p(x) where all restarts have it (Yacoby et al. 2024, sec. 6), else by the ELBO."""
    exact = [row.validation_log_px for row in done]
    known = [value for value in exact if value is not None]
    scores = known if len(known) == len(done) else [row.validation_elbo or 0.0 for row in done]
    return max(zip(scores, done, strict=True), key=lambda pair: (pair[0], -pair[1].restart))[1]
