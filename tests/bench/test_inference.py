"""The inference bench times every way of inference once, beside the VAE."""

from __future__ import annotations

import pytest
import torch

from gpvae_core.bench import inference
from gpvae_core.bench.inference import InferenceBench, names_of_methods
from gpvae_core.methods import get_method, methods
from gpvae_core.progress import silent


def test_every_way_of_inference_is_timed_once() -> None:
    names = names_of_methods()
    assert len(names) == len(set(names))
    ways = {(m.encoder, m.refiner) for m in methods().values() if (m.objective, m.regulariser) == ("elbo", "none")}
    assert {(m.encoder, m.refiner) for m in map(get_method, names)} == ways
    assert {"vae", "gp"} <= set(names)


def test_ratios_are_to_the_vae_of_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "names_of_methods", lambda: ["vae", "gp"])
    monkeypatch.setattr(inference, "D", 3)
    monkeypatch.setattr(inference, "OTHER_DIMENSIONS", ())
    monkeypatch.setattr(inference, "BATCH", 4)
    rows = InferenceBench().run(torch.device("cpu"), 2, silent)
    timed = {row.case: row for row in rows if row.metric == "time per batch of 128"}
    assert set(timed) == {"vae", "gp"}
    assert timed["gp"].ratio_to == "vae"
    assert timed["vae"].ratio is None
    assert all(row.value > 0 for row in rows)
    assert min(row.value for row in rows if "difference" in row.metric) < 1e-4
