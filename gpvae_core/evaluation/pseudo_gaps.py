"""What the encoder's pseudo-observations lose against those optimised for one video or one image.

The bound of a GP-prior VAE depends on the encoder through the pseudo-observations (y~, sigma~) alone (Jazbec et al.
2021, eq. 2 and 10). The gap of a group, such as a video, is the growth of its bound where all of its own (y~, sigma~)
are free; that of an image, where all images are one group, is the growth of the bound of all images where (y~_i,
sigma~_i) of this image are free and those of the others stay. Decoder, likelihood and process are fixed. It is the
amortization gap of Cremer et al. 2018 in the family of the method's posteriors.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from gpvae_core.data.split import Split
from gpvae_core.evaluation.group_gaps import group_gaps
from gpvae_core.evaluation.image_gaps import image_gaps
from gpvae_core.evaluation.pseudo_ascent import check_amortized
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inference.gp_prior.sparse import OptimalPosterior
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run


@dataclass(frozen=True)
class PseudoGaps:
    """The gaps of some groups or images, in nats.

    An ascent can end below the best bound, so that a gap is one at least. The gap of an image is the growth
    of the bound of all images. Where the pseudo-observations of other images are poor, it can be far larger than the
    part of it that is the image's own, as one pseudo-observation moves the latents of all.
    """

    index: NDArray[np.int64]
    """Code of each group, or index of each image among the training images."""
    gap: Float[np.ndarray, " N"]
    """Growth of the bound, with the same noise before and after; 0 where the ascent found nothing better."""
    error: Float[np.ndarray, " N"]
    """Monte Carlo standard error of each gap."""
    own: Float[np.ndarray, " N"] | None
    """Of an image, the part of the gap that is the growth of its own E log p(y_i|z_i); the rest is that of the others,
    whose latents move as well, and of the KL. None of groups."""
    seconds: float


def has_pseudo_gaps(run: Run) -> bool:
    """Return whether the gaps of a run's groups, or of its training images without groups, can be computed."""
    model = run.model.extra
    if not isinstance(model, GPModel) or not model.family.rests_on_observations:
        return False
    return bool(model.prior.group) or isinstance(model.family, OptimalPosterior)


def pseudo_gaps(
    run: Run, split: Split, index: NDArray[np.int64], seed: int = 0, progress: Progress = silent
) -> PseudoGaps:
    """Return the gaps of groups of a split, or of training images where the run has no groups.

    The bound is that of the evidence, whatever beta or constraint the training had.

    Args:
        split: the images with the groups; without groups it does not matter.
        index: codes of groups, or indices of training images.

    Raises:
        UserError: the method has no pseudo-observations, or none whose images can be changed one by one.
    """
    started = time.monotonic()
    model = check_amortized(run)
    parts = (
        group_gaps(run, split, index, seed, progress) if model.prior.group else image_gaps(run, index, seed, progress)
    )
    gap, error, *own = (np.concatenate(values) for values in zip(*parts, strict=True))
    return PseudoGaps(index, gap, error, own[0] if own else None, time.monotonic() - started)
