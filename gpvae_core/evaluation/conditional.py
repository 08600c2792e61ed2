"""Evaluation of GP-prior VAEs and their rivals: images that are generated at auxiliary data, given other images.

Without groups, images of a split are generated at their columns given the training images alone (conditional
generation, Jazbec et al. 2021, sec. 4.2). With groups, such as videos, those of a split are new: each is reconstructed
from its own frames, or those of it that are not hidden, and its latents are compared with a known path (sec. 4.1).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpvae_core.bounds import iwae
from gpvae_core.data.auxiliary import first_number
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError, unknown
from gpvae_core.evaluation.as_published import AsPublished, as_published, check_kept
from gpvae_core.evaluation.hidden_frames import HIDDEN, hidden_in, without
from gpvae_core.evaluation.instances import InstanceMeasures, instance_measures
from gpvae_core.evaluation.kernel_parameters import KernelParameter, kernel_parameters
from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.evaluation.process import conditional_inference, inference_of
from gpvae_core.evaluation.settings import HELD_OUT, HeldOutName
from gpvae_core.evaluation.yardsticks import Yardsticks, yardsticks
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
SCORES = ("mse", "mse_sample", "nlpd", "coverage")
"""What is scored of each image, in the order of `_scores`."""


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
        {
            "hidden",
            "independent",
            "path_rmse",
            "unpredicted",
            "unscored",
            "context",
            "kernel",
            "instances",
            "as_published",
        }
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
    hidden: str | None = None
    """Which frames of each group were hidden from the model, and are scored; None if none was."""
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
    independent: str | None = None
    """What standard errors take as independent, such as the videos and not their frames; None for each image."""
    path_rmse: Number = None
    """Root mean square error, in the units of the known path, of the latents' mean after one affine fit to it; None
    without a path. The fit is that of all frames, given all; where frames are hidden, the error is that of these."""
    unscored: int | None = None
    """Number of missing frames, which are predicted but have no pixel to be scored; None without any. All scores are
    over observed pixels."""
    unpredicted: int | None = None
    """Number of scored images of a category without a training image, so that their prediction rests on no image; None
    without any."""
    context: int | None = None
    """Number of images of new categories or frames of new groups that predictions are given, and that are not scored;
    None without any."""
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
    split: HeldOutName = "test",
    k: int = 100,
    seed: int = 0,
    progress: Progress = silent,
    instances: int | None = None,
    published: bool = False,
    hide: str = "none",
) -> ConditionalEvaluation:
    """Return the evaluation of a run that models images given their columns, as those with a GP prior do.

    Args:
        instances: size of the seeded sample of what is measured instance by instance; None to leave that out.
        published: whether to add the smallest error on the test set over the kept epochs.
        hide: the frames of each new group, 'second', 'middle' or 'last' (see HIDDEN), that are hidden from the model,
            which then predicts them from the others of the group; these alone are scored. With 'none' each frame is
            among those that its own prediction is given.

    Raises:
        UserError: the run models images alone, the split is neither 'test' nor 'validation', `published` is asked of a
            run that kept no weights over training, `instances` of one without a GP prior, or less than 1, or frames
            are hidden where no group is new, its frames have no number, or beside `instances` or `published`.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> gpvae.evaluate_conditional(run, "validation", k=2).kernel["rbf(time).length_scale"].value
    2.0
    """
    started = time.monotonic()
    _check(run, split, seed, instances, published, hide)
    engine = conditional_inference(run, seed)
    images = {"test": run.data.test, "validation": run.data.validation}[split]
    on_device = DeviceSplit(images, run.device)
    whole = engine.latents(on_device)
    task = _task(run, engine, images, on_device, whole, hide)
    scored = task.scored.cpu().numpy()
    dependent = _dependent(run, engine)
    groups = images.auxiliary[dependent][scored] if images.auxiliary is not None and dependent else None
    columns = zip(*_scores(run, engine, on_device, task, k, seed, progress), strict=True)
    means: dict[str, Any] = {
        name: Mean.over(np.concatenate(column), groups) for name, column in zip(SCORES, columns, strict=True)
    }
    return ConditionalEvaluation(
        **_about(run),
        split=split,
        given=task.given,
        hidden=HIDDEN[hide] if hide != "none" else None,
        **means,
        independent=None if groups is None else _independent(groups, dependent),
        yardsticks=yardsticks(run.data.train, images.take(scored), task.views, groups, task.along),
        path_rmse=_path_rmse(whole, task, images) if engine.group else None,
        unpredicted=_resting_on_none(run, engine, on_device, task),
        unscored=len(images) - len(on_device.seen) or None,
        context=len(on_device.seen) - len(scored) or None,
        kernel=kernel_parameters(run, run.model.extra.prior) if isinstance(run.model.extra, GPModel) else None,
        instances=instance_measures(run, images, instances, seed, progress) if instances is not None else None,
        as_published=as_published(run, seed, progress) if published else None,
        training=_training_cost(run),
        k=k,
        seconds=round(time.monotonic() - started, 2),
    )


def _check(run: Run, split: str, seed: int, instances: int | None, published: bool, hide: str) -> None:
    """Raise UserError, as `evaluate_conditional` says, for what is wrong whatever the images."""
    if split not in HELD_OUT:
        raise unknown("split", split, HELD_OUT)
    if hide not in HIDDEN:
        raise unknown("frames to hide", hide, HIDDEN)
    if instances is not None:
        if instances < 1:
            raise UserError(f"wanted at least 1 instance to be measured, got {instances}")
        inference_of(run, seed)
    if published:
        check_kept(run)
    if hide != "none" and (instances is not None or published):
        other = "the smallest error over training has" if published else "measures of instances have"
        raise UserError(f"{other} every frame given: wanted no frames hidden beside, got hide='{hide}'")


@dataclass(frozen=True)
class _Task:
    """What is predicted, and given what."""

    q: Marginals
    """Distributions (N, D) of the latents of all images of the split."""
    scored: Int64[Tensor, " S"]
    given: str
    views: Split | None
    """The images among which the nearest view is sought; None where they hold those that are scored."""
    along: str = ""
    """Name of the number in which views are near; '' for all numbers."""


def _task(
    run: Run, engine: ConditionalInference, images: Split, on_device: DeviceSplit, whole: Marginals, hide: str
) -> _Task:
    """Return what is predicted if these frames are hidden.

    Args:
        whole: the distributions of the latents where none is.
    """
    new, scored = engine.are_new(on_device), engine.scored(on_device)
    if hide == "none":
        views = None if bool(new.any()) else run.data.train
        return _Task(whole, scored, engine.given(on_device), views)
    number = first_number(column for column in run.meta.columns if column.name in engine.columns)
    if not engine.group or number is None or images.auxiliary is None:
        raise UserError(
            f"run '{run.name}' has no series: wanted a prior with groups and a number (prior.group), or nothing hidden"
        )
    if not bool(new.any()):
        raise UserError(
            f"each {engine.group} has training images, which alone predictions are given, so that there is nothing to "
            f"hide: wanted whole ones in a part of their own, such as by a column 'split' of the table"
        )
    hidden = torch.from_numpy(hidden_in(images.auxiliary, engine.group, number.name, hide)).to(run.device) & new
    scored = scored[hidden[scored]]
    if not len(scored):
        raise UserError(f"no frame is left to score: each {engine.group} has too few for {HIDDEN[hide]} to be hidden")
    left = without(images, hidden.cpu().numpy())
    q = engine.latents(DeviceSplit(left, run.device))
    return _Task(q, scored, f"the frames of the same {engine.group} that are not hidden", left, number.name)


def _dependent(run: Run, engine: ConditionalInference) -> str:
    """Return the column whose images are not independent: that of groups or identities, else the first category."""
    first = (column.name for column in run.meta.columns if column.role == "category")
    return engine.dependent or next(first, "")


def _resting_on_none(run: Run, engine: ConditionalInference, split: DeviceSplit, task: _Task) -> int | None:
    """Return how many of the scored images are predicted from no image; None for none."""
    own = [split] if engine.group else []  # what images of a new group are given
    found = engine.rests_on_none(split.columns, [DeviceSplit(run.data.train, run.device), *own])
    return int(found[task.scored].sum()) or None


def _independent(groups: Int64[np.ndarray, " S"], name: str) -> str | None:
    """Return what of the scored images is independent; None where each has a category of its own."""
    count = len(np.unique(groups))
    return None if count == len(groups) else f"{count} value{'s' * (count != 1)} of '{name}'"


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
    run: Run, engine: ConditionalInference, split: DeviceSplit, task: _Task, k: int, seed: int, progress: Progress
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield mse, mse of a sample, negative log predictive density and coverage of the images, batch by batch."""
    likelihood = run.model.likelihood
    generator = torch.Generator(run.device).manual_seed(seed)
    size, done = max(1, AT_ONCE // k), 0
    for index in task.scored.split(size):
        x, observed, values = split.batch(index), split.observed(index), columns_of(split, index)
        mean, std = task.q.mean[index], task.q.variance[index].clamp_min(LEAST_VARIANCE).sqrt()
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
        done += len(index)
        progress(done, len(task.scored), "predicting")


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


def _path_rmse(whole: Marginals, task: _Task, images: Split) -> float | None:
    """Return the error of the scored latents' mean after one affine fit of all to the first vector column."""
    column = path_column(images.auxiliary)
    if column is None or images.auxiliary is None:
        return None
    path, mean = images.auxiliary[column.name], task.q.mean.cpu().numpy()
    at = np.arange(len(path)) if task.q is whole else task.scored.cpu().numpy()
    return AffineFit.of(whole.mean.cpu().numpy(), path).rmse(mean[at], path[at])
