"""What a run predicts at any auxiliary data, and in place of missing frames and pixels, given columns of its images.

Predictions are given all images of the run's data set, those of its three splits; where a run with a GP prior has
groups, such as videos, those of the same group, and with `cvae` those of the same identity. What is seen of an image
counts with the others in a GP's latent at it; with `cvae` its own latent is that of its own observed pixels alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.damage import counted
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, clipped, nearest, unknown
from gpvae_core.evaluation.process import conditional_inference
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import LEAST_VARIANCE, ConditionalInference, columns_of
from gpvae_core.part import MOST_SAMPLES
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit

AT_ONCE = 4096
"""Latents that are decoded in one batch."""
PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Prediction:
    """Images and latents that a run predicts at N rows of auxiliary data.

    >>> import gpvae_core as gpvae
    >>> import numpy as np
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> at = {"time": np.array([1.5, 40.0]), "video": np.array(["test 1", "test 1"])}
    >>> prediction = gpvae.predict(run, at, k=10)
    >>> prediction.images.shape, prediction.latents.shape, prediction.latent_variances.shape
    ((2, 1, 32, 32), (2, 2), (2, 2))
    """

    images: Float[np.ndarray, "N C H W"]
    """The decoded mean of the latents, as a mean of the pixels."""
    std: Float[np.ndarray, "N C H W"]
    """Standard deviation of each pixel's predictive distribution, with its noise, from samples of the latents."""
    latents: Float[np.ndarray, "N D"]
    """Mean of each latent's posterior."""
    latent_variances: Float[np.ndarray, "N D"]
    rests_on_none: Bool[np.ndarray, " N"]
    """Whether a row is of a category of which nothing was learned or no image is given: its prediction is the prior's,
    or rests on a vector that was never trained."""


@dataclass(frozen=True)
class Imputation:
    """A split's images with their missing pixels filled in.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> filled = gpvae.impute(run, "validation", k=10)
    >>> bool(filled.observed.all()), float(filled.std.max())  # as nothing is missing
    (True, 0.0)
    """

    images: Float[np.ndarray, "N C H W"]
    """Observed pixels as they are, and missing ones from the decoded mean of the image's latents."""
    std: Float[np.ndarray, "N C H W"]
    """Standard deviation of each missing pixel's predictive distribution; 0 at an observed pixel."""
    observed: Bool[np.ndarray, "N H W"]
    prediction: Prediction
    """The prediction of the images, observed pixels included."""


@torch.no_grad()
def predict(
    run: Run, columns: Mapping[str, np.ndarray], k: int = 100, seed: int = 0, progress: Progress = silent
) -> Prediction:
    """Return what a run predicts at rows of auxiliary data, such as times without an image.

    Args:
        columns: by name, values of the columns that the run's kernel takes, and of its groups if it has them, or of
            those of the condition and the identity with `cvae`: numbers (N,), names of categories (N,) as texts, or
            vectors (N, size). Others are not used.
        k: number of samples by which standard deviations of pixels are estimated, at least 2.

    Raises:
        UserError: the run models images alone, a column is missing, or values do not suit their column.

    >>> import gpvae_core as gpvae
    >>> import numpy as np
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> at = {"time": np.array([1.5, 40.0]), "video": np.array(["test 1", "test 1"])}
    >>> gpvae.predict(run, at, k=10).std.shape
    (2, 1, 32, 32)
    """
    engine = _begin(run, k, seed)
    used = _columns(run, engine)
    for column in used:
        if column.name not in columns:
            close = nearest(column.name, columns)
            raise UserError(
                f"wanted values of column '{column.name}', on which run '{run.name}' depends, got "
                f"{counted([*columns], 'column')}" + (f"; if '{close}' is it, name it '{column.name}'" if close else "")
            )
    values = {column.name: _values(column, np.asarray(columns[column.name])) for column in used}
    auxiliary = Auxiliary(used, values)
    if not len(auxiliary):
        raise UserError("wanted at least one row of auxiliary data, got none")
    at = {name: torch.from_numpy(auxiliary[name]).to(run.device) for name in values}
    splits = _splits(run)
    q = engine.given_images(splits).at(at, progress)
    return _decoded(run, engine, splits, q, at, k, seed, progress)


@torch.no_grad()
def impute(run: Run, split: PartName = "test", k: int = 100, seed: int = 0, progress: Progress = silent) -> Imputation:
    """Return the images of a split with missing pixels and missing frames filled in.

    Args:
        k: number of samples by which standard deviations of pixels are estimated, at least 2.

    Raises:
        UserError: the run models images alone, or the split is unknown.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> gpvae.impute(run, "validation", k=10).images.shape
    (1050, 1, 32, 32)
    """
    if split not in get_args(PartName):
        raise unknown("split", split, get_args(PartName))
    engine = _begin(run, k, seed)
    parts: dict[str, Split] = {"train": run.data.train, "validation": run.data.validation, "test": run.data.test}
    part, low = parts[split], sum(len(parts[name]) for name in list(parts)[: list(parts).index(split)])
    splits = _splits(run)
    q = engine.given_images(splits).of_images(low, low + len(part), progress)
    values = columns_of(splits[list(parts).index(split)])
    prediction = _decoded(run, engine, splits, q, values, k, seed, progress)
    observed = np.ones((len(part), *run.model.event_shape[1:]), np.bool_) if part.observed is None else part.observed
    there = observed[:, None]
    images = np.where(there, part.pixels().numpy(), prediction.images)
    return Imputation(images, np.where(there, np.float32(0.0), prediction.std), observed, prediction)


def columns_used(run: Run) -> tuple[Column, ...]:
    """Return the columns on which predictions of a run depend. Raises UserError if the run models images alone."""
    return _columns(run, conditional_inference(run))


def _columns(run: Run, engine: ConditionalInference) -> tuple[Column, ...]:
    return tuple(column for column in run.meta.columns if column.name in engine.columns)


def _begin(run: Run, k: int, seed: int) -> ConditionalInference:
    """Return the inference of a run. Raises UserError if it models images alone, or k is out of range."""
    if not 2 <= k <= MOST_SAMPLES:
        raise UserError(f"wanted 2 to {MOST_SAMPLES:,} samples for standard deviations of pixels, got k={k}")
    return conditional_inference(run, seed)


def _splits(run: Run) -> list[DeviceSplit]:
    """Return training, validation and test images on the device."""
    return [DeviceSplit(split, run.device) for split in (run.data.train, run.data.validation, run.data.test)]


def _values(column: Column, values: np.ndarray) -> np.ndarray:
    """Return values as an `Auxiliary` has them. Raises UserError if they do not suit the column's role."""
    if column.role == "category":
        return np.array([_code(column, str(name)) for name in values], np.int64)
    try:
        return np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(
            f"column '{column.name}': wanted numbers, got {clipped(str(values.ravel()[:1].tolist()))}"
        ) from None


def _code(column: Column, name: str) -> int:
    """Return the code of a category. Raises UserError, with the nearest one, if the run's data have none so called."""
    if name not in column.names:
        raise unknown(column.name, name, column.names)
    return column.names.index(name)


def _decoded(
    run: Run,
    engine: ConditionalInference,
    splits: Sequence[DeviceSplit],
    q: Marginals,
    values: Mapping[str, Tensor],
    k: int,
    seed: int,
    progress: Progress,
) -> Prediction:
    """Return the images of these latents at these columns, and standard deviations of their pixels from k samples."""
    likelihood, parts = run.model.likelihood, list[tuple[NDArray[np.float32], NDArray[np.float32]]]()
    generator = torch.Generator(run.device).manual_seed(seed)
    count = len(q.mean)
    for index in torch.arange(count, device=run.device).split(max(1, AT_ONCE // k)):
        at = {name: column[index] for name, column in values.items()}
        mean, std = q.mean[index], q.variance[index].clamp_min(LEAST_VARIANCE).sqrt()
        eps = torch.randn((k, *mean.shape), generator=generator, device=run.device, dtype=mean.dtype)
        drawn = likelihood.sample(engine.decode((mean + std * eps).to(torch.float32), at), generator)
        images = likelihood.mean(engine.decode(mean.to(torch.float32), at))
        parts.append((images.cpu().numpy(), drawn.std(0).cpu().numpy()))
        progress(int(index[-1]) + 1, count, "predicting")
    images, deviations = (np.concatenate(column) for column in zip(*parts, strict=True))
    none = engine.rests_on_none(values, splits).cpu().numpy()
    return Prediction(images, deviations, q.mean.cpu().numpy(), q.variance.cpu().numpy(), none)
