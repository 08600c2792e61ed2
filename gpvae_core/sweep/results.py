"""Reading a sweep's results as plain data, also while the sweep writes them; torch is not imported."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter

from gpvae_core.errors import UserError, clipped
from gpvae_core.parsing import parse_json
from gpvae_core.run_records import Count
from gpvae_core.sweep.result import MEASURED, PLANNED, REQUIRED, Result
from gpvae_core.sweep.schema import connect_to_read

FILE = "results.sqlite"
DAMAGED = "its stored result is damaged"
"""Beginning of the message of a job whose result cannot be read."""


RESULT, MEASURES = TypeAdapter(Result), TypeAdapter(dict[str, Any])


class SetupContent(BaseModel):
    """The entries that the settings of a setup must have."""

    epochs: Count | None
    preset: str | None
    set: dict[str, Any]
    method_settings: dict[str, dict[str, Any]]
    evaluate: dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """Settings shared by comparable results: epochs, preset, settings and score."""

    setup: str
    """Key of the setup."""
    name: str
    """Name of the last sweep with this setup."""
    content: dict[str, Any]
    """The settings: epochs, preset, set, method_settings, evaluate."""
    updated: str
    """Time of the last sweep with this setup, UTC."""


class Results:
    """The results in a sweep's SQLite file, which is opened for each query so that a reader never blocks the sweep."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def setups(self) -> list[Setup]:
        """Return the setups, the latest first."""
        rows = self._read("SELECT setup, name, content, updated FROM setups ORDER BY updated DESC, setup")
        return [Setup(row["setup"], row["name"], self._content(row["content"]), row["updated"]) for row in rows]

    def _content(self, text: str) -> dict[str, Any]:
        try:
            content = parse_json(text)
            SetupContent.model_validate(content)
            return content
        except ValueError as error:
            raise UserError(f"'{self.path}' is damaged: wanted the settings of a sweep ({_line(error)})") from None

    def rows(self, setup: str | None = None) -> list[Result]:
        """Return the jobs of a setup, or of all setups; a job that belongs to two setups is then returned twice."""
        # NOTE: a run without "decoder" in its config has the decoder of its "net", and one without "inference" encodes.
        rows = self._read(
            "SELECT members.setup, jobs.*, "
            "CASE WHEN json_valid(config) THEN coalesce(json_extract(config, '$.decoder.kind'), "
            "json_extract(config, '$.net.kind')) END AS decoder, "
            "CASE WHEN json_valid(config) THEN coalesce(json_extract(config, '$.inference.kind'), 'amortized') END "
            "AS inference "
            "FROM members JOIN jobs USING (key) WHERE ?1 IS NULL OR setup = ?1 "
            "ORDER BY dataset, latent_dim, method, split, restart, setup",
            setup,
        )
        return [_result(row) for row in rows]

    def costs(self) -> dict[str, Cost]:
        """Return the cost of each kind of job, by cost key: the mean over finished jobs, else the measured one."""
        measured = {
            row["cost_key"]: Cost(row["epoch_seconds"], row["score_seconds"])
            for row in self._read("SELECT cost_key, epoch_seconds, score_seconds FROM costs")
        }
        done = {key: mean_cost(times) for key, times in self.times().items()}
        return measured | {key: cost for key, cost in done.items() if cost is not None}

    def times(self) -> dict[str, list[JobTimes]]:
        """Return the times of all finished jobs by cost key."""
        times: dict[str, list[JobTimes]] = {}
        for row in {row.key: row for row in self.rows() if row.status == "done"}.values():
            times.setdefault(row.cost_key, []).append(JobTimes(row.train_seconds, row.epochs, row.score_seconds))
        return times

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with closing(connect_to_read(self.path)) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise UserError(f"'{self.path}' cannot be read: {error}") from None


@dataclass(frozen=True)
class Cost:
    """Cost of a kind of job: seconds of one epoch and of one score."""

    epoch_seconds: float
    score_seconds: float

    def job(self, epochs: int) -> float:
        """Return the seconds of a job with this number of epochs."""
        return epochs * self.epoch_seconds + self.score_seconds


class JobTimes(NamedTuple):
    """What a finished job took; None where it is not known."""

    train_seconds: float | None
    epochs: int | None
    score_seconds: float | None


def open_results(path: Path) -> Results:
    """Return the results in a sweep's folder, or in a results file.

    Raises:
        UserError: there are no results, or they were written by a newer version.
    """
    results = Results(path / FILE if path.is_dir() else path)
    results.setups()
    return results


def mean_cost(times: Sequence[JobTimes]) -> Cost | None:
    """Return the mean cost of finished jobs of one kind; None if their times are not known."""
    trained = [(job.train_seconds, job.epochs) for job in times if job.train_seconds is not None and job.epochs]
    scores = [job.score_seconds for job in times if job.score_seconds is not None]
    if not trained or not scores:
        return None
    seconds, epochs = zip(*trained, strict=True)
    return Cost(math.fsum(seconds) / sum(epochs), math.fsum(scores) / len(scores))


def _line(error: ValueError) -> str:
    return clipped(" ".join(str(error).split()), 200)


def _result(row: sqlite3.Row) -> Result:
    """Return a job; one whose stored result is damaged counts as failed, so that the others are shown."""
    planned: dict[str, Any] = {name: row[name] for name in ("setup", *PLANNED)}
    try:
        measured = MEASURES.validate_python(parse_json(row["result"]) if row["result"] else {})
        known = {name: value for name, value in measured.items() if name in REQUIRED or not _is_undefined(value)}
        result = RESULT.validate_python(planned | {name: known.get(name) for name in MEASURED})
        if result.status == "done" and not known:
            raise ValueError("it is empty")
        return result
    except ValueError as error:
        damaged = {"status": "failed", "message": f"{DAMAGED}: {_line(error)}", "decoder": row["decoder"] or ""}
        damaged["inference"] = row["inference"] or ""
        fields: dict[str, Any] = {**dict.fromkeys(MEASURED), **planned, **damaged}
        return Result(**fields)


def _is_undefined(value: Any) -> bool:
    """Return whether a measurement is NaN or infinite, as the error of an estimate of which no sample is valid."""
    return isinstance(value, float) and not math.isfinite(value)


def complete_runs(rows: Iterable[Result]) -> list[list[Result]]:
    """Return the jobs of each (setup, data set, method, d, split) whose restarts have all ended, at least one of them
    successfully."""
    runs: dict[tuple[str, str, str, int, int], list[Result]] = {}
    for row in rows:
        runs.setdefault((row.setup, row.dataset, row.method, row.latent_dim, row.split), []).append(row)
    return [
        run
        for run in runs.values()
        if all(row.status in ("done", "failed") for row in run) and any(row.status == "done" for row in run)
    ]


def best_restarts(rows: Sequence[Result]) -> list[Result]:
    """Return the restart with the best validation score of each complete run; test scores have no influence."""
    return [_best([row for row in run if row.status == "done"]) for run in complete_runs(rows)]


def _best(done: Sequence[Result]) -> Result:
    """Return the best job by validation log p(x) if all have it (Yacoby et al. 2024, sec. 6), else by the ELBO."""
    exact = [row.validation_log_px for row in done]
    known = [value for value in exact if value is not None]
    elbos = [-math.inf if row.validation_elbo is None else row.validation_elbo for row in done]
    scores = known if len(known) == len(done) else elbos
    return max(zip(scores, done, strict=True), key=lambda pair: (pair[0], -pair[1].restart))[1]
