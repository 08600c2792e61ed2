"""The start of the vectors of categories (GP-LVM), as of the identities of digits (Jazbec et al. 2021, C.1)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from gpvae_core.covariances.inputs import KernelInputs
from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.inference.gp_prior.inducing_starts import RANDOM_SCALE


@torch.no_grad()
def start_vectors(inputs: KernelInputs, train: Split, start: str, seed: int) -> None:
    """Set each category's vectors to `start`: pca, random, or the name of a vector column.

    A category without a training image starts at zero, or at random.

    Raises:
        UserError: `start` is unknown, or has fewer numbers than a vector.
    """
    rng = np.random.default_rng(seed)
    assert train.auxiliary is not None  # the prior was built on its columns
    for name, table in inputs.tables.items():
        if start == "random":
            values = RANDOM_SCALE * rng.standard_normal(table.shape)
        else:
            values = _means(_codes(train, name), _scores(train, name, start, table.shape[1]), len(table))
            if values.shape[1] < table.shape[1]:
                raise UserError(
                    f"the vectors of '{name}' have {table.shape[1]} numbers, and their start '{start}' has "
                    f"{values.shape[1]}: wanted dim={values.shape[1]} or fewer, or vectors=random"
                )
        table.copy_(torch.from_numpy(values[:, : table.shape[1]]))


def _scores(train: Split, name: str, start: str, dim: int) -> Float[np.ndarray, "N E"]:
    """Return the numbers of each training image of which a category's mean is its vector."""
    auxiliary = train.auxiliary
    assert auxiliary is not None
    if start in _vector_columns(auxiliary):
        return auxiliary[start].astype(np.float64)
    if start != "pca":
        known = ", ".join(["pca", "random", *_vector_columns(auxiliary)])
        raise UserError(f"unknown start of vectors '{start}': wanted one of {known}")
    from sklearn.decomposition import PCA  # takes long to import, and only a new run needs it

    codes = _codes(train, name)
    means = _mean_images(train, codes)
    return PCA(min(dim, *means.shape), svd_solver="full").fit_transform(means)[codes]


def _mean_images(train: Split, codes: NDArray[np.int64]) -> Float[np.ndarray, "categories P"]:
    """Return the mean image of each category, over observed pixels; where none was, that of all categories."""
    pixels, categories = train.images.reshape(len(train), -1) / train.levels, int(codes.max()) + 1
    if train.observed is None:
        return _means(codes, pixels, categories)
    seen = np.broadcast_to(train.observed[:, None], train.images.shape).reshape(len(train), -1)
    sums, counts = np.zeros((2, categories, pixels.shape[1]))
    np.add.at(sums, codes, pixels * seen)
    np.add.at(counts, codes, seen)
    overall = sums.sum(0) / np.maximum(counts.sum(0), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall)


def _codes(train: Split, name: str) -> NDArray[np.int64]:
    """Return the category of each training image."""
    assert train.auxiliary is not None
    return train.auxiliary[name].astype(np.int64)


def _vector_columns(auxiliary: Auxiliary) -> list[str]:
    return [column.name for column in auxiliary.columns if column.role == "vector"]


def _means(
    codes: NDArray[np.int64], values: Float[np.ndarray, "N E"], categories: int
) -> Float[np.ndarray, "categories E"]:
    """Return the mean of the values of each category; zero for one without any."""
    sums = np.zeros((categories, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums / np.maximum(np.bincount(codes, minlength=categories), 1)[:, None]
