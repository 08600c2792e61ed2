"""Reading and writing the files of a run folder; a kill at any moment leaves the last complete state. No pickle.

    config.json  meta.json  metrics.jsonl
    best/      weights.safetensors  state.json                             (best validation score)
    epochs/N/  weights.safetensors  state.json                             (epochs selected by train.keep_every)
    last/      weights.safetensors  optimizer.safetensors  state.json      (to resume from)

`best` and `last` are replaced as whole folders, so that weights and optimizer always belong to the same epoch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveInt, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gpvae_core.errors import UserError, nearest
from gpvae_core.files import disk_errors, replace_folder, sync, write_json, write_text
from gpvae_core.run_config import FORMAT, RunConfig, parse_config

T = TypeVar("T")
UNFINISHED = "unfinished"
"""Folder of the best weights of training that inference has not finished yet (`Inference.finish`)."""
EPOCHS = "epochs"
"""Folder of the weights of selected epochs (train.keep_every), with one subfolder per epoch."""


@dataclass
class TrainingState:
    """Progress of training; together with the weights and the optimizer it is all that resuming needs."""

    epoch: int = 0
    """Number of completed epochs."""
    step: int = 0
    """Number of steps taken in the current epoch."""
    bound_sum: FiniteFloat = 0.0
    """Sum of the training bound over the images of the current epoch so far, nats."""
    seconds: float = 0.0
    """Wall time of training so far."""
    best_epoch: int = 0
    best_elbo: FiniteFloat | None = None
    """Best validation score so far, nats."""
    finished: bool = False
    stage: int = 0
    """Index of the encoder's current training stage, from 0."""
    stage_epoch: int = 0
    """Number of completed epochs when that stage began."""
    device: str = "cpu"
    """Type of the device that the generator's state belongs to."""
    epoch_rng: str = ""
    """Generator state (hexadecimal) at the start of the epoch; it determines the epoch's order of images."""
    rng: str = ""
    """Generator state (hexadecimal) now."""
    passes: int = 0
    """Distinct codes encoded and decoded in the current epoch, if inference counts them."""
    start_noise_scale: float | None = None
    """sigma_x at the start of training; None for a likelihood without one, and in older runs."""


class BestState(BaseModel):
    """The content of best/state.json."""

    epoch: int = Field(ge=1)
    validation_elbo: FiniteFloat


class RunMetadata(BaseModel):
    """The content of meta.json. Loading a run needs the first two entries; the others are information for people.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.meta.event_shape
    (1, 8, 8)
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    event_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """Channels, height and width of an image."""
    data_fingerprint: str
    versions: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    seed: int | None = None
    images: dict[str, int] = Field(default_factory=dict)
    """Number of images of each split."""
    parameters: int | None = None
    """Number of parameters of the model."""
    init_from: str | None = None
    """Name of the run whose weights initialized this one."""
    decoder_from: str | None = None
    """Name of the run whose decoder this one keeps frozen."""
    created: str = ""
    """Time at the start of training, UTC."""
    seconds: float = 0.0
    """Wall time of training."""


class MetricsRow(BaseModel):
    """The entries that every line of metrics.jsonl must have."""

    model_config = ConfigDict(extra="allow")
    epoch: int = Field(ge=1)
    validation_elbo: FiniteFloat
    seconds: float


class EpochMetrics(TypedDict):
    """One line of metrics.jsonl.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.metrics[-1]["epoch"]
    1
    """

    epoch: int
    train_bound: float
    """Mean training bound over the epoch, nats."""
    validation_elbo: float
    """Mean validation ELBO at the end of the epoch, nats."""
    seconds: float
    """Wall time of training so far."""
    passes: NotRequired[float]
    """Mean number of distinct codes decoded per training image, if inference counts them."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UserError if the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"'{path.parent}' is not a run: it has no {path.name}") from None
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"'{path}' is damaged: wanted a JSON object ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"'{path}' is damaged: wanted a JSON object, got {type(value).__name__}")
    return value


def check_format(value: Mapping[str, Any], path: Path) -> None:
    """Raise UserError if `value`, read from `path`, was written by a newer version or states no format."""
    number = value.get("format")
    if not isinstance(number, int):
        raise UserError(f"'{path}' is not a run of this program: it states no format")
    if number > FORMAT:
        raise UserError(
            f"'{path}' was written by a newer version (format {number}, this one reads {FORMAT}): upgrade gpvae-core"
        )


def existing_run(folder: Path) -> Path:
    """Return `folder` if it exists; else raise UserError, with the closest name among its siblings."""
    if folder.is_dir():
        return folder
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
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


def _validated(raw: Any, kind: type[T], source: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UserError(f"{source} is damaged: {field + ': ' if field else ''}{first['msg'].lower()}") from None


def write_snapshot(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Replace `folder` as a whole by a new one with NAME.safetensors for each entry of `tensors`, and state.json.

    Raises:
        UserError: the disk is full or read-only; the old folder then stays.
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with disk_errors(str(folder)):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        write_json(fresh / "state.json", state)
        for name, values in tensors.items():
            plain = {key: value.detach().cpu().contiguous() for key, value in values.items()}
            file = fresh / f"{name}.safetensors"
            save_file(plain, file)
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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file. Raises UserError if it is missing, truncated or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"'{path}' is missing: the run folder is damaged or was only partly copied") from None
    except PermissionError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged ({error}): copy the run again, or resume from a good one") from None


def append_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one line of JSON per row to metrics.jsonl. Raises UserError if the disk is full or read-only."""
    with disk_errors(str(path)), path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_metrics(path: Path) -> list[EpochMetrics]:
    """Read the metrics of every epoch. A last line cut off by a kill is skipped; any other damage raises UserError."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise UserError(f"'{path}' is damaged: wanted lines of JSON") from None
    rows: list[EpochMetrics] = []
    for number, line in enumerate(lines, 1):
        try:
            raw = json.loads(line)
        except ValueError:
            if number == len(lines):  # the process was killed while it wrote this line
                break
            raise UserError(f"'{path}' is damaged: line {number} is not JSON") from None
        _validated(raw, MetricsRow, f"line {number} of '{path}'")
        rows.append(raw)
    return rows


def truncate_metrics(path: Path, epoch: int) -> None:
    """Remove the lines of epochs after `epoch`, which a resumed run writes again."""
    rows = [row for row in read_metrics(path) if row["epoch"] <= epoch]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
