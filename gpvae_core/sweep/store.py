"""Writing a sweep's results: a single process writes one SQLite file, each change in a transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpvae_core.errors import UserError
from gpvae_core.sweep.config import SweepConfig
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.results import DAMAGED, FILE, MEASURED, Cost, Results
from gpvae_core.sweep.schema import connect_to_write


def now() -> str:
    """Return the time in UTC, in ISO 8601 format."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def open_store(out: Path) -> Iterator[Store]:
    """Open the results of a sweep's folder for writing; create them if missing. The caller must be the only writer.

    Raises:
        UserError: the file cannot be written, or was written by a newer version.
    """
    connection = connect_to_write(out / FILE)
    try:
        yield Store(connection, out / FILE)
    finally:
        connection.close()


class Store:
    """The results file of a sweep, opened for writing by `open_store`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.results = Results(path)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction. Raises UserError if the file cannot be written, as on a full disk."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")  # takes the write lock now, and not in the middle of the block
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(f"could not write '{self.results.path}': {error}; what was saved is intact") from None

    def register(self, sweep: SweepConfig, jobs: Sequence[Job]) -> dict[str, str]:
        """Store the plan and return each job's status by key: 'done', or 'planned' for jobs that are left to do.

        Jobs that ran or failed before, or whose stored result is damaged, are planned again. Jobs of an earlier plan of
        the same setup that are not in this one are deleted, unless they are done or failed.
        """
        setup = sweep.setup_key()
        damaged = {row.key for row in self.results.rows() if (row.message or "").startswith(DAMAGED)}
        with self._transaction() as c:
            c.execute(
                "INSERT INTO setups VALUES (?, ?, ?, ?) "
                "ON CONFLICT (setup) DO UPDATE SET name = excluded.name, updated = excluded.updated",
                (setup, sweep.name, json.dumps(sweep.setup()), now()),
            )
            c.execute(
                "DELETE FROM members WHERE setup = ? AND key IN "
                "(SELECT key FROM jobs WHERE status IN ('planned', 'running'))",
                (setup,),
            )
            c.execute("DELETE FROM jobs WHERE key NOT IN (SELECT key FROM members)")
            for job in jobs:
                c.execute(
                    f"INSERT INTO jobs VALUES ({', '.join('?' * 16)}) ON CONFLICT (key) DO UPDATE "
                    "SET status = 'planned', config = excluded.config, message = NULL, started = NULL, finished = NULL "
                    "WHERE status != 'done' OR ?",
                    (*_planned(job), job.key in damaged),
                )
                c.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (setup, job.key))
            rows = c.execute("SELECT key, status FROM members JOIN jobs USING (key) WHERE setup = ?", (setup,))
            return {row["key"]: row["status"] for row in rows}

    def start(self, key: str) -> None:
        """Mark a job as running."""
        with self._transaction() as c:
            c.execute("UPDATE jobs SET status = 'running', started = ? WHERE key = ?", (now(), key))

    def put_back(self, key: str) -> None:
        """Mark a job that was stopped as planned again."""
        with self._transaction() as c:
            c.execute("UPDATE jobs SET status = 'planned', started = NULL WHERE key = ?", (key,))

    def finish(self, key: str, measured: Mapping[str, Any]) -> None:
        """Store the result of a job, with None for what it did not measure; a job that is done is not changed."""
        content = json.dumps({name: measured.get(name) for name in MEASURED})
        with self._transaction() as c:
            c.execute(
                "UPDATE jobs SET status = 'done', finished = ?, result = ?, message = NULL "
                "WHERE key = ? AND status != 'done'",
                (now(), content, key),
            )

    def fail(self, key: str, message: str) -> None:
        """Store why a job failed; the next start of the sweep tries it again."""
        with self._transaction() as c:
            c.execute(
                "UPDATE jobs SET status = 'failed', finished = ?, message = ? WHERE key = ? AND status != 'done'",
                (now(), " ".join(message.split()), key),
            )

    def put_cost(self, cost_key: str, cost: Cost) -> None:
        """Store a cost that was measured before the trainings."""
        with self._transaction() as c:
            c.execute(
                "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?)",
                (cost_key, cost.epoch_seconds, cost.score_seconds, now()),
            )


def _planned(job: Job) -> tuple[Any, ...]:
    """Return the row of the table `jobs` for a planned job."""
    c = job.config
    return (
        *(job.key, job.folder, c.data.name, c.method, c.latent_dim, job.split, job.restart, job.cost_key),
        *(c.train.epochs, job.score.k, json.dumps(c.to_json()), "planned", None, None, None, None),
    )
