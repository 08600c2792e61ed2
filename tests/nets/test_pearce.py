"""The networks of the moving ball: Jazbec et al. 2021, Table A.1, against the layers written out."""

import torch

from gpvae_core.nets.pearce import PearceConfig


def test_encoder_and_decoder_are_one_hidden_layer_of_500_units_with_tanh() -> None:
    torch.manual_seed(0)
    config = PearceConfig()
    trunk, decoder = config.trunk((1, 32, 32)), config.decoder(2, (1, 32, 32))
    x, z = torch.rand(3, 1, 32, 32), torch.randn(3, 2)
    state = trunk.state_dict()
    assert torch.allclose(trunk(x), torch.tanh(x.flatten(1) @ state["1.weight"].T + state["1.bias"]), atol=1e-6)
    state = decoder.state_dict()
    hidden = torch.tanh(z @ state["0.weight"].T + state["0.bias"])
    expected = (hidden @ state["2.weight"].T + state["2.bias"]).reshape(3, 1, 32, 32)
    assert torch.allclose(decoder(z), expected, atol=1e-6)
    assert config.feature_dim == 500


def test_weights_start_within_two_standard_deviations_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    trunk = PearceConfig().trunk((1, 32, 32))
    weight, bias = trunk.state_dict()["1.weight"], trunk.state_dict()["1.bias"]
    # A normal distribution without what is farther than two standard deviations has 0.8796 of its standard deviation.
    assert weight.abs().max() <= 2 / 32
    assert abs(weight.std() * 32 - 0.8796) < 0.005
    assert not bias.any()
