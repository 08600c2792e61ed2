"""Numerical safety through `gpvae train`: it works, or ends in one line; what is on the disk is always finite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.errors import UserError
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.run_files import read_metrics, read_tensors
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from tests.commands import Done, gpvae
from tests.inference.gp_prior.series_data import DATA, config
from tests.inference.gp_prior.test_training import SETTINGS

METHODS = ("svgp", "titsias", "gp-vae", "markov", "deep-svigp")
INDUCING = ("svgp", "titsias", "deep-svigp")
EPOCHS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the small series as a table."""
    parts = {"train": DATA.train, "validation": DATA.validation, "test": DATA.test}
    arrays: dict[str, list[np.ndarray]] = {"images": [], "time:number": [], "series:category": [], "split": []}
    arrays["object:category"] = []
    for name, part in parts.items():
        assert part.auxiliary is not None
        arrays["images"].append(part.images[:, 0])
        arrays["split"].append(np.full(len(part), name))
        arrays["time:number"].append(part.auxiliary["time"])
        for column in ("series", "object"):
            arrays[f"{column}:category"].append(part.auxiliary[column])
    np.savez(
        tmp_path / "series.npz", allow_pickle=False, **{name: np.concatenate(pieces) for name, pieces in arrays.items()}
    )
    return tmp_path


def trained(folder: Path, method: str, kernel: str, *settings: str) -> Done:
    """`gpvae train`, which must end well or in one line, and leave no number on the disk that is none."""
    given = [f"prior.kernel={kernel}", "net.kind=fc", "net.hidden=8", "likelihood.kind=gaussian", "batch_size=64"]
    given += [f"prior.group={'' if method == 'deep-svigp' else 'series'}", *settings]
    arguments = [part for setting in given for part in ("--set", setting)]
    command = ["train", "--method", method, "--dataset", "table:series.npz", "--epochs", str(EPOCHS), "--out", "run"]
    done = gpvae(*command, *arguments, cwd=folder)
    for path in (folder / "run").rglob("weights.safetensors"):
        assert all(bool(value.isfinite().all()) for value in read_tensors(path).values()), path
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1] if done.stderr else ""
    assert (done.returncode == 0) != (last.startswith("gpvae: ") and len(last) < 600), done.stderr
    return done


def well(folder: Path, *arguments: str) -> None:
    """It trains all its epochs, and its predictions are finite."""
    done = trained(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(read_metrics(folder / "run" / "metrics.jsonl")) == EPOCHS
    found = gpvae("evaluate", "run", "--k", "3", "--json", cwd=folder)
    assert found.returncode == 0, found.stderr
    assert all(np.isfinite(json.loads(found.stdout)[name]["mean"]) for name in ("mse", "nlpd", "coverage"))


def kernel_of(method: str, more: str = "") -> str:
    return f"matern(time, nu=2.5{more})" if method == "markov" else f"rbf(time{more})"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length_scale", ["1e-6", "1e6", "1e-30", "1e30"])
def test_tiny_and_huge_length_scales(folder: Path, method: str, length_scale: str) -> None:
    well(folder, method, kernel_of(method, f", length_scale={length_scale}"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variance", ["1e-30", "1e15"])
def test_tiny_and_huge_variances(folder: Path, method: str, variance: str) -> None:
    well(folder, method, kernel_of(method, f", variance={variance}"))


@pytest.mark.parametrize("method", INDUCING)
def test_more_inducing_points_than_distinct_inputs(folder: Path, method: str) -> None:
    """Some are the same to the last bit."""
    well(folder, method, "rbf(time)", "inference.points=80")
    assert len(load_run(folder / "run").model.get_parameter("extra.family.inducing.inputs")) == 80


@pytest.mark.parametrize("method", INDUCING)
@pytest.mark.parametrize("jitter", ["1e-6", "1e-300"])
def test_more_inducing_points_than_the_rank_of_the_kernel(folder: Path, method: str, jitter: str) -> None:
    well(folder, method, "linear(object, dim=2)", "inference.points=40", f"prior.jitter={jitter}")


@pytest.mark.parametrize("method", METHODS)
def test_networks_in_half_precision(folder: Path, method: str) -> None:
    well(folder, method, kernel_of(method), "train.bfloat16=true")


@pytest.mark.parametrize("method", ["svgp", "titsias", "gp-vae", "markov"])
def test_pseudo_observations_without_noise(folder: Path, method: str) -> None:
    well(folder, method, kernel_of(method), "inference.least_variance=1e-30", "inference.largest_variance=1e-29")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lr", ["10", "1000", "1e30"])
def test_a_learning_rate_that_is_far_too_large(folder: Path, method: str, lr: str) -> None:
    done = trained(folder, method, kernel_of(method), f"lr={lr}")
    if done.returncode == 0:
        return
    assert "try a smaller learning rate (--set lr=...)" in done.stderr
    if "is removed" in done.stderr:
        assert not (folder / "run").exists()
        return
    assert "the best weights, of epoch" in done.stderr
    run = load_run(folder / "run", device="cpu")
    assert len(run.metrics) >= 1
    assert gpvae("evaluate", "run", "--k", "2", cwd=folder).returncode == 0


def test_a_refusal_in_the_middle_of_a_step_keeps_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Best weights and metrics of all epochs before; resumed, it ends as if nothing had happened."""
    settings = {**SETTINGS["svgp"], "train.epochs": 5}
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    whole = train(config("svgp", settings), tmp_path / "whole", data=DATA, device="cpu")
    steps, step = iter(range(10**6)), GPPriorInference.step
    per_epoch = -(-len(DATA.train) // 8)

    def failing(self: GPPriorInference, *arguments: Any) -> Any:
        if next(steps) == 3 * per_epoch + 1:
            raise UserError("the kernel matrix of the inducing points is not positive definite: try another")
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(GPPriorInference, "step", failing)
        with pytest.raises(UserError, match=r"try another; the best weights, of epoch \d, are kept in .*run"):
            train(config("svgp", settings), tmp_path / "run", data=DATA, device="cpu")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    best = max(rows, key=lambda row: row["validation_elbo"])["epoch"]
    assert json.loads((tmp_path / "run" / "best" / "state.json").read_text())["epoch"] == best
    load_run(tmp_path / "run", device="cpu")
    assert_same(whole, resume(tmp_path / "run", device="cpu"))


def test_a_setting_that_the_first_epoch_refuses_leaves_no_folder(folder: Path) -> None:
    done = trained(folder, "gp-vae", "rbf(time)", "prior.group=", "batch_size=5")
    assert "this method takes all instances of a group at once" in done.stderr
    assert not (folder / "run").exists()


def assert_same(a: Path, b: Path) -> None:
    for which in ("last", "best"):
        first, second = (read_tensors(run / which / "weights.safetensors") for run in (a, b))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())


KILLED = """
import os, signal, sys
import gpvae_core.training_loop as loop
from gpvae_core.cli import main, train

loop.SAVE_SECONDS = 0.0
done_at = int(sys.argv[1])

class Killing:
    def __enter__(self):
        def report(done, total, what):
            if what == "training" and done == done_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return report

    def __exit__(self, *_):
        pass

train.terminal_progress = Killing
main.main(sys.argv[2:])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_svgp_with_geco_that_is_killed_and_resumed_has_identical_weights(folder: Path) -> None:
    """In the middle of an epoch, twice; moving average and multiplier are among the weights."""
    given = ["prior.kernel=rbf(time) * linear(object, dim=2)", "net.kind=fc", "net.hidden=8", "batch_size=8"]
    given += ["balance=geco", "inference.points=6", "likelihood.kind=gaussian"]
    command = ["train", "--method", "svgp", "--dataset", "table:series.npz", "--epochs", "4"]
    command += [part for setting in given for part in ("--set", setting)]
    assert gpvae(*command, "--out", "whole", cwd=folder).returncode == 0
    for at, arguments in ((5, [*command, "--out", "run"]), (11, ["train", "--resume", "run"])):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        killed = subprocess.run([sys.executable, "-c", KILLED, str(at), *arguments], cwd=folder, env=environment)
        assert killed.returncode == -signal.SIGKILL
    state = read_tensors(folder / "run" / "last" / "weights.safetensors")
    assert float(state["extra.constraint.begun"]) == 1.0
    assert float(state["extra.constraint.log_multiplier"]) != 0.0
    assert gpvae("train", "--resume", "run", cwd=folder).returncode == 0
    assert_same(folder / "whole", folder / "run")


KILLED_EACH = """
import os, signal, sys
from pathlib import Path
import gpvae_core.training_loop as loop
from gpvae_core.training import train
from tests.inference.gp_prior.series_data import DATA, config
from tests.inference.gp_prior.test_safety import KILLED_SETTINGS

loop.SAVE_SECONDS = 0.0

def kill_half_way(done, total, what):
    if what == "training" and done >= total // 2 + 1:
        os.kill(os.getpid(), signal.SIGKILL)

for method, settings in KILLED_SETTINGS.items():
    child = os.fork()  # which spares an import of torch for each
    if child == 0:
        train(config(method, settings), Path(sys.argv[1]) / method, data=DATA, device="cpu", progress=kill_half_way)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, method
"""
KILLED_SETTINGS: dict[str, dict[str, Any]] = {
    method: {**settings, "train.batch_size": 8, "train.epochs": 3}
    for method, settings in {**SETTINGS, "cvae": {"inference.condition": "angle"}}.items()
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each method that was killed half way, in the middle of an epoch where it has steps."""
    folder = tmp_path_factory.mktemp("killed")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", KILLED_EACH, str(folder)], env=environment, check=True)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("method", KILLED_SETTINGS)
def test_a_training_that_is_killed_and_resumed_has_identical_weights(
    method: str, killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    whole = train(config(method, KILLED_SETTINGS[method]), tmp_path / "whole", data=DATA, device="cpu")
    rows = len(read_metrics(killed / method / "metrics.jsonl"))
    assert 0 < rows < 3
    assert_same(whole, resume(killed / method, device="cpu"))
