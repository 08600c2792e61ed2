"""The Explorer over a run with one latent dimension, whose name would be HTML and TeX, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from gpvae_core.bench.browser import VIEWS, wait_until_quiet
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.training import train
from tests.dashboards.saving import check_figure

NAME = "<i>one $d$"


@pytest.mark.page
def test_each_view_is_drawn_and_the_name_is_shown_letter_by_letter(
    offline_page: Any, start_server: Callable[..., Any], tmp_path: Path
) -> None:
    settings = {"latent_dim": 1, "train.epochs": 3, "train.lr": 2e-3}
    train(make_config("gp", DataConfig(name="digits"), (1, 8, 8), settings), tmp_path / NAME, device="cpu")
    offline_page.set_viewport_size({"width": 1440, "height": 900})
    offline_page.goto(f"{start_server(tmp_path).url}?run={quote(NAME)}&index=3")
    wait_until_quiet(offline_page)
    for name in (*VIEWS, "figure_one"):
        card = offline_page.locator(f"section[data-view={name}]")
        expect(card.locator(".message")).to_be_empty()
        check_figure(offline_page, card, NAME, *(() if name == "figure_one" else ("test image 3",)))
    gaps = offline_page.locator("section[data-view=gaps] .plot")
    expect(gaps).to_contain_text(f"{NAME}: log p(x)")
    expect(gaps).to_contain_text("best Gaussian's ELBO: −")
    for absent in ("full", " diagonal"):  # before, a mark and a number for what is the same Gaussian
        expect(gaps).not_to_contain_text(absent)
    expect(offline_page.locator("section[data-view=posterior] .sentence")).to_contain_text("diamonds: MAPA points")
    expect(offline_page.locator("section[data-view=traces] .sentence")).to_contain_text("by quadrature")
    expect(offline_page.locator("section[data-view=posterior] .sentence")).to_contain_text(
        "The density along the latent"
    )
    expect(offline_page.locator(".summary")).to_contain_text("the true posterior has")
