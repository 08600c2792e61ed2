"""Settings: defaults by image size, presets, overrides, and the error for each wrong one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.run_config import parse_config
from gpvae_core.settings import parse_settings, settings_table
from gpvae_core.types import EventShape

DIGITS = DataConfig(name="digits")


@pytest.mark.parametrize(
    ("shape", "kind", "hidden", "parameters"),
    # Parameters of the decoder at d = 10, counted by hand from Tables 6, 7 and 8.
    [
        ((1, 28, 28), ConvConfig, 256, 2816 + 148032 + 32800 + 16416 + 513),
        ((3, 32, 32), ConvConfig, 512, 5632 + 525312 + 32800 + 16416 + 1539),
        ((3, 64, 64), ConvConfig, 512, 5632 + 525312 + 65600 + 32800 + 16416 + 1539),
    ],
)
def test_networks_are_those_of_the_tables(shape: EventShape, kind: type, hidden: int, parameters: int) -> None:
    config = make_config("vae", DIGITS, shape, {"latent_dim": 10})
    assert isinstance(config.net, kind)
    assert config.net.feature_dim == hidden
    decoder = config.net.decoder(10, shape)
    assert sum(p.numel() for p in decoder.parameters()) == parameters


def test_small_images_get_the_fully_connected_stack() -> None:
    assert isinstance(make_config("vae", DIGITS, (1, 8, 8)).net, FullyConnectedConfig)


def test_the_preset_is_the_paper() -> None:
    config = make_config("gp", DIGITS, (1, 28, 28), preset="kim2021")
    assert (config.train.epochs, config.train.batch_size, config.train.lr) == (2000, 128, 5e-4)
    assert config.latent_dim == 10
    assert make_config("gp", DIGITS, (1, 28, 28), {"train.epochs": 5}, "kim2021").train.epochs == 5


def test_overrides_by_dotted_key_or_plain_name() -> None:
    settings = parse_settings(["lr=0.01", "encoder.expected_kl=closed_form", "likelihood.learn_sigma_x=false"])
    config = make_config("gp", DIGITS, (1, 8, 8), settings)
    assert config.train.lr == 0.01
    assert config.encoder.model_dump()["expected_kl"] == "closed_form"
    assert config.likelihood.model_dump()["learn_sigma_x"] is False


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lerning_rate": 1}, "unknown setting 'lerning_rate'"),
        ({"train.epoch": 1}, "did you mean 'train.epochs'"),
        ({"encoder.expectd_kl": 1}, "did you mean 'encoder.expected_kl'"),
        ({"lr": -1}, "setting 'train.lr': input should be greater than 0, got -1"),
        ({"lr": "fast"}, "setting 'train.lr'"),
        ({"latent_dim": 0}, "setting 'latent_dim'"),
        ({"seed": 2**63}, "setting 'seed'"),
        ({"lr": "x" * 500}, "..."),
        ({"hidden": 0}, "hidden"),
        ({"expected_kl": "exact"}, "expected_kl"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        make_config("gp", DIGITS, (1, 8, 8), settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misplaced_setting_is_told_where_it_belongs() -> None:
    for settings, message in (
        ({"method": "vae"}, "use --method"),
        ({"name": "mnist"}, "use --dataset"),
        ({"data.name": "mnist"}, "use --dataset"),
        ({"encoder": "vae"}, "use --method"),
        ({"net": "fc"}, "use --set net.kind=..., or one of net.hidden, net.depth"),
        ({"layers": 3}, "setting 'net.layers' belongs to another net: this run's is 'fc'"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            make_config("gp", DIGITS, (1, 8, 8), settings)
    with pytest.raises(UserError, match="belongs to another encoder: this run's is 'gaussian'"):
        make_config("vae", DIGITS, (1, 8, 8), {"expected_kl": "closed_form"})


def test_a_kind_does_not_undo_what_was_set_before_it() -> None:
    config = make_config("vae", DIGITS, (1, 28, 28), {"net.hidden": 64, "net.kind": "fc"})
    assert (config.net.kind, config.net.model_dump()["hidden"]) == ("fc", 64)


def test_a_method_with_another_encoder_is_refused() -> None:
    raw: dict[str, Any] = make_config("gp", DIGITS, (1, 8, 8)).to_json()
    with pytest.raises(UserError, match="method 'vae' has the encoder 'gaussian', not 'gp'"):
        parse_config({**raw, "method": "vae"})


def test_unknown_names_come_with_the_nearest_right_one() -> None:
    with pytest.raises(UserError, match="did you mean 'vae'"):
        make_config("VAE", DIGITS, (1, 8, 8))
    with pytest.raises(UserError, match="did you mean 'vae'"):
        make_config("vea", DIGITS, (1, 8, 8))
    with pytest.raises(UserError, match="did you mean 'kim2021'"):
        make_config("vae", DIGITS, (1, 8, 8), preset="kim21")
    with pytest.raises(UserError, match="wanted --set key=value"):
        parse_settings(["lr"])


def test_images_too_small_for_the_convolutions_are_refused() -> None:
    config = make_config("vae", DIGITS, (1, 28, 28), {"net.layers": 5})
    with pytest.raises(UserError, match=r"net\.kind=fc"):
        config.build((1, 28, 28))


def test_an_unknown_setting_without_a_near_one_says_where_all_are() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'foo\.qqqq'.*all: gpvae list settings"):
        make_config("vae", DataConfig(name="digits"), (1, 8, 8), {"foo.qqqq": 1})


def test_the_settings_of_the_networks_are_said_alike_of_encoder_and_decoder() -> None:
    rows = {row["setting"]: row["meaning"] for row in settings_table()}
    for part in ("net", "decoder"):
        assert rows[f"{part}.hidden"].startswith("units of the fully connected layer(s), h")
        assert "coder" not in rows[f"{part}.depth"] + rows[f"{part}.hidden"] + rows[f"{part}.layers"]
