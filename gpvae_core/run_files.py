"""The files of a run folder, written so that a kill at any moment leaves the last good state. No pickle anywhere.

    config.json  meta.json  metrics.jsonl
    best/   weights.safetensors  state.json                             (best on validation)
    last/   weights.safetensors  optimizer.safetensors  state.json      (to resume from)

`best` and `last` are folders, replaced as a whole, so that weights never stand beside another epoch's optimizer.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpvae_core.config import FORMAT
from gpvae_core.errors import UserError


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """A full or read-only disk as one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"the disk is full: could not write {what}; the last saved state is intact") from error
        raise UserError(f"could not write {what}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"could not write {what}: {error}; is the disk full? The last saved state is intact") from error


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk; folders cannot be synced on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write to a temporary name, sync, rename."""
    with disk_errors(str(path)):
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        _sync(temporary)
        os.replace(temporary, path)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UserError where the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"'{path.parent}' is not a run: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged: wanted a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"'{path}' is damaged: wanted a JSON object, got {type(value).__name__}")
    return value


def check_format(value: Mapping[str, Any], where: Path) -> None:
    """Refuse a folder that a newer version wrote."""
    found = value.get("format")
    if not isinstance(found, int):
        raise UserError(f"'{where}' is not a run of this program: it states no format")
    if found > FORMAT:
        raise UserError(
            f"'{where}' was written by a newer version (format {found}, this one reads {FORMAT}): upgrade gpvae-core"
        )


def write_snapshot(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Replace `folder` as a whole by one that holds NAME.safetensors for each entry of `tensors`, and state.json."""
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with disk_errors(str(folder)):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for name, values in tensors.items():
            plain = {key: value.detach().cpu().contiguous() for key, value in values.items()}
            save_file(plain, fresh / f"{name}.safetensors")
            _sync(fresh / f"{name}.safetensors")
        write_json(fresh / "state.json", state)
        _sync(fresh)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(fresh, folder)
        _sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def snapshot_folder(folder: Path) -> Path | None:
    """The folder to read: itself, or the old one where a kill struck between two renames; None where there is none."""
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if (candidate / "state.json").is_file():
            return candidate
    return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises UserError where it is missing, truncated or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"'{path}' is missing: the run folder is damaged or was only partly copied") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged ({error}): copy the run again, or resume from a good one") from None


def append_metrics(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add lines to metrics.jsonl."""
    with disk_errors(str(path)), path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The epochs so far; a last line cut off by a kill is left out."""
    rows: list[dict[str, Any]] = []
    if not path.is_file():
        return rows
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def truncate_metrics(path: Path, epoch: int) -> None:
    """Forget the lines after `epoch`, which a resumed run writes again."""
    kept = [row for row in read_metrics(path) if row["epoch"] <= epoch]
    with disk_errors(str(path)):
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(temporary, path)
