"""The records in the files of a run folder, each field with the bounds outside of which a file is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from gpvae_core.data.auxiliary import Column

Count = Annotated[int, Field(ge=0, le=10**12)]
Epoch = Annotated[int, Field(ge=1, le=10**12)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Nats = Annotated[float, Field(ge=-1e39, le=1e39)]
"""Nats; the bounds are beyond the range of float32, in which models compute, and exclude infinity and NaN."""
Scale = Annotated[float, Field(gt=0, le=1e39)]
"""sigma_x, in pixel units."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Side = Annotated[int, Field(ge=1, le=2**16)]
DeviceType = Annotated[str, Field(pattern="^(cpu|cuda|mps)$")]


@dataclass
class TrainingState:
    """Progress of training; together with the weights and the optimizer it is all that resuming needs."""

    epoch: Count = 0
    """Number of completed epochs."""
    step: Count = 0
    """Number of steps taken in the current epoch."""
    bound_sum: Nats = 0.0
    """Sum of the training bound over the images of the current epoch so far, nats."""
    seconds: Seconds = 0.0
    """Wall time of training so far."""
    best_epoch: Count = 0
    best_elbo: Nats | None = None
    """Best validation score so far, nats."""
    finished: bool = False
    stage: Count = 0
    """Index of the encoder's current training stage, from 0."""
    stage_epoch: Count = 0
    """Number of completed epochs when that stage began."""
    device: DeviceType = "cpu"
    """Type of the device that the generator's state belongs to."""
    epoch_rng: str = ""
    """Generator state (hexadecimal) at the start of the epoch; it determines the epoch's order of images."""
    rng: str = ""
    """Generator state (hexadecimal) now."""
    passes: Count = 0
    """Distinct codes encoded and decoded in the current epoch, if inference counts them."""
    start_noise_scale: Scale | None = None
    """sigma_x at the start of training; None for a likelihood without one, and in older runs."""

    def __post_init__(self) -> None:
        if max(self.best_epoch, self.stage_epoch) > self.epoch:
            raise ValueError(
                f"wanted best_epoch and stage_epoch of at most the {self.epoch} completed epochs, got "
                f"{self.best_epoch} and {self.stage_epoch}"
            )


class BestState(BaseModel):
    """The content of best/state.json."""

    epoch: Epoch
    validation_elbo: Nats


class RunMetadata(BaseModel):
    """The content of meta.json. Loading a run needs the first two entries; the others are information for people.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> run.meta.event_shape
    (1, 8, 8)
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    event_shape: tuple[Side, Side, Side]
    """Channels, height and width of an image."""
    data_fingerprint: str
    columns: tuple[Column, ...] = ()
    """The auxiliary columns of the data."""
    versions: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    seed: Seed | None = None
    images: dict[str, Count] = Field(default_factory=dict)
    """Number of images of each split."""
    parameters: Count | None = None
    """Number of parameters of the model."""
    init_from: str | None = None
    """Name of the run whose weights initialized this one."""
    decoder_from: str | None = None
    """Name of the run whose decoder this one keeps frozen."""
    created: str = ""
    """Time at the start of training, UTC."""
    seconds: Seconds = 0.0
    """Wall time of training."""
    peak_memory: Count | None = None
    """Peak memory in bytes of the process that trained, or of the GPU; None of older runs, and where it is unknown."""


class MetricsRow(BaseModel):
    """The entries of a line of metrics.jsonl that the program uses, as they stand: nothing is converted."""

    model_config = ConfigDict(extra="allow", strict=True)
    epoch: Epoch
    validation_elbo: Nats
    seconds: Seconds
    train_bound: Nats | None = None
    passes: Nats | None = None


class Checksums(BaseModel):
    """The entry of a snapshot's state.json with the SHA-256 of its files; snapshots written before have none."""

    checksums: dict[str, str] = Field(default_factory=dict)
    """Name of the tensors, as 'weights' -> SHA-256 of the file, hexadecimal."""


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
