"""The map of a run's latents, which any column can colour (Jazbec et al. 2021, Fig. C.1)."""

from __future__ import annotations

import numpy as np

from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.inspection.embedding import READ, TSNE, Embedding, seeded_sample
from gpvae_core.inspection.prior_lab.lab import ConditionalLab, axis_label
from gpvae_core.inspection.prior_lab.views import PriorMap
from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress

PERPLEXITY = 50.0
MOST = 2000
"""Images of the map."""
PLAIN = "its place is that mean itself"


def latent_map(lab: ConditionalLab, progress: Progress) -> PriorMap:
    """Return the map of the posterior means of the latents: of test images in series, else of training images.

    With two latent dimensions it is the plane itself, else t-SNE of perplexity 50.
    """
    split = "test" if lab.group else "train"
    index = _sample(lab, split)
    progress(0, 0, "predicting latents")
    auxiliary = lab.auxiliary(split).take(index)
    z = lab.image_means(split, index)
    plane = z.shape[1] == 2
    embedding = None if plane else Embedding(z, seed=0, progress=progress, perplexity=PERPLEXITY)
    categories = {column.name: column for column in auxiliary.columns if column.role == "category"}
    return PriorMap(
        index=index,
        xy=z if embedding is None else embedding.xy,
        class_index=np.zeros(len(index), np.int64),
        class_names=(),
        categories={name: (auxiliary[name], column.names) for name, column in categories.items()},
        numbers=_numbers(auxiliary),
        periods={axis_label(column): column.period for column in auxiliary.columns if column.role == "number"},
        note=PLAIN if embedding is None else _note(embedding.method, len(index)),
        labels=("z1", "z2") if plane else ("", ""),
        split=split,
        whole=len(lab.splits[split]),
    )


def _note(method: str, count: int) -> str:
    """Return how a map is to be read; of fewer images than that the perplexity is smaller."""
    exact = method == TSNE and count > 3 * PERPLEXITY
    return READ[method] + f"; perplexity {PERPLEXITY:g}" * exact


def _sample(lab: ConditionalLab, split: str) -> np.ndarray:
    """Return the images of the map: whole series as far as there are some, else a seeded sample."""
    count = len(lab.splits[split])
    if not lab.group:
        return seeded_sample(count, MOST, 0)
    order = np.argsort(lab.auxiliary(split)[lab.group], kind="stable")
    codes = lab.auxiliary(split)[lab.group][order]
    if count <= MOST:
        return np.sort(order)
    # The series that are cut off at MOST is left out.
    kept = order[:MOST][codes[:MOST] != codes[MOST]]
    return np.sort(kept if len(kept) else order[:MOST])


def _numbers(auxiliary: Auxiliary) -> dict[str, Array]:
    """Return the coordinates of vectors of at most three, such as a path, then the numbers, by their label."""
    found: dict[str, Array] = {}
    for column in auxiliary.columns:
        if column.role == "vector" and column.size <= 3:
            found |= {f"{column.name} {'xyz'[k]}": auxiliary[column.name][:, k] for k in range(column.size)}
    return found | {axis_label(c): auxiliary[c.name] for c in auxiliary.columns if c.role == "number"}
