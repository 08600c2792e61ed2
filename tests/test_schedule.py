"""When training enters a stage, and when it stops early."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.encoders.base import Stage
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import TrainConfig
from gpvae_core.run_files import read_metrics, read_record
from gpvae_core.run_records import TrainingState
from gpvae_core.runs import load_run
from gpvae_core.schedule import enter_stage, learning_rate, stage_number, waited_enough
from gpvae_core.training import resume, train

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
STAGES = tuple(Stage(name, ("",), share) for name, share in (("a", 0.5), ("b", 0.25), ("c", 0.25)))


@pytest.mark.parametrize(("done", "number"), [(0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.75, 2), (1.0, 2), (1.3, 2)])
def test_stages_take_their_shares(done: float, number: int) -> None:
    assert stage_number(STAGES, done) == number


def test_a_longer_run_never_goes_back_to_an_earlier_stage() -> None:
    state = TrainingState()
    entered = []
    for epoch in range(8):
        state.epoch = epoch
        entered.append(enter_stage(STAGES, state, 8).name)
    assert entered == ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    assert state.stage_epoch == 6
    state.epoch = 8  # now of 80
    assert enter_stage(STAGES, state, 80).name == "c"
    assert state.stage_epoch == 6


def test_patience_counts_in_the_last_stage_and_after_the_warm_up() -> None:
    cfg = TrainConfig(epochs=100, patience=5, kl_warmup=10)
    assert not waited_enough(cfg, TrainingState(epoch=50, best_epoch=1, stage=1), 3)
    assert not waited_enough(cfg, TrainingState(epoch=54, best_epoch=1, stage=2, stage_epoch=50), 3)
    assert waited_enough(cfg, TrainingState(epoch=55, best_epoch=1, stage=2, stage_epoch=50), 3)
    assert not waited_enough(cfg, TrainingState(epoch=14, best_epoch=1), 1)
    assert waited_enough(cfg, TrainingState(epoch=15, best_epoch=1), 1)
    assert not waited_enough(TrainConfig(), TrainingState(epoch=1000, best_epoch=1), 1)


def test_the_learning_rate_falls_by_half_a_cosine() -> None:
    assert [learning_rate(TrainConfig(lr=0.1, epochs=4), epoch) for epoch in range(4)] == [0.1] * 4
    cosine = TrainConfig(lr=0.1, epochs=4, lr_schedule="cosine")
    rates = [learning_rate(cosine, epoch) for epoch in range(5)]
    # cos(45 degrees) = 0.7071
    assert rates == pytest.approx([0.1, 0.085355, 0.05, 0.014645, 0.0], abs=1e-6)


@pytest.mark.parametrize(("name", "value", "default"), [("lr_schedule", "cosine", "constant"), ("clip", 1.0, 0.0)])
def test_a_run_whose_rate_falls_or_whose_gradients_are_clipped_resumes_exactly(
    name: str, value: object, default: object, tmp_path: Path
) -> None:
    settings = {"net.hidden": 8, "epochs": 4, name: value}
    config = make_config("vae", DATA, DIGITS.event_shape, settings)
    whole = train(config, tmp_path / "whole", data=DIGITS)

    def stop(done: int, total: int, what: str) -> None:
        if what == "training" and done > total // 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(config, tmp_path / "stopped", data=DIGITS, progress=stop)
    resume(tmp_path / "stopped")
    first, second = (load_run(folder, "last").model.state_dict() for folder in (whole, tmp_path / "stopped"))
    assert all(torch.equal(weights, second[key]) for key, weights in first.items())
    constant = train(make_config("vae", DATA, DIGITS.event_shape, {**settings, name: default}), tmp_path / "c")
    other = load_run(constant, "last").model.state_dict()
    assert not all(torch.equal(weights, other[key]) for key, weights in first.items())
    saved = json.loads((constant / "config.json").read_text())["train"]
    assert name not in saved


def test_a_mixture_grown_in_stages_has_all_its_components_when_it_stops_early(tmp_path: Path) -> None:
    settings = {"net.hidden": 8, "epochs": 30, "patience": 1, "train.lr": 0.02}
    run = train(make_config("rme:3", DATA, DIGITS.event_shape, settings), tmp_path / "run", data=DIGITS)
    state = read_record(run / "last" / "state.json", TrainingState)
    assert state.finished
    assert state.stage == 2
    assert int(load_run(run, "last").model.encoder.added) == 3  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]


def test_a_run_that_is_made_longer_goes_on_in_its_last_stage(tmp_path: Path) -> None:
    settings = {"net.hidden": 8, "epochs": 4}
    run = train(make_config("rme:2", DATA, DIGITS.event_shape, settings), tmp_path / "run", data=DIGITS)
    before = read_record(run / "last" / "state.json", TrainingState)
    resume(run, epochs=12)
    after = read_record(run / "last" / "state.json", TrainingState)
    assert (before.stage, before.stage_epoch) == (after.stage, after.stage_epoch) == (1, 2)
    assert len(read_metrics(run / "metrics.jsonl")) == 12
