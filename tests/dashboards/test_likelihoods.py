"""A page over a run whose likelihood is not Gaussian."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dashboards.explorer.page import ExplorerPage
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.runs import load_run
from gpvae_core.training import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bernoulli")
    settings = {"likelihood.kind": "bernoulli", "latent_dim": 2, "epochs": 3, "hidden": 32, "lr": 2e-3}
    train(make_config("gp", DataConfig(name="digits"), (1, 8, 8), settings), root / "black-and-white", device="cpu")
    return root


def test_every_card_of_a_bernoulli_run_is_drawn(folder: Path) -> None:
    library = RunLibrary([folder], opened=lambda path: Explorer(load_run(path), gap_sample=3))
    page = ExplorerPage(library, FirstStart(folder), None, "run=black-and-white&index=3")
    page.loaded()
    cards, deadline = page.session.cards, time.monotonic() + 60
    while not all(card.figure for card in cards.values()):
        assert time.monotonic() < deadline, [name for name, card in cards.items() if not card.figure]
        time.sleep(0.2)
        page.tick()
    assert not [card.content["message"] for card in cards.values() if card.content["message"]]
    offered = {name: [select["name"] for select in card.content["selects"]] for name, card in cards.items()}
    assert "colour" in offered["map"]
    assert "bandwidth" not in offered["traces"]
