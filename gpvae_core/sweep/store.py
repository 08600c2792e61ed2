"""Writing a sweep's results: one process, one SQLite file, each change a transaction."""

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
from gpvae_core.sweep.results import FILE, MEASURED, Cost, Results
from gpvae_core.sweep.schema import connect_to_write


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def open_store(out: Path) -> Iterator[Store]:
    """The store of a sweep's folder, made where it is missing. The caller is the only one that writes.

    Raises:
        UserError: it cannot be written, or is of a newer version.
    """
    connection = connect_to_write(out / FILE)
    try:
        yield Store(connection, out / FILE)
    finally:
        connection.close()


class Store:
    """The results file of a sweep, opened to write by `open_store`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.results = Results(path)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises UserError where the disk is full or cannot be written."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(f"could not write '{self.results.path}': {error}; what was saved is intact") from None

    def register(self, sweep: SweepConfig, jobs: Sequence[Job]) -> dict[str, str]:
        """Enter the plan and return each job's status by key: 'done', or 'planned' for all that is to do.

        What ran or failed before is planned again; what an earlier plan of the same setup wanted beyond this one is
        forgotten unless it is done or failed.
        """
        setup = sweep.setup_key()
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
                    "SET status = 'planned', message = NULL, started = NULL, finished = NULL WHERE status != 'done'",
                    _planned(job),
                )
                c.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (setup, job.key))
            found = c.execute("SELECT key, status FROM members JOIN jobs USING (key) WHERE setup = ?", (setup,))
            return {row["key"]: row["status"] for row in found}

    def start(self, key: str) -> None:
        with self._transaction() as c:
            c.execute("UPDATE jobs SET status = 'running', started = ? WHERE key = ?", (now(), key))

    def put_back(self, key: str) -> None:
        """A job that was stopped is to do again."""
        with self._transaction() as c:
            c.execute("UPDATE jobs SET status = 'planned', started = NULL WHERE key = ?", (key,))

    def finish(self, key: str, measured: Mapping[str, Any]) -> None:
        """Enter what a job returned (what it did not measure is None); a job that is done stays as it is."""
        content = json.dumps({name: measured.get(name) for name in MEASURED})
        with self._transaction() as c:
            c.execute(
                "UPDATE jobs SET status = 'done', finished = ?, result = ?, message = NULL "
                "WHERE key = ? AND status != 'done'",
                (now(), content, key),
            )

    def fail(self, key: str, message: str) -> None:
        """Keep why a job failed; the next start tries it again."""
        with self._transaction() as c:
            c.execute(
                "UPDATE jobs SET status = 'failed', finished = ?, message = ? WHERE key = ? AND status != 'done'",
                (now(), " ".join(message.split()), key),
            )

    def put_cost(self, cost_key: str, cost: Cost) -> None:
        """Keep what was measured before anything was trained."""
        with self._transaction() as c:
            c.execute(
                "INSERT OR REPLACE INTO costs VALUES (?, ?, ?, ?)",
                (cost_key, cost.epoch_seconds, cost.score_seconds, now()),
            )


def _planned(job: Job) -> tuple[Any, ...]:
    """Return a row of `jobs` before anything happened."""
    c = job.config
    return (
        *(job.key, job.folder, c.data.name, c.method, c.latent_dim, job.split, job.restart, job.cost_key),
        *(c.train.epochs, job.score.k, json.dumps(c.to_json()), "planned", None, None, None, None),
    )
