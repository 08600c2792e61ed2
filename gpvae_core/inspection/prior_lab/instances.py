"""What amortization and mini-batches do to one series or training image (Jazbec et al. 2021, eq. 9, B.1 and C.4)."""

from __future__ import annotations

import numpy as np

from gpvae_core.evaluation.batch_bias import batch_bias, takes_batches
from gpvae_core.evaluation.group_images import group_images
from gpvae_core.evaluation.pseudo_gaps import has_pseudo_gaps, pseudo_gaps
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.views import InstanceMeasure
from gpvae_core.progress import Progress


def can_be_measured(lab: PriorLab) -> bool:
    """Return whether there is anything to be measured of a run's instances."""
    return has_pseudo_gaps(lab.run) or takes_batches(lab.run)


def measured(lab: PriorLab, split: str, index: int, what: str, progress: Progress) -> InstanceMeasure:
    """Return the measures of a series or an image; computed once.

    Args:
        index: code of the series in the split or, without series, index of the image, which is a training image.
        what: its name.

    Raises:
        Cancelled: raised by `progress`.
    """
    found = lab.results.get(("instance", split, index), lambda: _measured(lab, split, index, what, progress))
    lab.measured[split, index] = found
    return found


def _measured(lab: PriorLab, split: str, index: int, what: str, progress: Progress) -> InstanceMeasure:
    one, run = np.array([index], np.int64), lab.run
    numbers: dict[str, float | int | None] = {}
    if has_pseudo_gaps(run):
        images = group_images(run, lab.engine, lab.splits[split]).of_predictions() if lab.group else lab.splits[split]
        gaps = pseudo_gaps(run, images, one, run.config.seed, progress)
        numbers |= {"gap": float(gaps.gap[0]), "gap_error": float(gaps.error[0])}
        numbers |= {} if gaps.own is None else {"own": float(gaps.own[0])}
    if takes_batches(run):
        moved = batch_bias(run, one, seed=run.config.seed, progress=progress)
        numbers |= {"kl": float(moved.kl[0]), "kl_spread": float(moved.kl_spread[0]), "bias": float(moved.bias[0])}
        numbers |= {"bias_by_chance": float(moved.bias_by_chance[0])}
        numbers |= {
            "batches": moved.batches,
            "batch_size": moved.batch_size,
            "images": len(lab.on_device["train"].seen),
        }
    return InstanceMeasure(lab.name, what, **numbers)  # pyright: ignore[reportArgumentType]
