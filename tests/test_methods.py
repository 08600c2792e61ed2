"""Names of methods, and the settings that they bring."""

from __future__ import annotations

from typing import Any

import pytest

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.methods import get_method, methods, parse_refiner
from gpvae_core.run_config import parse_config

DIGITS = DataConfig(name="digits")
SHAPE = (1, 8, 8)


def test_each_family_offers_its_method() -> None:
    actual = methods()
    assert actual["vae"].kinds() == {
        "encoder": "gaussian",
        "refiner": "none",
        "objective": "elbo",
        "regulariser": "none",
        "inference": "amortized",
    }
    assert actual["gp"].encoder == "gp"
    assert "" not in actual


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gpp", "did you mean 'gp'"),
        ("gp:4", "method 'gp' takes no number"),
        ("vae+gp+gp", "both name the encoder"),
        ("", "unknown method"),
        ("gp+", r"a name is missing in 'gp\+'"),
        ("+gp", r"a name is missing in '\+gp'"),
    ],
)
def test_wrong_names_are_one_clear_line(name: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong.replace("(", r"\(")):
        get_method(name)


def test_unknown_refiners_are_one_clear_line() -> None:
    with pytest.raises(UserError, match="unknown refiner 'nonne'; did you mean 'none'"):
        parse_refiner("nonne")
    with pytest.raises(UserError, match="takes no number"):
        parse_refiner("none:3")


@pytest.mark.parametrize(("method", "kind"), [("sa", "semi_amortized"), ("vlae", "laplace"), ("iai", "iterative")])
def test_a_refiner_can_be_called_as_its_method(method: str, kind: str) -> None:
    assert parse_refiner(f"{method}:2") == parse_refiner(f"{kind}:2")
    assert parse_refiner(f"{method}:2").kind == kind
    with pytest.raises(UserError, match="unknown refiner 'gp'"):
        parse_refiner("gp")


def test_the_parts_of_a_method_are_no_settings() -> None:
    with pytest.raises(UserError, match=r"'refiner\.kind' is not a setting: use --method"):
        make_config("vae", DIGITS, SHAPE, {"refiner.kind": "none"})


def test_a_config_written_before_there_were_parts_is_read() -> None:
    raw: dict[str, Any] = make_config("gp", DIGITS, SHAPE).to_json()
    for part in ("refiner", "objective", "regulariser", "decoder", "freeze_decoder"):
        del raw[part]
    assert parse_config(raw) == make_config("gp", DIGITS, SHAPE)


def test_the_decoder_can_be_of_another_kind_than_the_encoder() -> None:
    config = make_config("vae", DIGITS, SHAPE, {"decoder.kind": "fc", "decoder.hidden": 24, "net.hidden": 12})
    vae = config.build(SHAPE)
    assert parse_config(config.to_json()) == config
    assert vae.decoder[0].out_features == 24  # pyright: ignore[reportIndexIssue]
    assert vae.encoder.base.head.in_features == 12  # pyright: ignore[reportAttributeAccessIssue]


def test_a_frozen_decoder_keeps_its_settings() -> None:
    of = make_config("vae", DIGITS, SHAPE, {"net.hidden": 24, "latent_dim": 3})
    config = make_config("gp", DIGITS, SHAPE, {"net.hidden": 12}, decoder_of=of)
    assert (config.latent_dim, config.decoder, config.freeze_decoder) == (3, of.net, True)
    assert config.net.hidden == 12  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UserError, match="--decoder-from keeps the latent_dim of its run: wanted 3, got 2"):
        make_config("gp", DIGITS, SHAPE, {"latent_dim": 2}, decoder_of=of)
    with pytest.raises(UserError, match="keeps the likelihood"):
        make_config("gp", DIGITS, SHAPE, {"sigma_x": 0.5}, decoder_of=of)
