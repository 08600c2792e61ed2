"""Training by MAPA: from data to a VAE, resumed after a stop or a kill at any moment to the same weights."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.inference.index_posterior import IndexInference
from gpvae_core.inference.mapa import MapaConfig, warn_of_tail
from gpvae_core.mapa.recovery.finish import finish
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.run_files import UNFINISHED, read_json, read_metrics, read_tensors
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.training_loop import Training
from gpvae_core.validation import DeviceSplit, validation_elbo

DATA = DataConfig(name="figure-8")
POINTS = load(DATA)
STEPS = 10
FEW = {"epochs": 3, "recovery_epochs": 2, "encoder_epochs": 2}


def config(method: str = "mapa:20", **settings: Any) -> RunConfig:
    return make_config(method, DATA, POINTS.event_shape, {**FEW, **settings})


def weights(run: Path, which: str) -> dict[str, Tensor]:
    return read_tensors(run / which / "weights.safetensors")


def assert_same(a: Path, b: Path) -> None:
    for which in (UNFINISHED, "best", "last"):
        left, right = weights(a, which), weights(b, which)
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left), which
    keep = ("epoch", "train_bound", "validation_elbo", "passes")
    rows = [[{k: row.get(k) for k in keep} for row in read_metrics(run / "metrics.jsonl")] for run in (a, b)]
    assert rows[0] == rows[1]
    assert read_json(a / "best" / "state.json") == read_json(b / "best" / "state.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config(), tmp_path_factory.mktemp("mapa") / "whole", data=POINTS)


class StopAt:
    """Progress that stops the work at one of its reports."""

    def __init__(self, what: str, done: int) -> None:
        self.what, self.done = what, done

    def __call__(self, done: int, total: int, what: str) -> None:
        if (what, done) == (self.what, self.done):
            raise Cancelled


MOMENTS = [
    ("finding neighbours", 0),
    ("training", 1),
    ("training", STEPS),
    ("training", 2 * STEPS + 3),
    ("training", 3 * STEPS),
    ("recovering the prior: encoder", 7),
    ("recovering the prior: decoder", 7),
    ("fitting the encoder", 11),
]


@pytest.mark.parametrize(("what", "done"), MOMENTS)
def test_a_stopped_run_ends_with_identical_weights(whole: Path, tmp_path: Path, what: str, done: int) -> None:
    with pytest.raises(Cancelled):
        train(config(), tmp_path / "stopped", data=POINTS, progress=StopAt(what, done))
    assert not (tmp_path / "stopped" / "best").exists()
    assert_same(whole, resume(tmp_path / "stopped"))


def test_a_stop_between_the_finished_model_and_its_record_changes_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Training.save

    def fail(self: Training) -> None:
        if self.state.finished:
            raise OSError("killed here")
        save(self)

    monkeypatch.setattr(Training, "save", fail)
    with pytest.raises(OSError, match="killed here"):
        train(config(), tmp_path / "run", data=POINTS)
    monkeypatch.undo()
    assert (tmp_path / "run" / "best").exists()
    assert not summarize(tmp_path / "run").finished
    assert_same(whole, resume(tmp_path / "run"))


def test_the_finished_model_is_made_from_the_best_weights_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.0, -1.0, -2.0])
    monkeypatch.setattr(IndexInference, "score", lambda self: next(scores))
    one = config()
    run = train(one, tmp_path / "run", data=POINTS, device="cpu")
    assert read_json(run / "best" / "state.json")["epoch"] == 1

    def finished(which: str) -> dict[str, Tensor]:
        vae = one.build(POINTS.event_shape)
        vae.load_state_dict(weights(run, which))
        assert isinstance(one.inference, MapaConfig)
        finish(vae, DeviceSplit(POINTS.train, torch.device("cpu")), one.inference, one.seed)
        return vae.state_dict()

    best, of_best, of_last = weights(run, "best"), finished(UNFINISHED), finished("last")
    assert all(torch.equal(best[name], of_best[name]) for name in best)
    assert any(not torch.equal(best[name], of_last[name]) for name in best)


def evenly(n: int, stored: int) -> SparsePosterior:
    """Every index alike."""
    index = torch.arange(stored).repeat(n, 1)
    left = torch.full((n,), math.log(n - stored) if stored < n else -math.inf, dtype=torch.float64)
    return SparsePosterior.normalized(index, torch.zeros(n, stored, dtype=torch.float64), left, n)


def test_a_heavy_tail_is_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_tail(evenly(100, 40))
    (record,) = caplog.records
    assert "the 40 stored of 100 indices hold 40 % of the posterior" in record.getMessage()
    assert "--set stored=" in record.getMessage()


@pytest.mark.parametrize("stored", [91, 100])
def test_a_light_tail_is_not(stored: int, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_tail(evenly(100, stored))
    assert not caplog.records


def test_all_indices_are_stored_while_that_is_cheap() -> None:
    actual = {n: MapaConfig().stored_of(n) for n in (100, 5000, 5120, 5121, 60_000)}
    assert actual == {100: 100, 5000: 5000, 5120: 5120, 5121: 256, 60_000: 256}


KILLED = """
import json, os, signal, sys
from pathlib import Path
import gpvae_core.training_loop as loop
from gpvae_core.run_config import parse_config
from gpvae_core.training import train

loop.SAVE_SECONDS = 0.0
what, done = sys.argv[3], int(sys.argv[4])

def progress(d, total, w):
    if (w, d) == (what, done):
        os.kill(os.getpid(), signal.SIGKILL)

train(parse_config(json.loads(sys.argv[2])), Path(sys.argv[1]), progress=progress)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(("what", "done"), [("training", STEPS + 4), ("fitting the encoder", 5)])
def test_a_killed_run_ends_with_identical_weights(whole: Path, tmp_path: Path, what: str, done: int) -> None:
    arguments = [str(tmp_path / "run"), json.dumps(config().to_json()), what, str(done)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert_same(whole, resume(tmp_path / "run"))


def test_a_finished_run_is_trained_longer_as_if_it_had_never_ended(whole: Path, tmp_path: Path) -> None:
    longer = train(config(epochs=5), tmp_path / "longer", data=POINTS)
    short = train(config(), tmp_path / "short", data=POINTS)
    assert_same(whole, short)
    assert_same(longer, resume(short, epochs=5))


def test_a_finished_run_has_nothing_left_to_do(whole: Path) -> None:
    def report(done: int, total: int, what: str) -> None:
        raise AssertionError(what)

    assert resume(whole, progress=report) == whole


def test_it_ends_as_an_ordinary_vae(whole: Path) -> None:
    run = load_run(whole, device="cpu")
    best = read_json(whole / "best" / "state.json")
    assert best["validation_elbo"] == validation_elbo(run.model, split(whole), run.config.seed)
    assert set(best["finish"]) >= {"decoder_kl"}
    q = run.posterior(run.data.test.pixels(np.arange(3)))
    assert q.mean.shape == (3, 1)
    assert summarize(whole).best_elbo == best["validation_elbo"]
    assert summarize(whole).score == max(row["validation_elbo"] for row in run.metrics)
    assert "empiricalized" in summarize(whole).score_name


def split(folder: Path, which: str = "validation") -> Any:
    training = Training(load_run(folder).config, POINTS, folder, torch.device("cpu"))
    return training.validation if which == "validation" else training.images


@torch.no_grad()
def test_the_score_is_the_likelihood_of_the_empiricalized_model(whole: Path) -> None:
    """Eq. 4 of the raw weights of the best epoch, pair by pair."""
    vae = config().build(POINTS.event_shape)
    vae.load_state_dict(weights(whole, UNFINISHED))
    g = vae.decode(vae.encoder(POINTS.train.pixels()).mean).double()
    log_p = vae.likelihood.double().log_prob(POINTS.validation.pixels().double()[:, None], g[None])
    exact = float((torch.logsumexp(log_p, 1) - np.log(len(g))).mean())
    assert read_json(whole / UNFINISHED / "state.json")["validation_elbo"] == pytest.approx(exact, abs=1e-4)


def test_passes_are_counted_for_each_point(whole: Path) -> None:
    for row in read_metrics(whole / "metrics.jsonl"):
        assert 1 < row.get("passes", 0.0) <= len(POINTS.train) / 100
    rows = read_metrics(whole / "metrics.jsonl")
    assert rows[-1]["train_bound"] > rows[0]["train_bound"]


@pytest.mark.parametrize("batching", ["mapa_gt", "mapa_naive", "neighbours"])
def test_the_other_ways_resume_too(tmp_path: Path, batching: str) -> None:
    name = batching.replace("_", "-") + ":5" if batching.startswith("mapa") else "mapa:5"
    settings = {"batching": "neighbours", "group_size": 10} if batching == "neighbours" else {}
    one = config(name, **settings)
    straight = train(one, tmp_path / "whole", data=POINTS)
    with pytest.raises(Cancelled):
        train(one, tmp_path / "stopped", data=POINTS, progress=StopAt("training", STEPS + 3))
    assert_same(straight, resume(tmp_path / "stopped"))


def scored(folder: Path, method: str) -> float:
    """The best score in 20 epochs."""
    settings = config(method, epochs=20)
    rows: list[float] = []

    def stop(done: int, total: int, what: str) -> None:
        if what != "training" and len(rows) == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(
            settings,
            folder,
            data=POINTS,
            progress=stop,
            on_epoch=lambda _n, _m, row: rows.append(row["validation_elbo"]),
        )
    return max(rows)


def test_mapa_is_worth_something(tmp_path: Path) -> None:
    """On figure-8, with 5 draws: the naive bound leaves nats behind, the model's own posterior does as MAPA."""
    mapa, own, naive = (scored(tmp_path / name, f"{name}:5") for name in ("mapa", "mapa-gt", "mapa-naive"))
    assert naive < min(mapa, own) - 0.2


@pytest.mark.parametrize("search", ["exact", "approximate"])
def test_images_in_two_dimensions_have_a_flow_as_prior(tmp_path: Path, search: str) -> None:
    digits = load(DataConfig(name="digits"))
    settings = {**FEW, "epochs": 2, "bandwidth": "validation", "search": search, "stored": 300, "net.hidden": 16}
    one = make_config("mapa:10", DataConfig(name="digits"), digits.event_shape, settings)
    whole = train(one, tmp_path / "whole", data=digits)
    with pytest.raises(Cancelled):
        train(one, tmp_path / "stopped", data=digits, progress=StopAt("recovering the prior: flow", 3))
    assert_same(whole, resume(tmp_path / "stopped"))
    run = load_run(whole, device="cpu")
    assert run.config.prior.kind == "flow"
    assert run.posterior(digits.test.pixels(np.arange(2))).mean.shape == (2, 2)


def test_divergence_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training diverged"):
        train(config(lr=1e30), tmp_path / "run", data=POINTS)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"bandwidth": 0}, "wanted bandwidth as a number from 1e-15 to 1e\\+15 or one of sigma_x, validation, got 0"),
        ({"bandwidth": "sigma"}, "wanted bandwidth as a number from 1e-15 to 1e\\+15"),
        ({"draws": -1}, "greater than or equal to 0"),
        ({"group_size": 5}, "group_size has no effect without batching=neighbours"),
        ({"train.samples": 2}, r"method 'mapa:20' works only with --set train\.samples=1, got 2"),
        ({"kl_warmup": 2}, r"works only with --set train\.kl_warmup=0"),
        ({"kl_weight": 2}, r"works only with --set train\.kl_weight=1\.0, got 2\.0: leave it out"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        config(**settings)


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("mapa+gp", r"method 'mapa\+gp': mapa works only with a plain encoder, got the encoder 'gp'"),
        ("mapa+iwae", r"method 'mapa\+iwae': mapa works only with a plain encoder, got the objective 'iwae'"),
        ("mapa-gt+vlae:2", r"method 'mapa-gt\+vlae:2': mapa-gt works only with "),
        ("mapa+sa:2", "got the refiner 'semi_amortized'"),
        ("mapa+dvae", "got the regulariser 'denoising'"),
        ("mapa+mapa-gt", "both name the inference"),
    ],
)
def test_mapa_goes_with_no_other_part(method: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        config(method)


def test_a_frozen_decoder_is_refused_by_the_option_that_asks_for_it() -> None:
    with pytest.raises(UserError, match="method 'mapa:20' trains its decoder, as mapa does: leave out --decoder-from"):
        make_config("mapa:20", DATA, POINTS.event_shape, FEW, decoder_of=make_config("vae", DATA, POINTS.event_shape))


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"rho": 0.8}, "'rho' is not a setting of the kernel for the 'gaussian' likelihood"),
        ({"temperature": 2.0}, "'temperature' is not a setting of the kernel"),
        ({"neighbours": 1001, "draws": 0}, "wanted k from 0 to the 1000 training points"),
        ({"neighbours": 1000}, "k=1000 includes every training point"),
        ({"neighbours": 0, "draws": 0}, "leave the bound without a term"),
        ({"stored": 1}, "wanted stored from the 2 neighbours"),
        ({"stored": 2000}, "to the 1000 training points, got 2000"),
        ({"latent_dim": 2, "prior.kind": "normal"}, "wants a flow before the decoder"),
        ({"likelihood.kind": "bernoulli"}, "wanted binary images"),
        ({"likelihood.kind": "bernoulli", "bandwidth": 0.2}, "'bandwidth' is not a setting of the kernel"),
    ],
)
def test_what_does_not_go_with_the_data_leaves_no_folder(tmp_path: Path, settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        train(config(**settings), tmp_path / "run", data=POINTS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("which", "settings", "wrong"),
    [
        (np.arange(9), {"latent_dim": 2}, "at least 10 training points, got 9"),
        (np.zeros(50, np.int64), {}, "all training points are equal"),
    ],
)
def test_points_that_could_not_be_finished_leave_no_folder(
    tmp_path: Path, which: NDArray[np.int64], settings: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(UserError, match=wrong):
        train(config("mapa:3", **settings), tmp_path / "run", data=replace(POINTS, train=POINTS.train.take(which)))
    assert not (tmp_path / "run").exists()


def test_a_flow_is_the_prior_in_more_dimensions() -> None:
    assert config().prior.kind == "normal"
    two = config(latent_dim=2)
    assert two.prior.kind == "flow"
    assert parse_config(two.to_json()) == two


def test_k_is_a_tenth_of_the_draws_where_it_is_not_given() -> None:
    actual = {draws: MapaConfig(draws=draws).summed(1000) for draws in (0, 5, 50, 200)}
    assert actual == {0: 1, 5: 1, 50: 5, 200: 20}
    assert MapaConfig(draws=50).summed(3) == 2
    assert MapaConfig(draws=50, neighbours=45).summed(1000) == 45
