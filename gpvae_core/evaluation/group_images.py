"""The images of groups, such as videos, of which some parts may lie in other splits than the one that is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from gpvae_core.data.split import Split, joined
from gpvae_core.inference.conditional import ConditionalInference
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit


@dataclass(frozen=True)
class GroupImages:
    """All images of some groups, and those of them that predictions are given."""

    images: Split
    given: Bool[np.ndarray, " N"]
    """Whether predictions are given each image: the training images of a group that has some, else all its own."""

    def of_predictions(self) -> Split:
        """Return the images that predictions are given."""
        return self.images if self.given.all() else self.images.take(np.flatnonzero(self.given))


def group_images(run: Run, engine: ConditionalInference, split: Split) -> GroupImages:
    """Return the images of the groups of a split that is not trained on.

    Of a group with training images these are images of all splits, and of a new one those of the split alone.
    """
    new = engine.are_new(DeviceSplit(split, run.device)).cpu().numpy()
    if new.all() or split.auxiliary is None:
        return GroupImages(split, np.ones(len(split), np.bool_))
    known = np.unique(split.auxiliary[engine.group][~new])
    parts, given = [split.take(np.flatnonzero(new))], [np.ones(int(new.sum()), np.bool_)]
    for part in (run.data.train, run.data.validation, run.data.test):
        assert part.auxiliary is not None
        rows = np.flatnonzero(np.isin(part.auxiliary[engine.group], known))
        parts.append(part.take(rows))
        given.append(np.full(len(rows), part is run.data.train))
    return GroupImages(joined(parts), np.concatenate(given))
