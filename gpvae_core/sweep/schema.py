"""The schema of a sweep's SQLite file, its version, and connections to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from gpvae_core.errors import UserError
from gpvae_core.files import real_path, replacing
from gpvae_core.reading import MOST_TEXT, check_regular

VERSION = 1
APPLICATION = 0x67707665
"""'gpve' as SQLite's application_id, which distinguishes this file from other databases."""
TIMEOUT = 30.0
"""Seconds to wait for another process's write lock."""

SCHEMA = """
CREATE TABLE setups (
    setup TEXT PRIMARY KEY,      -- key of everything but the axes of a sweep
    name TEXT NOT NULL,
    content TEXT NOT NULL,       -- JSON: epochs, preset, set, method_settings, evaluate
    updated TEXT NOT NULL
);
CREATE TABLE jobs (
    key TEXT PRIMARY KEY,        -- hash of run config and scoring: nothing counts twice
    folder TEXT NOT NULL,        -- run folder, below runs/
    dataset TEXT NOT NULL,
    method TEXT NOT NULL,
    latent_dim INTEGER NOT NULL,
    split INTEGER NOT NULL,
    restart INTEGER NOT NULL,
    cost_key TEXT NOT NULL,
    epochs_wanted INTEGER NOT NULL,
    k INTEGER NOT NULL,
    config TEXT NOT NULL,        -- JSON of the run config
    status TEXT NOT NULL CHECK (status IN ('planned', 'running', 'done', 'failed')),
    message TEXT,                -- why it failed, one line
    started TEXT,
    finished TEXT,
    result TEXT                  -- JSON of what the job measured
);
CREATE TABLE members (
    setup TEXT NOT NULL REFERENCES setups (setup),
    key TEXT NOT NULL REFERENCES jobs (key),
    PRIMARY KEY (setup, key)
);
CREATE TABLE costs (
    cost_key TEXT PRIMARY KEY,
    epoch_seconds REAL NOT NULL,
    score_seconds REAL NOT NULL,
    measured TEXT NOT NULL
);
"""


@contextmanager
def _closed_on_error(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Close the connection if the block fails, and turn SQLite's errors into UserError."""
    try:
        yield
    except sqlite3.Error as error:
        connection.close()
        raise UserError(f"'{path}' is not a results file of this program, or it is damaged: {error}") from None
    except UserError:
        connection.close()
        raise


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Open the file for writing by the single coordinating process; create it if it is missing.

    Raises:
        UserError: it cannot be written, is not a results file, or was written by a newer version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            check_regular(path)
        if not has_content(path):
            _create(path)
        connection = sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"cannot write '{path}': {error}") from None
    with _closed_on_error(connection, path):
        check_version(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")  # readers do not block the writer, nor the writer readers
        connection.execute("PRAGMA synchronous=FULL")  # a committed result survives a power cut, also with WAL
        connection.execute("PRAGMA foreign_keys=ON")
    connection.row_factory = sqlite3.Row
    return connection


def has_content(path: Path) -> bool:
    """Return whether a results file is there. An empty one is none: it is what is left of one begun on a full disk.

    Raises:
        UserError: links lead to one another, so that none can ever be there.
    """
    real = real_path(path)
    return real.is_file() and real.stat().st_size > 0


def _create(path: Path) -> None:
    """Write a file without results, as a whole: a kill or a full disk leaves no part of it."""
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id={APPLICATION}; PRAGMA user_version={VERSION}; COMMIT;"
        )
        content = memory.serialize()
    with replacing(path) as file:
        file.write(content)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the file read-only; another process may write it at the same time.

    Raises:
        UserError: it is missing, is not a results file, or was written by a newer version.
    """
    if not has_content(path):
        raise UserError(f"there are no results '{path}': wanted the results.sqlite of a sweep")
    try:
        connection = _opened(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # NOTE: SQLite keeps a file beside the database, also to read it, which a read-only folder does not let it make.
        # Nothing there can be written either, so that the database may be read as one that does not change.
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise UserError(
                f"'{path}' cannot be read in a folder that cannot be written, as part of it lies in {log.name}: wanted "
                f"a copy of the whole folder ({error})"
            ) from None
        connection = _opened(path, "mode=ro&immutable=1")
    with _closed_on_error(connection, path):
        check_version(connection, path)
        _check_schema(connection, path)
    connection.row_factory = sqlite3.Row
    return connection


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UserError if a view stands for a table, as reading one can take for ever; limit what a text can take."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_TEXT)
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone()[0]:
        raise UserError(f"'{path}' is not a results file of this program: wanted tables alone, got views or triggers")


def _opened(path: Path, options: str) -> sqlite3.Connection:
    """Open the file with these options of SQLite; raise sqlite3.OperationalError if that needs more rights."""
    address = f"{real_path(path).as_uri()}?{options}"
    connection = sqlite3.connect(address, uri=True, timeout=TIMEOUT, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.Error:
        pass
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UserError if the file belongs to another program or was written by a newer version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise UserError(f"'{path}' is a database of another program: wanted the results.sqlite of a sweep")
    if version > VERSION:
        raise UserError(
            f"'{path}' was written by a newer version (schema {version}, this one reads {VERSION}): upgrade gpvae-core"
        )
