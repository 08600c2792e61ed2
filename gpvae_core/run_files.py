"""Reading and writing the files of a run folder; a kill at any moment leaves the last complete state. No pickle.

    config.json  meta.json  metrics.jsonl
    best/      weights.safetensors  state.json                             (best validation score)
    epochs/N/  weights.safetensors  state.json                             (epochs selected by train.keep_every)
    last/      weights.safetensors  optimizer.safetensors  state.json      (to resume from)

`best` and `last` are replaced as whole folders, so that weights and optimizer always belong to the same epoch.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Module

from gpvae_core import reading
from gpvae_core.errors import UserError, clipped, nearest
from gpvae_core.files import disk_errors, replace_folder, sync, write_json, write_text
from gpvae_core.hashes import hexdigest
from gpvae_core.model_size import MOST_NUMBERS
from gpvae_core.parsing import parse_json
from gpvae_core.run_config import FORMAT, RunConfig, parse_config
from gpvae_core.run_records import Checksums, EpochMetrics, MetricsRow

T = TypeVar("T")
UNFINISHED = "unfinished"
"""Folder of the best weights of training that inference has not finished yet (`Inference.finish`)."""
EPOCHS = "epochs"
"""Folder of the weights of selected epochs (train.keep_every), with one subfolder per epoch."""
MOST_RECORD = 1 << 20
"""Most bytes of a record (config.json, meta.json, state.json); the longest, a state with generators, has 20,000."""
MOST_METRICS = 16 << 20
"""Most bytes of metrics.jsonl, of which an epoch takes 120 to 150: over 110,000 epochs. A longer run is trained and
saved all the same; what reads its metrics, as resuming or evaluating it, tells of the limit and works without them."""
MOST_TENSORS = 4 * MOST_NUMBERS
"""Most bytes of a file of weights whose model is not known, those of the largest model in float32."""
TENSOR_ENTRY = 1 << 10
"""Most bytes of a tensor's name, type, shape and place in the header of a file."""


def read_bytes(path: Path, most: int, advice: str = "") -> bytes:
    """Return the content of a file of a run.

    Args:
        advice: what to do if it is too large, for the message.

    Raises:
        FileNotFoundError: it is missing.
        UserError: it has more than `most` bytes, cannot be read, or is no regular file.
    """
    try:
        return reading.read_bytes(path, most)
    except FileNotFoundError:
        raise
    except OSError as error:
        hint = f"; {advice}" if advice and error.errno == errno.EFBIG else ""
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}{hint}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UserError if the file is missing or damaged."""
    try:
        value = parse_json(read_bytes(path, MOST_RECORD).decode())
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"'{path.parent}' is not a run: it has no {path.name}") from None
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: wanted a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"'{path}' is damaged: wanted a JSON object, got {type(value).__name__}")
    return value


def check_format(value: Mapping[str, Any], path: Path) -> None:
    """Raise UserError if `value`, read from `path`, was written by a newer version or states no format."""
    number = value.get("format")
    if type(number) is not int or number < 1:
        raise UserError(f"'{path}' is not a run of this program: it states no format")
    if number > FORMAT:
        raise UserError(
            f"'{path}' was written by a newer version (format {number}, this one reads {FORMAT}): upgrade gpvae-core"
        )


def existing_run(folder: Path) -> Path:
    """Return `folder` if it exists; else raise UserError, with the closest name among the runs beside it."""
    if folder.is_dir():
        return folder
    places = folder.parent.iterdir() if folder.parent.is_dir() else ()
    siblings = [path.name for path in places if (path / "config.json").is_file()]
    close = nearest(folder.name, siblings)
    raise UserError(f"there is no run '{folder}'" + (f"; did you mean '{folder.parent / close}'?" if close else ""))


def read_config(folder: Path) -> RunConfig:
    """Read the run's config.json. Raises UserError if it is missing, damaged or from a newer version."""
    path = existing_run(folder) / "config.json"
    raw = read_json(path)
    check_format(raw, folder)
    raw.pop("format")
    try:
        return parse_config(raw)
    except UserError as error:
        raise UserError(f"'{path}' is damaged or not from this version: {error}") from None


def read_record(path: Path, kind: type[T]) -> T:
    """Read a JSON file of a run as `kind`. Raises UserError if it is missing, damaged or from a newer version."""
    raw = read_json(path)
    check_format(raw, path)
    raw.pop("format")
    return _validated(raw, kind, str(path))


_adapter = cache(TypeAdapter)  # to make one takes five times as long as to check a line of metrics by it


def _validated(raw: Any, kind: type[T], source: str) -> T:
    try:
        return _adapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = clipped(".".join(map(str, first["loc"])))
        raise UserError(f"{source} is damaged: {field + ': ' if field else ''}{first['msg'].lower()}") from None


def write_snapshot(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Replace `folder` as a whole by a new one with NAME.safetensors for each entry of `tensors`, and state.json.

    The files' checksums are kept in state.json.

    Raises:
        UserError: the disk is full or read-only; the old folder then stays.
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with disk_errors(str(folder)):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        files = {name: fresh / f"{name}.safetensors" for name in tensors}
        for name, values in tensors.items():
            save_file({key: value.detach().cpu().contiguous() for key, value in values.items()}, files[name])
        checksums = {name: hexdigest([file.read_bytes()]) for name, file in files.items()}
        write_json(fresh / "state.json", {**state, "checksums": checksums})
        for file in files.values():
            # NOTE: safetensors creates files that only their owner can read; give them the usual permissions.
            file.chmod((fresh / "state.json").stat().st_mode)
            sync(file)
        replace_folder(folder, fresh, old)


def snapshot_folder(folder: Path) -> Path | None:
    """Return the folder to read a snapshot from, or None if there is none.

    It is `folder`, or `.NAME.old` if the process was killed between the two renames of `replace_folder`.
    """
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if (candidate / "state.json").is_file():
            return candidate
    return None


def most_bytes(model: Module) -> int:
    """Return the most bytes of a file of this model's weights, or of Adam's state: two numbers and a step for each."""
    state = model.state_dict().values()
    return MOST_RECORD + 3 * sum(value.numel() * value.element_size() + TENSOR_ENTRY for value in state)


def load_weights(model: Module, folder: Path) -> None:
    """Load the weights of the snapshot in `folder`. Raises UserError as `read_snapshot` and `load_state` do."""
    load_state(model, read_snapshot(folder, "weights", most_bytes(model)), folder / "weights.safetensors")


def read_snapshot(folder: Path, name: str, most: int = MOST_TENSORS) -> dict[str, Tensor]:
    """Read the tensors of one of a snapshot's files.

    Raises:
        UserError: the file is missing or damaged, has more than `most` bytes, or is not the one of which state.json
            keeps the checksum.
    """
    checksums = read_record(folder / "state.json", Checksums).checksums
    return read_tensors(folder / f"{name}.safetensors", checksums.get(name), most)


def read_tensors(path: Path, checksum: str | None = None, most: int = MOST_TENSORS) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Args:
        checksum: SHA-256 of the file; None if it is not known, as in runs written before it was kept.
        most: most bytes that the file may have.

    Raises:
        UserError: the file is missing, truncated, damaged or too large, or has another checksum.
    """
    try:
        content = read_bytes(path, most, "was it replaced, or does config.json describe another model?")
        tensors = tensors_of(content)
    except FileNotFoundError:
        raise UserError(f"'{path}' is missing: the run folder is damaged or was only partly copied") from None
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"'{path}' cannot be read: there is too little memory for it") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"'{path}' is damaged ({error}): copy the run again, or resume from a good one") from None
    if checksum is not None and hexdigest([content]) != checksum:
        raise UserError(
            f"'{path}' does not fit the checksum in its state.json: it was replaced, or bytes of it have changed"
        )
    return tensors


def load_state(model: Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights that were read from `path`.

    Raises:
        UserError: names, shapes or types are not those of the model, or a weight is not a number.
    """
    types = {name: value.dtype for name, value in model.state_dict().items()}
    try:
        if types != {name: value.dtype for name, value in tensors.items()}:
            raise ValueError("names or types of numbers differ")
        model.load_state_dict(dict(tensors))
    except (RuntimeError, ValueError):
        raise UserError(f"'{path}' does not fit the run's config.json: one of the two was replaced") from None
    if not all(bool(value.isfinite().all()) for value in tensors.values()):
        raise UserError(f"'{path}' holds weights that are not numbers: training diverged, or the file is damaged")


def append_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one line of JSON per row to metrics.jsonl. Raises UserError if the disk is full or read-only."""
    with disk_errors(str(path)), path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_metrics(path: Path) -> list[EpochMetrics]:
    """Read the metrics of every epoch.

    Blank lines are skipped, and so is a last line that was cut off by a kill; any other damage raises UserError.
    """
    return _parse_metrics(_metrics_text(path), path)


def _metrics_text(path: Path) -> str:
    """Return the content of metrics.jsonl, empty if it is missing."""
    try:
        advice = "move it elsewhere, and the run goes on without it"
        return read_bytes(path, MOST_METRICS, advice).decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise UserError(f"'{path}' is damaged: wanted lines of JSON") from None


def _parse_metrics(text: str, path: Path) -> list[EpochMetrics]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows: list[EpochMetrics] = []
    for number, line in lines:
        try:
            raw = parse_json(line)
        except json.JSONDecodeError:
            if number == lines[-1][0]:  # the process was killed while it wrote this line
                break
            raise UserError(f"'{path}' is damaged: line {number} is not JSON") from None
        except ValueError as error:
            raise UserError(f"line {number} of '{path}' is damaged: {error}") from None
        _validated(raw, MetricsRow, f"line {number} of '{path}'")
        rows.append(raw)
    return rows


def truncate_metrics(path: Path, epoch: int) -> None:
    """Remove the lines of epochs after `epoch`, which a resumed run writes again, and what is not a whole line."""
    text = _metrics_text(path)
    kept = "".join(json.dumps(row) + "\n" for row in _parse_metrics(text, path) if row["epoch"] <= epoch)
    if kept != text:
        write_text(path, kept)
