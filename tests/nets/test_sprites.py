"""The network of Jazbec et al. 2021, Table A.3."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.nets.sprites import SpritesConfig

SHAPE = (3, 64, 64)


def test_the_layers_are_those_of_the_table() -> None:
    config = SpritesConfig()
    trunk, decoder = config.trunk(SHAPE), config.decoder(64, SHAPE)
    assert trunk(torch.zeros(2, *SHAPE)).shape == (2, config.feature_dim) == (2, 1024)
    assert decoder(torch.zeros(2, 64)).shape == (2, *SHAPE)
    convolutions = [[m for m in net.modules() if isinstance(m, nn.Conv2d)] for net in (trunk, decoder)]
    assert [c.out_channels for c in convolutions[0]] == [16] * 6
    assert [c.out_channels for c in convolutions[1]] == [16] * 6 + [3]
    assert all(c.kernel_size == (3, 3) for net in convolutions for c in net)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="wants images of 64x64 pixels, got 28x28"):
        SpritesConfig().decoder(2, (1, 28, 28))
