"""The network of Jazbec et al. 2021, Table A.2."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.nets.casale import CasaleConfig
from gpvae_core.nets.doubling import DoublingConvolution

SHAPE = (1, 28, 28)


def test_the_layers_are_those_of_the_table() -> None:
    config = CasaleConfig()
    trunk, decoder = config.trunk(SHAPE), config.decoder(16, SHAPE)
    assert trunk(torch.zeros(2, *SHAPE)).shape == (2, config.feature_dim) == (2, 32)
    assert decoder(torch.zeros(2, 16)).shape == (2, *SHAPE)
    convolutions = [m for net in (trunk, decoder) for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [8, 8, 8, 8, 8, 1]
    assert all(c.kernel_size == (3, 3) for c in convolutions)
    assert sum(p.numel() for p in trunk.parameters()) == 80 + 2 * 584
    assert sum(p.numel() for p in decoder.parameters()) == 16 * 128 + 128 + 2 * 584 + 73
    assert all(float(c.bias.detach().abs().sum()) == 0 for c in convolutions if c.bias is not None)


def test_pixels_stay_above_minus_one() -> None:
    decoder = CasaleConfig().decoder(2, SHAPE)
    assert float(decoder(100 * torch.randn(8, 2)).min().detach()) >= -1.0


def test_other_sizes_are_refused() -> None:
    with pytest.raises(UserError, match="wants images of 28x28 pixels, got 8x8"):
        CasaleConfig().trunk((1, 8, 8))


@pytest.mark.parametrize("padding", [0, 1])
def test_a_doubling_convolution_is_that_of_the_doubled_map(padding: int) -> None:
    torch.manual_seed(0)
    fast = DoublingConvolution(2, 3, padding=padding).double()
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2, 3, 3, padding=padding)).double()
    plain[1].load_state_dict(fast.state_dict())
    x = torch.randn(4, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(fast(x), plain(x))
    weights = torch.randn_like(plain(x))
    own = torch.autograd.grad((weights * fast(x)).sum(), [x, *fast.parameters()])
    torch.testing.assert_close(own, torch.autograd.grad((weights * plain(x)).sum(), [x, *plain.parameters()]))
