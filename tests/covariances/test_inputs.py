"""The inputs of kernels: columns in their order, vectors of categories, and the start of those vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.covariances.inputs import KernelInputs
from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.inference.gp_prior.vectors import start_vectors

COLUMNS = (
    Column("angle", "number", period=6.0),
    Column("object", "category", names=("a", "b", "c", "never")),
    Column("place", "vector", size=3),
)
VALUES = {
    "angle": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64),
    "object": torch.tensor([0, 2, 1, 0]),
    "place": torch.arange(12, dtype=torch.float64).reshape(4, 3),
}
IMAGES = np.random.default_rng(0).uniform(0, 1, (4, 1, 2, 2)).astype(np.float32)
SPLIT = Split(
    IMAGES, np.zeros(4, np.int64), 1, Auxiliary(COLUMNS, {name: value.numpy() for name, value in VALUES.items()})
)


def inputs(text: str) -> KernelInputs:
    return KernelInputs(parse_kernel(text), COLUMNS)


def test_each_column_has_its_features() -> None:
    made = inputs("rbf(place) * periodic(angle) * linear(object, dim=2)")
    assert made.features == {"place": slice(0, 3), "angle": slice(3, 4), "object": slice(4, 6)}
    table = made.tables["object"]
    table.data = torch.arange(8, dtype=torch.float64).reshape(4, 2)
    x = made(VALUES)
    assert x.dtype == torch.float64
    torch.testing.assert_close(x[:, :3], VALUES["place"])
    torch.testing.assert_close(x[:, 3], VALUES["angle"])
    torch.testing.assert_close(x[:, 4:], table[VALUES["object"]])


def test_a_kernel_of_an_expression_is_the_product_on_its_features() -> None:
    expression = parse_kernel("periodic(angle) * linear(object, dim=2)")
    made = KernelInputs(expression, COLUMNS)
    made.tables["object"].data = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = expression.build(made.build)
    x = made(VALUES)
    angle, vectors = VALUES["angle"], made.tables["object"][VALUES["object"]]
    view = torch.exp(-2 * torch.sin(torch.pi * (angle[:, None] - angle) / 6.0).square())
    torch.testing.assert_close(kernel.matrix(x, x), view * (vectors @ vectors.T))


def test_the_same_column_under_equality_is_its_code() -> None:
    made = inputs("same(object)")
    assert made(VALUES).tolist() == [[0.0], [2.0], [1.0], [0.0]]
    assert len(made.tables) == 0


def test_vectors_start_at_the_principal_components_of_mean_images() -> None:
    made = inputs("linear(object, dim=2)")
    start_vectors(made, SPLIT, "pca", 0)
    flat = IMAGES.reshape(4, -1).astype(np.float64)
    means = np.stack([(flat[0] + flat[3]) / 2, flat[2], flat[1]])
    centred = means - means.mean(0)
    distances = np.linalg.norm(centred[:, None] - centred[None], axis=-1)
    found = made.tables["object"].detach().numpy()
    # Three points lie in a plane, whose distances two components keep.
    np.testing.assert_allclose(np.linalg.norm(found[:3, None] - found[None, :3], axis=-1), distances, atol=1e-6)
    assert (found[3] == 0).all(), "an object without an image"


def test_vectors_start_at_a_column_or_at_random() -> None:
    made = inputs("linear(object, dim=3)")
    start_vectors(made, SPLIT, "place", 0)
    expected = (VALUES["place"][0] + VALUES["place"][3]) / 2
    torch.testing.assert_close(made.tables["object"][0].detach(), expected)
    start_vectors(made, SPLIT, "random", 0)
    first = made.tables["object"].detach().clone()
    start_vectors(made, SPLIT, "random", 0)
    assert torch.equal(first, made.tables["object"])
    start_vectors(made, SPLIT, "random", 1)
    assert not torch.equal(first, made.tables["object"])


def test_a_start_with_too_few_numbers_is_refused() -> None:
    with pytest.raises(UserError, match=r"vectors of 'object' have 5 numbers, and their start 'place' has 3"):
        start_vectors(inputs("linear(object, dim=5)"), SPLIT, "place", 0)
