"""The networks that are built, layer by layer, against Tables 6-8 of Kim & Pavlovic 2021, copied by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gpvae_core.config import default_net
from gpvae_core.encoders.base_functions import BaseFunctions
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.gp import GPEncoderConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.types import EventShape

P = 10
"""dim(z)."""


@dataclass(frozen=True)
class Networks:
    """One table: the rows of its two columns, an entry for each layer and each activation."""

    shape: EventShape
    encoder: str
    decoder: str


THREE_CONVS = """
    32 4x4 conv stride 2; leaky relu 0.01
    32 4x4 conv stride 2; leaky relu 0.01
    64 4x4 conv stride 2; leaky relu 0.01
"""
TWO_TRANSPOSED = """
    32 4x4 transposed conv stride 2; relu
    32 4x4 transposed conv stride 2; relu
"""
FOUR_CONVS = f"{THREE_CONVS}64 4x4 conv stride 2; leaky relu 0.01"
THREE_TRANSPOSED = f"64 4x4 transposed conv stride 2; relu{TWO_TRANSPOSED}"


def table(shape: EventShape, convs: str, hidden: int, features: int, transposed: str) -> Networks:
    """The columns of a table; all three end in two layers of the encoder, and begin in two of the decoder."""
    encoder = f"{convs.strip()}; fc {hidden}; leaky relu 0.01; fc 20"
    decoder = f"fc {hidden}; relu; fc {features}; relu; {transposed.strip()}; {shape[0]} 4x4 transposed conv stride 2"
    return Networks(shape, encoder, decoder)


TABLES = {
    "table 6: MNIST and OMNIGLOT": table((1, 28, 28), THREE_CONVS, 256, 576, TWO_TRANSPOSED),
    "table 7: CIFAR10 and SVHN": table((3, 32, 32), THREE_CONVS, 512, 1024, TWO_TRANSPOSED),
    "table 8: CelebA": table((3, 64, 64), FOUR_CONVS, 512, 1024, THREE_TRANSPOSED),
}


def rows(text: str) -> list[str]:
    return [part.strip() for line in text.strip().splitlines() for part in line.split(";")]


def described(module: nn.Module) -> str:
    """One layer in the words of the tables."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        (height, width), (down, right) = module.kernel_size, module.stride
        assert down == right
        kind = "conv" if isinstance(module, nn.Conv2d) else "transposed conv"
        return f"{module.out_channels} {height}x{width} {kind} stride {down}"
    if isinstance(module, nn.Linear):
        return f"fc {module.out_features}"
    if isinstance(module, nn.LeakyReLU):
        return f"leaky relu {module.negative_slope:g}"
    return "relu" if isinstance(module, nn.ReLU) else repr(module)


def layers(*networks: nn.Module) -> list[str]:
    """In the order in which they are applied; those that only change the shape are left out."""
    actual = [part for network in networks for part in [*network.children()] or [network]]
    return [described(part) for part in actual if not isinstance(part, nn.Flatten | nn.Unflatten)]


@torch.no_grad()
@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_networks_are_those_of_the_table(table: Networks) -> None:
    net = default_net(table.shape)
    encoder = GaussianEncoderConfig().build(net, table.shape, P)
    decoder = net.decoder(P, table.shape)
    assert layers(encoder.base.trunk, encoder.base.head) == rows(table.encoder)
    assert layers(decoder) == rows(table.decoder)
    assert encoder(torch.rand(2, *table.shape)).mean.shape == (2, P)
    assert decoder(torch.randn(2, P)).shape == (2, *table.shape)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_features_are_the_encoder_without_its_last_layer(table: Networks) -> None:
    """Kim & Pavlovic 2021, sec. 5: the deep kernels' feature functions, and p = h."""
    gp = GPEncoderConfig().build(default_net(table.shape), table.shape, P)
    for features in (gp.base.trunk, gp.psi_m, gp.psi_s):
        assert layers(features) == rows(table.encoder)[:-1]
    assert rows(table.encoder)[-3] == f"fc {gp.w.mu.shape[1]}"


@torch.no_grad()
def test_b_is_linear_in_the_features_and_c_their_softplus() -> None:
    """c = log(1 + e^r) as log(e^r + e^0), positive also where r is far below zero."""
    torch.manual_seed(0)
    base = BaseFunctions(default_net((1, 8, 8)), (1, 8, 8), 3).double()
    features = 30 * torch.randn(40, base.head.in_features, dtype=torch.float64)
    linear = features @ base.head.weight.T + base.head.bias
    b, c = base.from_features(features)
    assert float(linear[:, 3:].min()) < -20
    torch.testing.assert_close(b, linear[:, :3])
    torch.testing.assert_close(c, torch.logaddexp(linear[:, 3:], torch.zeros_like(c)), atol=2e-6, rtol=0)
    assert bool((c > 0).all())


@pytest.mark.parametrize("layers", [2, 3, 4, 5])
def test_every_allowed_number_of_layers_gives_networks_that_fit_together(layers: int) -> None:
    net, shape = ConvConfig(hidden=16, layers=layers), (3, 32, 32)
    x = torch.rand(2, *shape)
    assert net.trunk(shape)(x).shape == (2, 16)
    assert net.decoder(P, shape)(torch.randn(2, P)).shape == x.shape
