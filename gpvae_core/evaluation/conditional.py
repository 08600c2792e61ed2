"""Evaluation of a GP-prior VAE: images that are generated at auxiliary data, given other images.

Without groups, images of a split are generated at their columns given the training images alone (conditional
generation, Jazbec et al. 2021, sec. 4.2). With groups, such as videos, those of a split are new: each is reconstructed
from its own frames, and its latents are compared with a known path (sec. 4.1).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.bounds import iwae
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.errors import unknown
from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.settings import SPLITS, SplitName
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.gp_prior.engine import LEAST_VARIANCE
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit

INTERVAL = 0.95
"""Probability of the central predictive interval of a pixel, of which the coverage is reported."""
AT_ONCE = 4096
"""Images that are decoded in one batch."""


class Yardsticks(EvaluationPart):
    """Mean square errors of a pixel of predictions that need no model."""

    omitted: ClassVar[frozenset[str]] = frozenset({"nearest_view", "nearest_view_rotated"})
    mean_image: Mean
    """Of the mean of the training images."""
    nearest_view: Mean | None = None
    """Of the training image of the same categories, nearest in the columns that are numbers."""
    nearest_view_rotated: Mean | None = None
    """Of that image rotated by the difference of the angles. It knows that the column is an angle of the picture, which
    no model is told: where it is far better, the set is easy for whoever knows that."""


class ConditionalEvaluation(EvaluationPart):
    """The evaluation of a run with a GP prior on a split, as `gpvae evaluate` prints it."""

    omitted: ClassVar[frozenset[str]] = frozenset({"path_rmse"})
    run: str
    dataset: str
    split: str
    method: str
    latent_dim: int
    epochs: int
    best_epoch: int
    given: str
    """The images that predictions are given: the training images, or the frames of the same group."""
    mse: Mean
    """Mean square error of a pixel of the decoded mean of the latents."""
    mse_sample: Mean
    """The same, of one decoded sample of the latents."""
    nlpd: Mean
    """Negative log predictive density of an image in nats, -log mean_k p(y|z_k) over `k` samples; in expectation it is
    too large for a finite k."""
    coverage: Mean
    """Share of an image's pixels in the central 95 % interval of their predictive distribution, by the quantiles of `k`
    samples: of few samples these are too close together, of 20 about 86 % of the distribution."""
    yardsticks: Yardsticks
    path_rmse: Number = None
    """Root mean square error, in the units of the known path, of the latents' mean after one affine fit to it; None
    without a path."""
    k: int
    seconds: float


@torch.no_grad()
def evaluate_conditional(
    run: Run, split: SplitName = "test", k: int = 100, seed: int = 0, progress: Progress = silent
) -> ConditionalEvaluation:
    """Return the evaluation of a run with a GP prior.

    Raises:
        UserError: the run has another prior, or the split is neither 'test' nor 'validation'.
    """
    started = time.monotonic()
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    engine = inference_of(run, seed)
    data, images = run.data, {"test": run.data.test, "validation": run.data.validation}[split]
    on_device = DeviceSplit(images, run.device)
    q = engine.latents(on_device)
    columns = zip(*_scores(run, on_device, q, k, seed, progress), strict=True)
    mse, mse_sample, nlpd, coverage = (np.concatenate(column) for column in columns)
    best = max(run.metrics, key=lambda row: row["validation_elbo"], default=None)
    group = run.config.prior.model_dump().get("group", "")
    return ConditionalEvaluation(
        run=run.name,
        dataset=run.config.data.name,
        split=split,
        method=run.config.method,
        latent_dim=run.config.latent_dim,
        epochs=run.metrics[-1]["epoch"] if best else 0,
        best_epoch=best["epoch"] if best else 0,
        given=f"the frames of the same {group}" if group else "the training images",
        mse=Mean.over(mse),
        mse_sample=Mean.over(mse_sample),
        nlpd=Mean.over(nlpd),
        coverage=Mean.over(coverage),
        yardsticks=_yardsticks(data.train, images, grouped=bool(group)),
        path_rmse=_path_rmse(q, images) if group else None,
        k=k,
        seconds=round(time.monotonic() - started, 2),
    )


def _scores(
    run: Run, split: DeviceSplit, q: Marginals, k: int, seed: int, progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield mse, mse of a sample, negative log predictive density and coverage of the images, batch by batch."""
    vae, likelihood = run.model, run.model.likelihood
    generator = torch.Generator(run.device).manual_seed(seed)
    size = max(1, AT_ONCE // k)
    for index in torch.arange(len(split), device=run.device).split(size):
        x = split.batch(index)
        mean, std = q.mean[index], q.variance[index].clamp_min(LEAST_VARIANCE).sqrt()
        eps = torch.randn((k, *mean.shape), generator=generator, device=run.device, dtype=mean.dtype)
        g = vae.decode((mean + std * eps).to(x.dtype))
        # With z drawn from its posterior, log w = log p(y|z).
        log_density = iwae(likelihood.log_prob(x, g)).cpu().double()
        # Of a pixel, the samples of the images are samples of its predictive distribution.
        drawn = likelihood.sample(g, generator)
        tail = (1 - INTERVAL) / 2
        low, high = torch.quantile(drawn, torch.tensor([tail, 1 - tail], device=run.device), dim=0)
        inside = (x >= low) & (x <= high)
        yield (
            _square_error(x, likelihood.mean(vae.decode(mean.to(x.dtype)))),
            _square_error(x, likelihood.mean(g[0])),
            -log_density.numpy(),
            inside.flatten(1).float().mean(1).cpu().double().numpy(),
        )
        progress(int(index[-1]) + 1, len(split), "predicting")


def _square_error(x: Tensor, shown: Tensor) -> np.ndarray:
    """Return the mean square error of each image's pixels, (B,)."""
    return (x - shown).square().flatten(1).mean(1).cpu().double().numpy()


def _path_rmse(q: Marginals, images: Split) -> float | None:
    """Return the root mean square error of the latents' mean after one affine fit to the first vector column."""
    column = path_column(images.auxiliary)
    if column is None or images.auxiliary is None:
        return None
    mean, path = q.mean.cpu().numpy(), images.auxiliary[column.name]
    return AffineFit.of(mean, path).rmse(mean, path)


def _yardsticks(train: Split, images: Split, grouped: bool) -> Yardsticks:
    """Return what the mean image and, without groups, the nearest training view would have scored."""
    truth, mean_image = _flat(images), _flat(train).mean(0)
    errors = {"mean_image": np.square(truth - mean_image).mean(1)}
    assert train.auxiliary is not None
    assert images.auxiliary is not None
    numbers = [column for column in train.auxiliary.columns if column.role == "number"]
    if not grouped and numbers:
        found, nearest = _nearest(train.auxiliary, images.auxiliary, numbers)
        errors["nearest_view"] = np.square(truth[found] - _flat(train)[nearest[found]]).mean(1)
        turn = next((column for column in numbers if _is_angle(column)), None)
        if turn is not None:
            by = images.auxiliary[turn.name][found] - train.auxiliary[turn.name][nearest[found]]
            views = _rotated(train.pixels(nearest[found]), 360.0 * by / float(turn.period or 1))
            errors["nearest_view_rotated"] = np.square(truth[found] - views).mean(1)
    return Yardsticks(**{name: Mean.over(values) for name, values in errors.items()})


def _flat(split: Split) -> Float[np.ndarray, "N P"]:
    return split.pixels().flatten(1).double().numpy()


def _is_angle(column: Column) -> bool:
    """Return whether a column is an angle by its unit and period: a full turn."""
    turns = {"rad": 2 * math.pi, "degrees": 360.0}
    return column.unit in turns and column.period is not None and math.isclose(column.period, turns[column.unit])


def _nearest(
    train: Auxiliary, images: Auxiliary, numbers: list[Column]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return which images have a training image of the same categories, and the nearest one's index for each."""
    keys = [column.name for column in train.columns if column.role == "category"]
    codes = np.column_stack([train[name] for name in keys]) if keys else np.zeros((len(train), 0))
    own = np.column_stack([images[name] for name in keys]) if keys else np.zeros((len(images), 0))
    distance = np.zeros((len(images), len(train)))
    for column in numbers:
        difference = np.abs(images[column.name][:, None] - train[column.name])
        if column.period is not None:
            difference = np.minimum(difference % column.period, column.period - difference % column.period)
        distance += np.square(difference / max(float(train[column.name].std()), 1e-12))
    distance[(own[:, None] != codes).any(-1)] = np.inf
    return np.asarray(np.isfinite(distance).any(1)), distance.argmin(1)


def _rotated(x: Tensor, degrees: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N P"]:
    """Return images rotated counter-clockwise, each by its angle, by cubic splines."""
    from scipy.ndimage import rotate  # takes long to import, and only angles need it

    turned = [
        rotate(image, angle, axes=(1, 2), reshape=False)
        for image, angle in zip(x.double().numpy(), degrees, strict=True)
    ]
    return np.stack(turned).reshape(len(x), -1) if turned else np.zeros((0, math.prod(x.shape[1:])))
