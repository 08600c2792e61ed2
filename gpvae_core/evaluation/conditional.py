"""Evaluation of GP-prior VAEs and their rivals: images that are generated at auxiliary data, given other images.

Without groups, images of a split are generated at their columns given the training images alone (conditional
generation, Jazbec et al. 2021, sec. 4.2). With groups, such as videos, those of a split are new: each is reconstructed
from its own frames, and its latents are compared with a known path (sec. 4.1).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpvae_core.bounds import iwae
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, unknown
from gpvae_core.evaluation.as_published import AsPublished, as_published, check_kept
from gpvae_core.evaluation.instances import InstanceMeasures, instance_measures
from gpvae_core.evaluation.kernel_parameters import KernelParameter, kernel_parameters
from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.evaluation.process import conditional_inference, inference_of
from gpvae_core.evaluation.settings import SPLITS, SplitName
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import LEAST_VARIANCE, ConditionalInference, columns_of
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit, pixel_mean

INTERVAL = 0.95
"""Probability of the central predictive interval of a pixel, of which the coverage is reported."""
AT_ONCE = 4096
"""Images that are decoded in one batch."""


class Yardsticks(EvaluationPart):
    """Mean square errors of a pixel of predictions that need no model.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> yardsticks = gpvae.evaluate_conditional(run, "validation", k=2).yardsticks
    >>> yardsticks.mean_image.n, yardsticks.nearest_view
    (1050, None)
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"nearest_view", "nearest_view_rotated"})
    mean_image: Mean
    """Of the mean of the training images."""
    nearest_view: Mean | None = None
    """Of the training image of the same categories, nearest in the columns that are numbers."""
    nearest_view_rotated: Mean | None = None
    """Of that image rotated by the difference of the angles. It knows that the column is an angle of the picture, which
    no model is told: where it is far better, the set is easy for whoever knows that."""


class TrainingCost(EvaluationPart):
    """What the training of a run took.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> cost = gpvae.evaluate_conditional(run, "validation", k=2).training
    >>> cost.seconds_per_epoch > 0, cost.peak_memory > 1e6
    (True, True)
    """

    seconds_per_epoch: Number
    """Mean wall time of the training passes of an epoch, without its validation; None before the first has ended."""
    peak_memory: int | None
    """Peak memory in bytes of the process that trained, whatever else it did before, or of the GPU; None if unknown."""


class ConditionalEvaluation(EvaluationPart):
    """The evaluation of a run that models images given their columns, as `gpvae evaluate` prints it.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> result = gpvae.evaluate_conditional(run, "validation", k=2)
    >>> result.given, result.mse.n
    ('all frames of the same video, themselves among them', 1050)
    """

    omitted: ClassVar[frozenset[str]] = frozenset(
        {"path_rmse", "unscored", "context", "kernel", "instances", "as_published"}
    )
    run: str
    dataset: str
    split: str
    method: str
    latent_dim: int
    epochs: int
    best_epoch: int
    chosen_by: str
    """That by which the epoch of the weights was chosen, on the images held out for validation."""
    given: str
    """The images that predictions are given: the training images, those of the same object, or the frames of the same
    group."""
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
    unscored: int | None = None
    """Number of missing frames, which are predicted but have no pixel to be scored; None without any. All scores are
    over observed pixels."""
    context: int | None = None
    """Number of images of new categories that predictions are given, and that are not scored; None without any."""
    kernel: dict[str, KernelParameter] | None = None
    """Parameters of the kernel by name; None without a GP prior."""
    instances: InstanceMeasures | None = None
    """What is measured instance by instance, if it was asked for."""
    as_published: AsPublished | None = None
    """The smallest error over training on the test set itself, if it was asked for."""
    training: TrainingCost
    k: int
    seconds: float


@torch.no_grad()
def evaluate_conditional(
    run: Run,
    split: SplitName = "test",
    k: int = 100,
    seed: int = 0,
    progress: Progress = silent,
    instances: int | None = None,
    published: bool = False,
) -> ConditionalEvaluation:
    """Return the evaluation of a run that models images given their columns, as those with a GP prior do.

    Args:
        instances: size of the seeded sample of what is measured instance by instance; None to leave that out.
        published: whether to add the smallest error on the test set over the kept epochs.

    Raises:
        UserError: the run models images alone, the split is neither 'test' nor 'validation', `published` is asked of a
            run that kept no weights over training, or `instances` of one without a GP prior, or less than 1.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> gpvae.evaluate_conditional(run, "validation", k=2).kernel["rbf(time).length_scale"].value
    2.0
    """
    started = time.monotonic()
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    engine = conditional_inference(run, seed)
    if instances is not None:
        if instances < 1:
            raise UserError(f"wanted at least 1 instance to be measured, got {instances}")
        inference_of(run, seed)
    if published:
        check_kept(run)
    data, images = run.data, {"test": run.data.test, "validation": run.data.validation}[split]
    on_device = DeviceSplit(images, run.device)
    q = engine.latents(on_device)
    columns = zip(*_scores(run, engine, on_device, q, k, seed, progress), strict=True)
    mse, mse_sample, nlpd, coverage = (np.concatenate(column) for column in columns)
    return ConditionalEvaluation(
        **_about(run),
        split=split,
        given=engine.given(on_device),
        mse=Mean.over(mse),
        mse_sample=Mean.over(mse_sample),
        nlpd=Mean.over(nlpd),
        coverage=Mean.over(coverage),
        yardsticks=_yardsticks(
            data.train, images.take(engine.scored(on_device).cpu().numpy()), bool(engine.are_new(on_device).any())
        ),
        path_rmse=_path_rmse(q, images) if engine.group else None,
        unscored=len(images) - len(on_device.seen) or None,
        context=len(on_device.seen) - len(engine.scored(on_device)) or None,
        kernel=kernel_parameters(run, run.model.extra.prior) if isinstance(run.model.extra, GPModel) else None,
        instances=instance_measures(run, images, instances, seed, progress) if instances is not None else None,
        as_published=as_published(run, seed, progress) if published else None,
        training=_training_cost(run),
        k=k,
        seconds=round(time.monotonic() - started, 2),
    )


def _about(run: Run) -> dict[str, Any]:
    """Return what says of an evaluation which run and which of its epochs it is of."""
    best = max(run.metrics, key=lambda row: row["validation_elbo"], default=None)
    return {
        "run": run.name,
        "dataset": run.config.data.name,
        "method": run.config.method,
        "latent_dim": run.config.latent_dim,
        "epochs": run.metrics[-1]["epoch"] if best else 0,
        "best_epoch": best["epoch"] if best else 0,
        "chosen_by": f"{run.config.inference.score_name} of {len(run.data.validation)} validation images",
    }


def _training_cost(run: Run) -> TrainingCost:
    seconds = run.metrics[-1]["seconds"] / run.metrics[-1]["epoch"] if run.metrics else None
    return TrainingCost(seconds_per_epoch=seconds, peak_memory=run.meta.peak_memory)


def _scores(
    run: Run, engine: ConditionalInference, split: DeviceSplit, q: Marginals, k: int, seed: int, progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield mse, mse of a sample, negative log predictive density and coverage of the images, batch by batch."""
    likelihood = run.model.likelihood
    generator = torch.Generator(run.device).manual_seed(seed)
    size = max(1, AT_ONCE // k)
    for index in engine.scored(split).split(size):
        x, observed, values = split.batch(index), split.observed(index), columns_of(split, index)
        mean, std = q.mean[index], q.variance[index].clamp_min(LEAST_VARIANCE).sqrt()
        eps = torch.randn((k, *mean.shape), generator=generator, device=run.device, dtype=mean.dtype)
        g = engine.decode((mean + std * eps).to(x.dtype), values)
        # With z drawn from its posterior, log w = log p(y|z).
        log_density = iwae(likelihood.log_prob(x, g, observed)).cpu().double()
        # Of a pixel, the samples of the images are samples of its predictive distribution.
        drawn = likelihood.sample(g, generator)
        low, high = _interval(drawn)
        inside = (x >= low) & (x <= high)
        yield (
            _mean((x - likelihood.mean(engine.decode(mean.to(x.dtype), values))).square(), observed),
            _mean((x - likelihood.mean(g[0])).square(), observed),
            -log_density.numpy(),
            _mean(inside.to(x.dtype), observed),
        )
        progress(int(index[-1]) + 1, len(split), "predicting")


def _interval(
    drawn: Float[Tensor, "K B C H W"],
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B C H W"]]:
    """Return the ends of the central interval of K samples, as `torch.quantile` does, without sorting all of them."""
    place = (1 - INTERVAL) / 2 * (len(drawn) - 1)
    below = min(int(place) + 2, len(drawn))

    def end(largest: bool) -> Tensor:
        outer, inner = drawn.topk(below, 0, largest=largest).values[[max(below - 2, 0), below - 1]]
        return torch.lerp(outer, inner, place - int(place))

    return end(largest=False), end(largest=True)


def _mean(values: Tensor, observed: Tensor | None) -> np.ndarray:
    """Return the mean over each image's observed pixels, (B,)."""
    return pixel_mean(values, observed).cpu().double().numpy()


def _path_rmse(q: Marginals, images: Split) -> float | None:
    """Return the root mean square error of the latents' mean after one affine fit to the first vector column."""
    column = path_column(images.auxiliary)
    if column is None or images.auxiliary is None:
        return None
    mean, path = q.mean.cpu().numpy(), images.auxiliary[column.name]
    return AffineFit.of(mean, path).rmse(mean, path)


def _yardsticks(train: Split, images: Split, grouped: bool) -> Yardsticks:
    """Return what the mean image and, without groups, the nearest training view would have scored."""
    mean = _mean_image(train)
    of_mean = [_errors(_flat(images.take(index)), mean) for index in _pieces(images)]
    errors = {"mean_image": np.concatenate(of_mean) if of_mean else np.zeros(0)}
    assert train.auxiliary is not None
    assert images.auxiliary is not None
    numbers = [column for column in train.auxiliary.columns if column.role == "number"]
    if not grouped and numbers:
        all_seen = np.ones((len(train), 1, 1), bool)
        usable = np.asarray((all_seen if train.observed is None else train.observed).any((1, 2)))
        found, nearest = _nearest(train.auxiliary, images.auxiliary, numbers, usable)
        truth, views = _flat(images)[found], _flat(train.take(nearest[found]))
        errors["nearest_view"] = _errors(truth, views)
        turn = next((column for column in numbers if _is_angle(column)), None)
        if turn is not None:
            by = images.auxiliary[turn.name][found] - train.auxiliary[turn.name][nearest[found]]
            turned = _rotated(train.pixels(nearest[found]), 360.0 * by / float(turn.period or 1))
            # A view with missing pixels is not rotated, as it would be in part made up.
            turned[~np.isfinite(views).all(1)] = np.nan
            errors["nearest_view_rotated"] = _errors(truth, turned)
    return Yardsticks(**{name: Mean.over(values) for name, values in errors.items()})


def _pieces(split: Split) -> list[np.ndarray]:
    """Return the indices of all images in pieces, for which memory is enough."""
    return [np.arange(start, min(start + AT_ONCE, len(split))) for start in range(0, len(split), AT_ONCE)]


def _mean_image(split: Split) -> Float[np.ndarray, " P"]:
    """Return the mean of each pixel over the images in which it is observed; NaN where it never is."""
    total, count = np.zeros(()), np.zeros(())
    for index in _pieces(split):
        values = _flat(split.take(index))
        there = np.isfinite(values)
        total, count = total + np.where(there, values, 0.0).sum(0), count + there.sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _errors(truth: Float[np.ndarray, "N P"], predicted: Float[np.ndarray, "*N P"]) -> Float[np.ndarray, " N"]:
    """Return the mean square error of each image over its finite pixels; NaN where there is none."""
    square = np.square(truth - predicted)
    there = np.isfinite(square)
    count = there.sum(1)
    return np.where(count > 0, np.where(there, square, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def _flat(split: Split) -> Float[np.ndarray, "N P"]:
    """Return the pixels of each image, NaN where one is missing."""
    pixels = split.pixels().double().numpy()
    if split.observed is not None:
        pixels[np.broadcast_to(~split.observed[:, None], pixels.shape)] = np.nan
    return pixels.reshape(len(split), math.prod(pixels.shape[1:]))


def _is_angle(column: Column) -> bool:
    """Return whether a column is an angle by its unit and period: a full turn."""
    turns = {"rad": 2 * math.pi, "degrees": 360.0}
    return column.unit in turns and column.period is not None and math.isclose(column.period, turns[column.unit])


def _nearest(
    train: Auxiliary, images: Auxiliary, numbers: list[Column], usable: Bool[np.ndarray, " M"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return which images have a training image of the same categories, and the nearest one's index for each.

    Args:
        usable: the training images among which it is sought, which are no missing frames.
    """
    keys = [column.name for column in train.columns if column.role == "category"]
    codes = np.column_stack([train[name] for name in keys]) if keys else np.zeros((len(train), 0))
    own = np.column_stack([images[name] for name in keys]) if keys else np.zeros((len(images), 0))
    distance = np.zeros((len(images), len(train)))
    for column in numbers:
        difference = np.abs(images[column.name][:, None] - train[column.name])
        if column.period is not None:
            difference = np.minimum(difference % column.period, column.period - difference % column.period)
        distance += np.square(difference / max(float(train[column.name].std()), 1e-12))
    distance[(own[:, None] != codes).any(-1) | ~usable] = np.inf
    return np.asarray(np.isfinite(distance).any(1)), distance.argmin(1)


def _rotated(x: Tensor, degrees: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N P"]:
    """Return images rotated counter-clockwise, each by its angle, by cubic splines."""
    from scipy.ndimage import rotate  # takes long to import, and only angles need it

    turned = [
        rotate(image, angle, axes=(1, 2), reshape=False)
        for image, angle in zip(x.double().numpy(), degrees, strict=True)
    ]
    return np.stack(turned).reshape(len(x), -1) if turned else np.zeros((0, math.prod(x.shape[1:])))
