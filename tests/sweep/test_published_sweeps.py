"""The sweep files of the documentation: each describes runs that can be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.sweep.config import SweepConfig, read_sweep

DOCS = Path(__file__).parents[2] / "docs"
SHAPES = {"rotated-mnist": (1, 28, 28), "sprites": (3, 64, 64), "moving-ball": (1, 32, 32)}
NAMES = ["moving-ball", "rotated-mnist", "rotated-mnist-digits", "rotated-mnist-wide", "sprites", "sprites-full"]


@pytest.mark.parametrize("name", NAMES)
def test_the_runs_of_a_sweep_file_have_its_settings(name: str) -> None:
    sweep = read_sweep(DOCS / f"{name}.toml")
    assert sweep.name == name
    for dataset in sweep.datasets:
        for method in sweep.methods:
            shape = SHAPES[dataset.partition(":")[0]]
            settings = {"latent_dim": sweep.latent_dims[0], **sweep.overrides(method)}
            config = make_config(method, DataConfig(name=dataset), shape, settings)
            assert config.net.kind == settings["net.kind"]
            assert config.train.lr == settings["train.lr"]


def test_the_sweep_over_digits_has_the_settings_of_table_1() -> None:
    table, digits = (read_sweep(DOCS / f"{name}.toml") for name in ("rotated-mnist", "rotated-mnist-digits"))
    of_table = {key: value for key, value in table.overrides("svgp:32").items() if key != "train.keep_every"}
    assert digits.overrides("svgp:32") == of_table


def test_sprites_at_full_size_is_the_same_sweep_of_all_characters() -> None:
    def rest(sweep: SweepConfig) -> object:
        return sweep.model_dump(exclude={"name", "datasets", "splits"})

    small, full = read_sweep(DOCS / "sprites.toml"), read_sweep(DOCS / "sprites-full.toml")
    assert rest(small) == rest(full)
    assert (small.datasets, full.datasets) == (("sprites:200",), ("sprites",))
