"""Every registered method, stopped again and again and resumed, ends with the weights of a run never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.files import write_json
from gpvae_core.inference.base import INFERENCES
from gpvae_core.methods import methods
from gpvae_core.progress import Cancelled
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import read_json, read_tensors
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
INDEPENDENT = [name for name, method in methods().items() if not INFERENCES.get(method.inference).conditional]
"""Methods that need no auxiliary columns; tests/inference/gp_prior stops those that do."""
EPOCHS, STEPS = 4, 3
# A large learning rate moves sigma_x and all else far from their start, on which nothing that is derived may depend.
SETTINGS: dict[str, Any] = {"train.epochs": EPOCHS, "train.batch_size": 500, "train.lr": 1e-2, "net.hidden": 16}
STOPS = (1, STEPS, STEPS + 2, 2 * STEPS, 3 * STEPS + 1)


def config(method: str) -> RunConfig:
    few = {"recovery_epochs": 1, "encoder_epochs": 1} if methods()[method].inference.startswith("mapa") else {}
    return make_config(method, DATA, DIGITS.event_shape, {**SETTINGS, **few})


def stopping_at(step: int) -> Any:
    """Progress that stops training at this step."""

    def stop(done: int, total: int, what: str) -> None:
        if what == "training" and done == step:
            raise Cancelled

    return stop


def assert_same(a: Path, b: Path) -> None:
    for which in ("last", "best"):
        left, right = (read_tensors(run / which / "weights.safetensors") for run in (a, b))
        assert left.keys() == right.keys()
        different = [name for name in left if not torch.equal(left[name], right[name])]
        assert different == [], which


@pytest.mark.parametrize("method", INDEPENDENT)
def test_a_run_stopped_in_every_epoch_ends_with_identical_weights(method: str, tmp_path: Path) -> None:
    whole, stopped = train(config(method), tmp_path / "whole", data=DIGITS), tmp_path / "stopped"
    with pytest.raises(Cancelled):
        train(config(method), stopped, data=DIGITS, progress=stopping_at(STOPS[0]))
    for step in STOPS[1:]:
        with pytest.raises(Cancelled):
            resume(stopped, progress=stopping_at(step))
    assert_same(whole, resume(stopped))


@pytest.mark.parametrize("method", ["vae", "gp"])
def test_convolutions_in_the_memory_format_channels_last_resume_to_identical_weights(
    method: str, tmp_path: Path
) -> None:
    """The moments of Adam are read from the file in another format than the weights have."""
    convolutions = {**SETTINGS, "net.kind": "conv", "net.layers": 2}
    whole, stopped = (make_config(method, DATA, DIGITS.event_shape, convolutions) for _ in range(2))
    with pytest.raises(Cancelled):
        train(stopped, tmp_path / "stopped", data=DIGITS, progress=stopping_at(STEPS + 2))
    assert_same(train(whole, tmp_path / "whole", data=DIGITS), resume(tmp_path / "stopped"))


def test_a_finished_mapa_run_is_trained_longer_with_the_kernel_of_its_start(tmp_path: Path) -> None:
    """The default bandwidth is sigma_x at the start, which training moves."""
    short = config("mapa").model_copy(update={"train": config("mapa").train.model_copy(update={"epochs": 2})})
    resumed = resume(train(short, tmp_path / "short", data=DIGITS), epochs=EPOCHS)
    state = read_json(resumed / "last" / "state.json")
    assert state["start_noise_scale"] == pytest.approx(0.2)
    assert_same(train(config("mapa"), tmp_path / "whole", data=DIGITS), resumed)


def test_the_start_is_that_of_the_weights_that_were_taken_over(tmp_path: Path) -> None:
    """With --init-from, sigma_x begins at the trained run's; the kernel keeps it however often the run is stopped."""
    source = load_run(train(config("mapa-naive"), tmp_path / "source", data=DIGITS), device="cpu")
    start = ("source", source.model)
    whole = train(config("mapa"), tmp_path / "whole", data=DIGITS, init_from=start)
    with pytest.raises(Cancelled):
        train(config("mapa"), tmp_path / "stopped", data=DIGITS, progress=stopping_at(STEPS + 1), init_from=start)
    assert_same(whole, resume(tmp_path / "stopped"))
    scale = read_json(whole / "last" / "state.json")["start_noise_scale"]
    assert scale == source.model.likelihood.noise_scale() != pytest.approx(0.2, rel=0.01)


def test_an_older_run_without_the_record_has_the_sigma_x_of_its_config(tmp_path: Path) -> None:
    whole, stopped = train(config("mapa"), tmp_path / "whole", data=DIGITS), tmp_path / "stopped"
    with pytest.raises(Cancelled):
        train(config("mapa"), stopped, data=DIGITS, progress=stopping_at(2 * STEPS))
    path = stopped / "last" / "state.json"
    state = read_json(path)
    del state["start_noise_scale"]
    write_json(path, state)
    assert_same(whole, resume(stopped))
