"""The fully connected decoder of Table 10: its size against the convolutional one's, and a run with it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.nets.fc_equal import EqualConfig, closest_width
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.types import EventShape

CASES = [
    ((1, 28, 28), 256, 3, 10),
    ((1, 28, 28), 256, 3, 50),
    ((3, 32, 32), 512, 3, 10),
    ((3, 32, 32), 512, 3, 50),
    ((3, 64, 64), 512, 4, 10),
    ((3, 64, 64), 512, 4, 50),
]


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("shape", "hidden", "layers", "latent_dim"), CASES)
def test_decoders_are_of_equal_size(shape: EventShape, hidden: int, layers: int, latent_dim: int) -> None:
    """Within 1 %, and no other width comes closer."""
    conv, equal = ConvConfig(hidden=hidden, layers=layers), EqualConfig(hidden=hidden, layers=layers)
    expected, decoder = size(conv.decoder(latent_dim, shape)), equal.decoder(latent_dim, shape)
    assert size(decoder) == pytest.approx(expected, rel=0.01)
    first = decoder.get_submodule("0")
    assert isinstance(first, nn.Linear)
    width = first.out_features
    for other in (width - 1, width + 1):
        d, p = latent_dim, math.prod(shape)
        count = (d * other + other) + (other * other + other) + (other * p + p)
        assert abs(count - expected) >= abs(size(decoder) - expected)


@torch.no_grad()
def test_the_decoder_is_piecewise_linear_and_the_encoder_convolutional() -> None:
    net, shape = EqualConfig(hidden=64), (1, 28, 28)
    decoder = net.decoder(4, shape)
    assert isinstance(decoder, nn.Sequential)
    assert [type(layer) for layer in decoder] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.Unflatten]
    widths = [layer.out_features for layer in decoder if isinstance(layer, nn.Linear)]
    assert widths == [widths[0], widths[0], 28 * 28]
    assert decoder(torch.zeros(3, 4)).shape == (3, *shape)
    assert [type(layer) for layer in net.trunk(shape).children()].count(nn.Conv2d) == 3
    assert net.trunk(shape)(torch.zeros(3, *shape)).shape == (3, net.feature_dim)


def test_counting_draws_no_random_numbers() -> None:
    """The weights are those of a fully connected decoder of that width, from the same seed."""
    torch.manual_seed(0)
    equal = EqualConfig().decoder(10, (1, 28, 28))
    torch.manual_seed(0)
    plain = FullyConnectedConfig(hidden=200, depth=2).decoder(10, (1, 28, 28))
    assert all(torch.equal(a, b) for a, b in zip(equal.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("width", [1, 2, 200, 1024])
def test_a_width_is_found_again_from_its_count(width: int) -> None:
    assert closest_width(size(FullyConnectedConfig(hidden=width).decoder(7, (1, 9, 9))), 7, 81) == width


def test_where_even_the_output_layer_is_larger_it_is_as_small_as_can_be() -> None:
    assert closest_width(100, 2, 784) == 1


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(UserError, match="square images"):
        EqualConfig().decoder(2, (1, 28, 20))


def test_a_run_trains_with_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images=pixels)
    settings = {"net.kind": "fc_equal", "net.hidden": 16, "latent_dim": 2, "epochs": 2, "batch_size": 16}
    config = make_config("vae", DataConfig(name=f"array:{tmp_path / 'few.npz'}"), (1, 28, 28), settings)
    run = load_run(train(config, tmp_path / "run", device="cpu"), device="cpu")
    expected = size(ConvConfig(hidden=16).decoder(2, (1, 28, 28)))
    assert size(run.model.decoder) == pytest.approx(expected, rel=0.01)
    assert [type(layer) for layer in run.model.decoder.children()][-1] is nn.Unflatten
