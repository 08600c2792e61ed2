"""The generalization gap: what the ELBO of training images loses on test images."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.cli.main import main
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.parts import Generalization
from gpvae_core.evaluation.result import Evaluation
from gpvae_core.evaluation.settings import EvaluationSettings, SplitName
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train


def scored(run: Run, split: SplitName) -> Evaluation:
    return evaluate(run, EvaluationSettings(split=split, instances=4, truths=4, k=5))


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The last weights of a large network that was trained on a few digits for long."""
    folder = tmp_path_factory.mktemp("few")
    np.savez(folder / "few.npz", images=load(DataConfig(name="digits")).train.pixels(slice(100)).numpy())
    few = DataConfig(name=f"array:{folder / 'few.npz'}")
    settings = {"epochs": 300, "net.hidden": 128, "latent_dim": 2, "lr": 2e-3, "train.batch_size": 80}
    run = train(make_config("vae", few, load(few).event_shape, settings), folder / "run", data=load(few))
    return load_run(run, weights="last", device="cpu")


def test_the_parts_are_those_of_separate_evaluations(overfitted: Run) -> None:
    on_train = scored(overfitted, "train")
    on_test = scored(overfitted, "test")
    gap = on_train.generalization
    assert gap is not None
    assert on_test.generalization is None
    assert (gap.train, gap.test) == (on_train.elbo, on_test.elbo)
    means = [float(part.elbo.mean or math.nan) for part in (on_train, on_test)]
    assert gap.gap == pytest.approx(means[0] - means[1])
    assert gap.train.n == len(overfitted.data.train)
    assert "generalization" not in on_test.to_json()
    assert Evaluation.from_json(on_train.to_json()) == on_train
    assert Evaluation.from_json(on_test.to_json()) == on_test


def test_a_network_that_overfits_loses_more_than_the_error(overfitted: Run) -> None:
    gap = scored(overfitted, "train").generalization
    assert gap is not None
    assert gap.gap is not None
    assert gap.se is not None
    assert gap.gap > 3 * gap.se > 0


def test_the_error_is_that_of_a_difference_of_independent_means() -> None:
    """Against many draws of both splits."""
    rng = np.random.default_rng(0)
    draws = [Generalization.between(rng.normal(3, 2, 50), rng.normal(1, 1, 20)) for _ in range(2000)]
    gaps = np.array([draw.gap for draw in draws])
    assert gaps.mean() == pytest.approx(2, abs=0.05)
    assert gaps.std() == pytest.approx(math.hypot(2 / math.sqrt(50), 1 / math.sqrt(20)), rel=0.05)
    assert np.mean([float(draw.se or math.nan) for draw in draws]) == pytest.approx(gaps.std(), rel=0.05)
    assert Generalization.between([1.0, 2.0], [math.nan]).gap is None


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *arguments, "--split", "train"])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_the_command_prints_the_gap_with_its_error(overfitted: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--instances", "4", "--truths", "4", "--k", "5"]
    code, out, _ = printed(capsys, str(overfitted.dir), *sizes)
    assert code == 0
    assert "generalization gap, ELBO of training images minus that of test images:" in out
    result = json.loads(printed(capsys, str(overfitted.dir), *sizes, "--json")[1])
    gap = result["generalization"]
    assert gap["gap"] == pytest.approx(result["elbo"]["mean"] - gap["test"]["mean"])


def test_a_run_with_a_gp_prior_is_not_scored_on_its_training_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = DataConfig(name="moving-ball:4")
    settings = {"epochs": 1, "net.kind": "fc", "net.hidden": 8, "latent_dim": 2}
    folder = train(make_config("cvae", data, load(data).event_shape, settings), tmp_path / "cvae", data=load(data))
    with pytest.raises(UserError, match="unknown split 'train'"):
        evaluate_conditional(load_run(folder), "train")  # pyright: ignore[reportArgumentType]
    code, _, err = printed(capsys, str(folder))
    assert code == 2
    assert "predicts held-out images: wanted --split test or validation, got 'train'" in err
