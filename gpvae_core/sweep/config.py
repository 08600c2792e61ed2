"""The configuration of a sweep, data sets x methods x d x splits x restarts, and reading it from a TOML file."""

from __future__ import annotations

import json
import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gpvae_core.errors import UserError, clipped, unknown
from gpvae_core.hashes import hexdigest
from gpvae_core.part import MOST_COUNT, MOST_POINTS, parse_model
from gpvae_core.reading import read_text

SPLITS, RESTARTS = 2**32, 2**20
"""Upper limits of split and restart seeds, so that `run_seed` is unique."""
MOST_JOBS = 10**5
"""Most trainings of a sweep, so that lists that were meant otherwise are one line and not a plan that never ends."""
AXES = {
    "method": "methods",
    "name": "datasets",
    "data.name": "datasets",
    "latent_dim": "latent_dims",
    "split_seed": "splits",
    "data.split_seed": "splits",
    "seed": "restarts",
    "epochs": "epochs",
    "train.epochs": "epochs",
}
"""Settings of a run that the sweep sets, and the field of the sweep file that determines each."""


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    repeated = sorted(value for value, times in Counter(values).items() if times > 1)
    if repeated:
        raise ValueError(f"wanted each value once, got {clipped(', '.join(map(str, repeated)))} twice")
    return values


def _list(values: Any) -> Any:
    """Return `values` if they are a non-empty list; pydantic's own message would ask for a tuple."""
    if not isinstance(values, list | tuple):
        raise ValueError(f"wanted a list like [{json.dumps(values, default=str)}], got {values!r}")
    if not values:
        raise ValueError("wanted at least one, got []")
    return values


LISTED = (AfterValidator(_distinct), BeforeValidator(_list))
Names = Annotated[tuple[str, ...], *LISTED]
Dims = Annotated[tuple[Annotated[int, Field(ge=1, le=1024, strict=True)], ...], *LISTED]
SplitSeeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=SPLITS, strict=True)], ...], *LISTED]
RestartSeeds = Annotated[tuple[Annotated[int, Field(ge=0, lt=RESTARTS, strict=True)], ...], *LISTED]


class ScoreConfig(BaseModel):
    """Settings of the score of a trained run on the test set."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    k: int = Field(default=100, ge=1, le=MOST_COUNT, strict=True, description="importance samples of the IWAE score")
    seed: int = Field(default=0, ge=0, lt=2**63, strict=True, description="seed of the score's noise")
    truths: int = Field(
        default=0,
        ge=0,
        le=MOST_POINTS,
        strict=True,
        description="number of test images whose log p(x) is estimated; 0 for none",
    )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain data, from which the keys of jobs are computed.

        Fields that were added later are omitted at their default, so that the keys of earlier results stay valid.
        """
        return {name: value for name, value in self.model_dump().items() if name != "truths" or value}


class SweepConfig(BaseModel):
    """The trainings of a sweep and their score.

    >>> from gpvae_core.sweep.config import SweepConfig
    >>> from gpvae_core.sweep.plan import plan
    >>> len(plan(SweepConfig(datasets=("digits",), methods=("vae", "gp"), latent_dims=(2, 10), restarts=(0, 1))))
    8
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(default="sweep", min_length=1, description="name of the sweep")
    datasets: Names = Field(description="data sets, as in `gpvae train --dataset`")
    methods: Names = Field(description="methods, as in `gpvae train --method`")
    latent_dims: Dims = Field(default=(2,), description="latent dimensions, d")
    splits: SplitSeeds = Field(default=(0,), description="seeds of the train/validation splits (data.split_seed)")
    restarts: RestartSeeds = Field(
        default=(0,), description="seeds of the restarts of each split, of which the best by validation counts"
    )
    epochs: int | None = Field(
        default=None, ge=1, le=MOST_COUNT, strict=True, description="passes over the training images"
    )
    preset: str | None = Field(default=None, description="name of a paper's settings, as in `gpvae train --preset`")
    set: dict[str, Any] = Field(default_factory=dict, description="other settings of every run, as in --set")
    method_settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings of single methods: by 'iaf' for every number, or by 'iaf:4'"
    )
    evaluate: ScoreConfig = Field(default=ScoreConfig(), description="settings of the score of each trained run")

    @model_validator(mode="after")
    def _check_jobs(self) -> Self:
        """Raise ValueError if the product of the lists has too many trainings."""
        names = ("datasets", "methods", "latent_dims", "splits", "restarts")
        sizes = {name: len(getattr(self, name)) for name in names}
        jobs = math.prod(sizes.values())
        if jobs > MOST_JOBS:
            factors = " x ".join(f"{size} {name}" for name, size in sizes.items())
            raise ValueError(f"wanted at most {MOST_JOBS} trainings in a sweep, got {jobs}: {factors}")
        return self

    def overrides(self, method: str) -> dict[str, Any]:
        """Return the settings of a method by dotted key: `set`, updated by those of its family, then by its own."""
        family = method.partition(":")[0]
        own = [self.method_settings.get(name, {}) for name in dict.fromkeys((family, method))]
        return flat(self.set) | {key: value for part in own for key, value in flat(part).items()}

    def setup(self) -> dict[str, Any]:
        """Return the settings that comparable results share: everything but the name and the axes of the sweep."""
        return {
            "epochs": self.epochs,
            "preset": self.preset,
            "set": flat(self.set),
            "method_settings": {name: flat(part) for name, part in self.method_settings.items()},
            "evaluate": self.evaluate.to_json(),
        }

    def setup_key(self) -> str:
        """Return a short hash of the setup, by which results are grouped."""
        return digest(self.setup())[:12]


def digest(value: Any) -> str:
    """Return the SHA-256 of the value's canonical JSON."""
    return hexdigest([json.dumps(value, sort_keys=True, separators=(",", ":"))])


def run_seed(split: int, restart: int) -> int:
    """Return the seed of a training, which is unique for each split and restart, and the restart's own at split 0."""
    return split * RESTARTS + restart


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested tables as dotted keys: {'net': {'hidden': 8}} -> {'net.hidden': 8}."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return out


def parse_sweep(raw: Mapping[str, Any]) -> SweepConfig:
    """Return the SweepConfig that plain data describe.

    Raises:
        UserError: a key is unknown (the message suggests the closest one), a value is out of range, or a setting is an
            axis of the sweep.
    """
    for key in raw:
        # Before the parser reports a missing field, which may be this one, misspelt.
        if key not in SweepConfig.model_fields:
            raise unknown("key", key, SweepConfig.model_fields)
    config = parse_model(SweepConfig, raw)
    families = {name.partition(":")[0] for name in config.methods} | set(config.methods)
    for name in config.method_settings:
        if name not in families:
            raise UserError(
                f"method_settings has '{name}', which is none of the sweep's methods: {', '.join(config.methods)}"
            )
    for method in config.methods:
        _refuse_axes(config.overrides(method))
    return config


def _refuse_axes(keys: Sequence[str] | Mapping[str, Any]) -> None:
    for key in keys:
        if key in AXES:
            raise UserError(f"'{key}' is decided by the sweep's '{AXES[key]}': leave it out of the settings")


def read_sweep(path: Path) -> SweepConfig:
    """Return the sweep described by a TOML file.

    Raises:
        UserError: the file is missing, is not TOML, or has an invalid key or value.
    """
    try:
        raw = tomllib.loads(read_text(path))
    except FileNotFoundError:
        raise UserError(f"there is no sweep file '{path}'") from None
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UserError(f"'{path}' is not a TOML file: {error}") from None
    try:
        return parse_sweep({"name": path.stem, **raw})
    except UserError as error:
        raise UserError(f"'{path}': {error}") from None
