"""What is measured instance by instance of a run with a GP prior: the views behind predictions, gaps, and batches."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gpvae_core.data.split import Split
from gpvae_core.evaluation.batch_bias import BATCHES, batch_bias, takes_batches
from gpvae_core.evaluation.group_images import group_images
from gpvae_core.evaluation.mean import EvaluationPart, Mean
from gpvae_core.evaluation.process import inference_of
from gpvae_core.evaluation.pseudo_gaps import has_pseudo_gaps, pseudo_gaps
from gpvae_core.evaluation.views import Smoother
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import Progress
from gpvae_core.runs import Run
from gpvae_core.stats import seeded_order
from gpvae_core.validation import DeviceSplit


class ViewsBehindPredictions(EvaluationPart):
    """How many of the views that predictions are given carry them, by the weights of the kernel smoother.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> views = gpvae.evaluate_conditional(run, "validation", k=2, instances=1).instances.views
    >>> len(views.index), views.effective.n
    (1, 1)
    """

    index: tuple[int, ...]
    """Index of each image in the split; one on whose prediction no view has a weight is left out."""
    effective: Mean
    """Effective number of views, 1 / sum_i share_i^2."""
    largest: Mean
    """Share of the view with the largest one."""


class PseudoGapReport(EvaluationPart):
    """Gaps in nats of the encoder's pseudo-observations to those optimised for one group or training image.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> gap = gpvae.evaluate_conditional(run, "validation", k=2, instances=1).instances.pseudo_gap
    >>> gap.of, gap.values[0] >= 0
    ('video', True)
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"own"})
    of: str
    """'training image', or the name of the groups, such as video."""
    index: tuple[int, ...]
    """Index of each training image, or code of each group."""
    values: tuple[float, ...]
    """The gap of each."""
    errors: tuple[float, ...]
    """Monte Carlo standard error of each."""
    gap: Mean
    own: Mean | None = None
    """Of images, the part that is the growth of their own E log p(y|z)."""
    seconds: float


class BatchBiasReport(EvaluationPart):
    """How far q(z_i) of eq. 9 moves with the mini-batch of training image i.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8, "prior.group": "", "batch_size": 30}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> bias = gpvae.evaluate_conditional(run, "validation", k=2, instances=1).instances.batch_bias
    >>> bias.batch_size, bias.values[0] > 0
    (30, True)
    """

    index: tuple[int, ...]
    values: tuple[float, ...]
    """KL(q_b(z_i) || q(z_i)) of each in nats, the mean over batches."""
    kl: Mean
    spread: Mean
    """Standard deviation of that KL over batches, in nats."""
    bias: Mean
    """Distance of the mean over batches of mu_b from mu, in posterior standard deviations."""
    bias_by_chance: Mean
    """What that distance would be without bias, as the batches are few."""
    batches: int
    batch_size: int


class InstanceMeasures(EvaluationPart):
    """The measures of a seeded sample; None where a method has none.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> measures = gpvae.evaluate_conditional(run, "validation", k=2, instances=1).instances
    >>> measures.pseudo_gap.of, measures.batch_bias
    ('video', None)
    """

    views: ViewsBehindPredictions | None
    """None where the method has no pseudo-observations. Without groups, of images of the split."""
    pseudo_gap: PseudoGapReport | None
    """None also where all images have one function in common, and the method has no inducing points."""
    batch_bias: BatchBiasReport | None
    """None where batches are whole groups, or all images."""


def instance_measures(run: Run, images: Split, count: int, seed: int, progress: Progress) -> InstanceMeasures:
    """Return the measures of `count` instances, or of all where there are fewer.

    Views are those behind images of the split. The gap is of groups of the split, by the images that predictions are
    given of them; without groups, it is of training images, as the movement with the batch is.
    """
    model = run.model.extra
    assert isinstance(model, GPModel)
    group = model.prior.group
    seen = DeviceSplit(run.data.train, run.device).seen.cpu().numpy()
    of_train = seen[seeded_order(len(seen), seed)[:count]]
    views = gap = bias = None
    given = group_images(run, inference_of(run, seed), images).of_predictions() if group else None
    if model.family.is_smoother:
        views = _views(run, images, given, seeded_order(len(images), seed)[:count])
        progress(1, 1, "views behind predictions")
    if has_pseudo_gaps(run):
        gap = _gap(run, images if given is None else given, group, of_train, count, seed, progress)
    if takes_batches(run):
        bias = _bias(run, of_train, seed, progress)
    return InstanceMeasures(views=views, pseudo_gap=gap, batch_bias=bias)


def _views(run: Run, images: Split, given: Split | None, index: NDArray[np.int64]) -> ViewsBehindPredictions:
    assert images.auxiliary is not None
    found = Smoother(run, given).views(images.auxiliary.take(index), top=1)
    # On no view rests a prediction whose group has missing frames alone: it has the prior.
    kept = [(int(i), views) for i, views in zip(index, found, strict=True) if views.effective > 0]
    return ViewsBehindPredictions(
        index=tuple(i for i, _ in kept),
        effective=Mean.over([views.effective for _, views in kept]),
        largest=Mean.over([float(views.share[0]) for _, views in kept]),
    )


def _gap(
    run: Run, images: Split, group: str, of_train: NDArray[np.int64], count: int, seed: int, progress: Progress
) -> PseudoGapReport:
    index = of_train
    if group:
        assert images.auxiliary is not None
        # A group of missing frames alone has no pseudo-observation to be optimised.
        codes = np.unique(images.auxiliary[group][DeviceSplit(images, run.device).seen.cpu().numpy()])
        index = codes[seeded_order(len(codes), seed)[:count]]
    found = pseudo_gaps(run, images, index, seed, progress)
    return PseudoGapReport(
        of=group or "training image",
        index=tuple(index.tolist()),
        values=tuple(found.gap.tolist()),
        errors=tuple(found.error.tolist()),
        gap=Mean.over(found.gap),
        own=None if found.own is None else Mean.over(found.own),
        seconds=round(found.seconds, 2),
    )


def _bias(run: Run, index: NDArray[np.int64], seed: int, progress: Progress) -> BatchBiasReport:
    found = batch_bias(run, index, BATCHES, None, seed, progress)
    return BatchBiasReport(
        index=tuple(index.tolist()),
        values=tuple(found.kl.tolist()),
        kl=Mean.over(found.kl),
        spread=Mean.over(found.kl_spread),
        bias=Mean.over(found.bias),
        bias_by_chance=Mean.over(found.bias_by_chance),
        batches=found.batches,
        batch_size=found.batch_size,
    )
