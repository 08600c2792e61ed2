"""What a run with a GP prior predicts at any auxiliary data, and in place of missing frames and pixels.

Predictions are given all images of the run's data set, those of its three splits; where the run has groups, such as
videos, those of the same group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.damage import counted
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, clipped, unknown
from gpvae_core.evaluation.process import inference_of
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.conditional import LEAST_VARIANCE, columns_of
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.inference.gp_prior.model import GPModel, Predictor
from gpvae_core.part import MOST_SAMPLES
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit

AT_ONCE = 4096
"""Latents that are decoded in one batch."""
PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Prediction:
    """Images and latents that a run with a GP prior predicts at N rows of auxiliary data.

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
    """Return what a run with a GP prior predicts at rows of auxiliary data, such as times without an image.

    Args:
        columns: by name, values of the columns that the run's kernel takes, and of its groups if it has them: numbers
            (N,), names of categories (N,) as texts, or vectors (N, size). Others are not used.
        k: number of samples by which standard deviations of pixels are estimated, at least 2.

    Raises:
        UserError: the run has no GP prior, a column is missing, or values do not suit their column.

    >>> import gpvae_core as gpvae
    >>> import numpy as np
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> at = {"time": np.array([1.5, 40.0]), "video": np.array(["test 1", "test 1"])}
    >>> gpvae.predict(run, at, k=10).std.shape
    (2, 1, 32, 32)
    """
    engine, model = _begin(run, k, seed)
    used = columns_used(run)
    for column in used:
        if column.name not in columns:
            raise UserError(
                f"wanted values of column '{column.name}', on which run '{run.name}' depends, got "
                f"{counted([*columns], 'column')}"
            )
    values = {column.name: _values(column, np.asarray(columns[column.name])) for column in used}
    auxiliary = Auxiliary(used, values)
    if not len(auxiliary):
        raise UserError("wanted at least one row of auxiliary data, got none")
    at = {name: torch.from_numpy(auxiliary[name]).to(run.device) for name in values}
    return _decoded(run, _at(_AllImages(run, engine, model), model, at, progress), k, seed, progress)


@torch.no_grad()
def impute(run: Run, split: PartName = "test", k: int = 100, seed: int = 0, progress: Progress = silent) -> Imputation:
    """Return the images of a split with missing pixels and missing frames filled in.

    Args:
        k: number of samples by which standard deviations of pixels are estimated, at least 2.

    Raises:
        UserError: the run has no GP prior, or the split is unknown.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp", "moving-ball", settings=small, progress=gpvae.silent)
    >>> gpvae.impute(run, "validation", k=10).images.shape
    (1050, 1, 32, 32)
    """
    if split not in get_args(PartName):
        raise unknown("split", split, get_args(PartName))
    engine, model = _begin(run, k, seed)
    parts: dict[str, Split] = {"train": run.data.train, "validation": run.data.validation, "test": run.data.test}
    part, low = parts[split], sum(len(parts[name]) for name in list(parts)[: list(parts).index(split)])
    latents = _of_images(_AllImages(run, engine, model), low, low + len(part), progress)
    prediction = _decoded(run, latents, k, seed, progress)
    observed = np.ones((len(part), *run.model.event_shape[1:]), np.bool_) if part.observed is None else part.observed
    there = observed[:, None]
    images = np.where(there, part.pixels().numpy(), prediction.images)
    return Imputation(images, np.where(there, np.float32(0.0), prediction.std), observed, prediction)


def columns_used(run: Run) -> tuple[Column, ...]:
    """Return the columns that a run's kernel takes, and that of its groups. Raises UserError without a GP prior."""
    inference_of(run)
    assert isinstance(run.model.extra, GPModel)
    prior = run.model.extra.prior
    return tuple(column for column in run.meta.columns if column.name in {*prior.inputs.features, prior.group})


def _begin(run: Run, k: int, seed: int) -> tuple[GPPriorInference, GPModel]:
    """Return the inference of a run, and its process. Raises UserError if it has none, or k is out of range."""
    if not 2 <= k <= MOST_SAMPLES:
        raise UserError(f"wanted 2 to {MOST_SAMPLES:,} samples for standard deviations of pixels, got k={k}")
    engine = inference_of(run, seed)
    assert isinstance(run.model.extra, GPModel)
    return engine, run.model.extra


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


class _AllImages:
    """The pseudo-observations of all images of a run's data, by group: all are one group where the run has none."""

    def __init__(self, run: Run, engine: GPPriorInference, model: GPModel) -> None:
        splits = [DeviceSplit(split, run.device) for split in (run.data.train, run.data.validation, run.data.test)]
        pieces = [engine.pseudo_observations(split) for split in splits]
        self._model, self._mean = model, torch.cat([piece.mean for piece in pieces], 1)
        self._precision = torch.cat([piece.precision for piece in pieces], 1)
        self._inputs = torch.cat([model.prior.at(columns_of(split)) for split in splits])
        self.group = torch.cat([_groups(model, columns_of(split), len(split)) for split in splits])

    def of(self, code: int) -> tuple[Predictor, Float[Tensor, "M F"], Int64[Tensor, " M"]]:
        """Return the process given the images of a group, with their inputs and their indices among all images."""
        index = (self.group == code).nonzero().squeeze(1)
        inputs, pseudo = self._inputs[index], PseudoObservations(self._mean[:, index], self._precision[:, index])
        return self._model.family.given(self._model.prior, inputs, pseudo), inputs, index

    def empty(self, count: int) -> Marginals:
        """Return marginals (count, D) to be filled."""
        return Marginals(*self._mean.new_zeros(2, count, len(self._mean)))


def _groups(model: GPModel, values: Mapping[str, Tensor], count: int) -> Int64[Tensor, " N"]:
    """Return the code of each row's group; 0 where the run has no groups."""
    device = next(iter(values.values())).device
    return values[model.prior.group] if model.prior.group else torch.zeros(count, dtype=torch.int64, device=device)


def _at(images: _AllImages, model: GPModel, values: Mapping[str, Tensor], progress: Progress) -> Marginals:
    """Return the posteriors (N, D) of latents at these columns."""
    wanted = model.prior.at(values)
    group, q = _groups(model, values, len(wanted)), images.empty(len(wanted))
    codes = group.unique().tolist()
    for number, code in enumerate(codes, 1):
        rows = (group == code).nonzero().squeeze(1)
        found = images.of(code)[0].predict(wanted[rows])
        q.mean[rows], q.variance[rows] = found.mean.mT, found.variance.mT
        progress(number, len(codes), "inferring latents")
    return q


def _of_images(images: _AllImages, low: int, high: int, progress: Progress) -> Marginals:
    """Return the posteriors (N, D) of the latents of the images from number `low` to before `high` of all."""
    q = images.empty(high - low)
    codes = images.group[low:high].unique().tolist()
    for number, code in enumerate(codes, 1):
        predictor, inputs, index = images.of(code)
        # By the same tensor of inputs a kernel knows that these are the instances themselves, whose noise they share.
        found = predictor.predict(inputs)
        own = (index >= low) & (index < high)
        q.mean[index[own] - low], q.variance[index[own] - low] = found.mean.mT[own], found.variance.mT[own]
        progress(number, len(codes), "inferring latents")
    return q


def _decoded(run: Run, q: Marginals, k: int, seed: int, progress: Progress) -> Prediction:
    """Return the images of these latents, and standard deviations of their pixels from k samples."""
    vae, likelihood, parts = run.model, run.model.likelihood, list[tuple[NDArray[np.float32], NDArray[np.float32]]]()
    generator = torch.Generator(run.device).manual_seed(seed)
    count = len(q.mean)
    for index in torch.arange(count, device=run.device).split(max(1, AT_ONCE // k)):
        mean, std = q.mean[index], q.variance[index].clamp_min(LEAST_VARIANCE).sqrt()
        eps = torch.randn((k, *mean.shape), generator=generator, device=run.device, dtype=mean.dtype)
        drawn = likelihood.sample(vae.decode((mean + std * eps).to(torch.float32)), generator)
        images = likelihood.mean(vae.decode(mean.to(torch.float32)))
        parts.append((images.cpu().numpy(), drawn.std(0).cpu().numpy()))
        progress(int(index[-1]) + 1, count, "predicting")
    images, deviations = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Prediction(images, deviations, q.mean.cpu().numpy(), q.variance.cpu().numpy())
