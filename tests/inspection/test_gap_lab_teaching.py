"""Runs that the Gap Lab trains: on a frozen decoder, resumable, and found again by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.inspection.gap_lab import teaching
from gpvae_core.inspection.gap_lab.curves import epoch_curve
from gpvae_core.inspection.gap_lab.methods import decoders
from gpvae_core.progress import Cancelled
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("runs")
    settings = {"latent_dim": 2, "train.epochs": 2, "net.hidden": 16}
    train(make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings), root / "origin", device="cpu")
    return load_run(root / "origin", device="cpu")


def test_the_teaching_set_is_every_family_that_fits_and_trains_on_the_decoder(origin: Run, tmp_path: Path) -> None:
    plan = teaching.teaching_set(origin)
    names = [item.config.method for item in plan]
    assert {"vae", "full", "gp"} <= set(names)
    assert all(item.config.freeze_decoder and item.config.refiner.kind == "none" for item in plan)
    two = [teaching.planned(origin, name, epochs=1) for name in ("vae", "full")]
    folders = teaching.train_planned(tmp_path, two, origin).folders
    runs = {path.name: load_run(path, device="cpu") for path in folders}
    assert set(runs) == {"origin-vae", "origin-full"}
    actual = decoders({"origin": origin, **runs})
    assert [(d.name, len(d.runs)) for d in actual] == [("origin", 3)]


def test_a_cancelled_training_goes_on_and_a_finished_one_is_kept(origin: Run, tmp_path: Path) -> None:
    plan, calls = [teaching.planned(origin, "vae", epochs=3)], iter(range(1000))

    def stop(done: int, total: int, what: str) -> None:
        assert "1 of 1, origin-vae" in what
        if next(calls) == 14:
            raise Cancelled

    with pytest.raises(Cancelled):
        teaching.train_planned(tmp_path, plan, origin, stop)
    assert not summarize(tmp_path / "origin-vae").finished
    teaching.train_planned(tmp_path, plan, origin)
    done = summarize(tmp_path / "origin-vae")
    assert (done.finished, done.epochs) == (True, 3)
    before = (tmp_path / "origin-vae" / "metrics.jsonl").read_text()
    teaching.train_planned(tmp_path, plan, origin)
    assert (tmp_path / "origin-vae" / "metrics.jsonl").read_text() == before
    with pytest.raises(UserError, match="other settings"):
        teaching.train_planned(tmp_path, [teaching.planned(origin, "vae", epochs=4)], origin)


def test_a_damaged_run_is_left_out_and_the_others_are_trained(origin: Run, tmp_path: Path) -> None:
    plan = [teaching.planned(origin, name, epochs=1) for name in ("vae", "full", "gp")]
    teaching.train_planned(tmp_path, plan[:2], origin)
    (tmp_path / "origin-vae" / "config.json").write_text("{", encoding="utf-8")
    made = teaching.train_planned(tmp_path, plan, origin)
    assert [folder.name for folder in made.folders] == ["origin-full", "origin-gp"]
    assert made.known == ["origin-full"]
    assert list(made.left_out) == ["origin-vae"]
    assert "config.json' is damaged" in made.left_out["origin-vae"]
    assert (tmp_path / "origin-vae" / "config.json").read_text(encoding="utf-8") == "{"
    with pytest.raises(UserError, match=r"config\.json' is damaged"):
        teaching.train_planned(tmp_path, plan[:1], origin)


def test_series_for_the_teaching_plots(origin: Run, tmp_path: Path) -> None:
    sizes = teaching.size_set(origin)
    assert [item.config.net.model_dump()["hidden"] for item in sizes] == list(teaching.SIZES)
    assert all(item.config.decoder == origin.config.net for item in sizes)
    item = teaching.epoch_run(origin)
    assert not item.config.freeze_decoder
    assert item.config.train.keep_every == teaching.MOST_EPOCHS // teaching.KEPT_EPOCHS
    raw: dict[str, Any] = item.config.to_json()
    raw["train"] |= {"epochs": 2, "keep_every": 1}
    short = teaching.PlannedTraining("epochs", type(item.config).model_validate(raw))
    (folder,) = teaching.train_planned(tmp_path, [short], origin).folders
    run = load_run(folder, device="cpu")
    view = epoch_curve(run, sample=3)
    assert list(view.x) == [1, 2]
    for whole, a, b in zip(view.inference, view.approximation, view.amortization, strict=True):
        assert whole.mean == pytest.approx(a.mean + b.mean)
        assert a.mean > -0.05
    stored = list((folder / "explore").glob("labepochs-*.npz"))
    assert len(stored) == 1


def test_a_method_that_does_not_exist_or_fit_is_refused(origin: Run) -> None:
    with pytest.raises(UserError, match="unknown method"):
        teaching.planned(origin, "vea")
