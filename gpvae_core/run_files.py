"""The files of a run folder, written so that a kill at any moment leaves the last good state. No pickle anywhere.

    config.json  meta.json  metrics.jsonl
    best/   weights.safetensors  state.json                             (best on validation)
    epochs/N/  the same for every epoch N that train.keep_every names
    last/   weights.safetensors  optimizer.safetensors  state.json      (to resume from)

`best` and `last` are folders, replaced as a whole, so that weights never stand beside another epoch's optimizer.
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
RAW = "unfinished"
"""Folder of the best weights of a run whose inference has to finish them (`Inference.finish`)."""
KEPT = "epochs"
"""Folder of the weights of single epochs (train.keep_every), one folder each."""


@dataclass
class State:
    """Where training stands; with the weights and the optimizer it is all that a resumed run needs."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps done in the current epoch."""
    bound_sum: FiniteFloat = 0.0
    """Training bound summed over the images seen in the current epoch, nats."""
    seconds: float = 0.0
    best_epoch: int = 0
    best_elbo: FiniteFloat | None = None
    finished: bool = False
    stage: int = 0
    """The encoder's training stage that was reached (from 0)."""
    stage_epoch: int = 0
    """Epochs done when it was entered."""
    device: str = "cpu"
    """Type of the device, to which the generator's state belongs."""
    epoch_rng: str = ""
    """Generator state (hexadecimal) at the start of the epoch, from which its order of images follows."""
    rng: str = ""
    passes: int = 0
    """Distinct codes encoded and decoded in the current epoch, where inference counts them."""


class BestState(BaseModel):
    """The content of best/state.json."""

    epoch: int = Field(ge=1)
    validation_elbo: FiniteFloat


class Meta(BaseModel):
    """The content of meta.json. A run can be used where the first two entries are there; the others are for people."""

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
    """Number of the model's parameters."""
    init_from: str | None = None
    """Name of the run whose weights training began with."""
    decoder_from: str | None = None
    """Name of the run whose decoder this one took over, unchanged."""
    created: str = ""
    """Time at the start of training, UTC."""
    seconds: float = 0.0
    """Wall time of training."""


class MetricsRow(BaseModel):
    """The entries that every line of metrics.jsonl has."""

    model_config = ConfigDict(extra="allow")
    epoch: int = Field(ge=1)
    validation_elbo: FiniteFloat
    seconds: float


class EpochMetrics(TypedDict):
    """One line of metrics.jsonl."""

    epoch: int
    train_bound: float
    """Mean training bound over the epoch, nats."""
    validation_elbo: float
    """Mean validation ELBO after it, nats."""
    seconds: float
    """Time of training so far."""
    passes: NotRequired[float]
    """Distinct codes that were decoded for each image, where inference counts them."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises UserError where the file is missing or damaged."""
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


def check_format(value: Mapping[str, Any], where: Path) -> None:
    """Refuse a folder that a newer version wrote."""
    number = value.get("format")
    if not isinstance(number, int):
        raise UserError(f"'{where}' is not a run of this program: it states no format")
    if number > FORMAT:
        raise UserError(
            f"'{where}' was written by a newer version (format {number}, this one reads {FORMAT}): upgrade gpvae-core"
        )


def existing_run(folder: Path) -> Path:
    """Return the folder where it is there. Raises UserError with the nearest folder beside it."""
    if folder.is_dir():
        return folder
    siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
    close = nearest(folder.name, siblings)
    raise UserError(f"there is no run '{folder}'" + (f"; did you mean '{folder.parent / close}'?" if close else ""))


def read_config(folder: Path) -> RunConfig:
    """Read the run's config.json. Raises UserError where it is missing, damaged or from a newer version."""
    path = existing_run(folder) / "config.json"
    raw = read_json(path)
    check_format(raw, folder)
    raw.pop("format")
    try:
        return parse_config(raw)
    except UserError as error:
        raise UserError(f"'{path}' is damaged or not from this version: {error}") from None


def read_record(path: Path, kind: type[T]) -> T:
    """Read a JSON file of a run as `kind`. Raises UserError where it is missing, damaged or from a newer version."""
    raw = read_json(path)
    check_format(raw, path)
    raw.pop("format")
    return _checked(raw, kind, str(path))


def _checked(raw: Any, kind: type[T], where: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UserError(f"{where} is damaged: {field + ': ' if field else ''}{first['msg'].lower()}") from None


def write_snapshot(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Replace `folder` as a whole by one that holds NAME.safetensors for each entry of `tensors`, and state.json."""
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    with disk_errors(str(folder)):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        write_json(fresh / "state.json", state)
        for name, values in tensors.items():
            plain = {key: value.detach().cpu().contiguous() for key, value in values.items()}
            file = fresh / f"{name}.safetensors"
            save_file(plain, file)
            file.chmod((fresh / "state.json").stat().st_mode)  # NOTE: safetensors would keep it from everyone else
            sync(file)
        replace_folder(folder, fresh, old)


def snapshot_folder(folder: Path) -> Path | None:
    """Return the folder to read: itself, or the old one where a kill struck between two renames; else None."""
    for candidate in (folder, folder.with_name(f".{folder.name}.old")):
        if (candidate / "state.json").is_file():
            return candidate
    return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file. Raises UserError where it is missing, truncated or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"'{path}' is missing: the run folder is damaged or was only partly copied") from None
    except PermissionError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is damaged ({error}): copy the run again, or resume from a good one") from None


def append_metrics(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add lines to metrics.jsonl."""
    with disk_errors(str(path)), path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read_metrics(path: Path) -> list[EpochMetrics]:
    """Read the epochs so far; a last line cut off by a kill is left out. Raises UserError where another is damaged."""
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
            if number == len(lines):
                break
            raise UserError(f"'{path}' is damaged: line {number} is not JSON") from None
        _checked(raw, MetricsRow, f"line {number} of '{path}'")
        rows.append(raw)
    return rows


def truncate_metrics(path: Path, epoch: int) -> None:
    """Forget the lines after `epoch`, which a resumed run writes again."""
    kept = [row for row in read_metrics(path) if row["epoch"] <= epoch]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
