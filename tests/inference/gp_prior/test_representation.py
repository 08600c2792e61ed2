"""The representation network, and the vectors of categories that it finds."""

from __future__ import annotations

import torch
from torch import nn

from gpvae_core.inference.gp_prior.representation import Pool, Representation, context


def test_the_layers_are_those_of_the_table() -> None:
    network = Representation((3, 64, 64), 16, 1000)
    convolutions = [m for m in network.network.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convolutions] == [(16, (2, 2), (2, 2))] * 3
    assert network(torch.zeros(5, 3, 64, 64)).shape == (5, 16)
    assert Representation((1, 28, 28), 8, 3)(torch.zeros(2, 1, 28, 28)).shape == (2, 8)


def test_a_vector_is_the_mean_over_the_images_of_its_category_in_any_number_of_pieces() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.tensor([2, 0, 2, 2, 0])
    values = torch.randn(5, 3, generator=generator)
    pool = Pool(4, 3, values.device)
    for piece in torch.arange(5).split(2):
        pool.add(values[piece], codes[piece])
    assert pool.known.tolist() == [True, False, True, False]
    wanted = torch.stack(
        [values[codes == c].double().mean(0) if c in (0, 2) else torch.zeros(3).double() for c in range(4)]
    )
    torch.testing.assert_close(pool.vectors(), wanted)


def test_a_vector_has_the_gradient_of_its_images() -> None:
    network = Representation((1, 8, 8), 4, 2)
    pool = Pool(2, 4, torch.device("cpu"))
    pool.add(network(torch.randn(3, 1, 8, 8)), torch.tensor([0, 0, 1]))
    pool.vectors().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.network.parameters())


def test_the_classifier_scores_the_own_category() -> None:
    network, x, codes = Representation((1, 8, 8), 4, 3), torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    wanted = network.classifier(network(x)).log_softmax(1)[torch.arange(5), codes]
    torch.testing.assert_close(network.log_prob(x, codes), wanted)


def test_the_context_are_the_first_images_of_each_category() -> None:
    codes = torch.tensor([1, 0, 1, 1, 0, 0, 2])
    assert context(codes, 2).tolist() == [True, True, True, False, True, False, True]
