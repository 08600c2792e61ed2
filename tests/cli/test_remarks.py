"""What a command remarks on a work is said once that begins; one that is refused says the refusal alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpvae_core as core
from gpvae_core import runs
from gpvae_core.cli import evaluate_conditional
from gpvae_core.cli.predict import impute_command, predict_command
from tests.cli.test_cli import one_line_error
from tests.commands import gpvae
from tests.inference.gp_prior.missing_data import without
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, DATA, config, trained

AFTER = "training is followed by prior recovery and the fit of the encoder"
SMALL = ("--set", "net.hidden=8", "--epochs", "1")


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose training was stopped in its first epoch."""
    folder = tmp_path_factory.mktemp("partial") / "run"

    def stop(done: int, total: int, what: str) -> None:
        if done >= 15:
            raise core.Cancelled

    with pytest.raises(core.Cancelled):
        core.train("vae", "digits", settings={"net.hidden": 8, "epochs": 3}, out=folder, progress=stop)
    return folder


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (("train", "--method", "mapa:99999", *SMALL), "wanted draws of at most the 1294 training points, got 99999"),
        (("train", "--method", "mapa:5", "--device", "quantum", *SMALL), "wanted device 'quantum'"),
        (("train", "--init-from", "PARTIAL", "--device", "quantum", *SMALL), "wanted device 'quantum'"),
        (("evaluate", "PARTIAL", "--hmc-draws", "9"), "--hmc"),
        (("evaluate", "PARTIAL", "--instances", "1"), "instances"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_refusal_stands_alone(line: tuple[str, ...], refusal: str, partial: Path, tmp_path: Path) -> None:
    one_line_error(gpvae(*(str(partial) if word == "PARTIAL" else word for word in line), cwd=tmp_path), refusal)
    assert list(tmp_path.glob("runs/*")) == []


def test_a_remark_is_said_once_before_the_work(partial: Path, tmp_path: Path) -> None:
    short = ("--set", "recovery_epochs=1", "--set", "encoder_epochs=1")
    trained = gpvae("train", "--method", "mapa:5", "--dataset", "circle", *short, *SMALL, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    note, after, *_ = trained.stderr.splitlines()
    assert note.startswith("circle: synthetic points")
    assert after.startswith(AFTER)
    assert trained.stderr.count(AFTER) == trained.stderr.count(note) == 1
    begun = gpvae("train", "--init-from", partial, *SMALL, cwd=tmp_path)
    assert begun.stderr.startswith(f"'{partial}' is partial, 1 of 3 epochs: its training has not ended")
    few = ("--instances", "2", "--truths", "2", "--k", "2")
    measured = gpvae("evaluate", partial, *few, cwd=tmp_path)
    assert measured.stderr.startswith(f"'{partial}' is partial, 1 of 3 epochs: these are results of a training")


def test_a_long_evaluation_at_columns_says_once_what_makes_it_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("svgp", {**BY_VIEW, "inference.points": 4}, tmp_path / "run")
    images = len(DATA.test)
    monkeypatch.setattr(evaluate_conditional, "LONG_WORK", 5 * images)
    line = f"5 samples of each of {images} images are decoded, which can take minutes: fewer are faster (--k)"
    for k, said in ((5, 1), (4, 0)):
        evaluate_conditional.evaluate_at_columns(run, "test", k, 0, None, False, "none", [], True, None)
        assert capsys.readouterr().err.count(line) == said
    monkeypatch.setattr(evaluate_conditional, "LONG_WORK", 1)
    evaluate_conditional.evaluate_at_columns(run, "test", 1, 0, None, False, "none", [], True, None)
    assert "fewer" not in capsys.readouterr().err


def test_a_kernel_of_times_alone_is_said_to_have_one_function_for_all_videos(tmp_path: Path) -> None:
    small = ("--set", "net.kind=fc", *SMALL, "--dataset", "moving-ball:2", "--method", "svgp:4")
    shared = gpvae("train", *small, "--set", "prior.group=", cwd=tmp_path)
    assert shared.returncode == 0, shared.stderr
    words = "images at the same time have one latent, whatever their video; --set prior.group=video gives each"
    assert words in " ".join(shared.stderr.split())
    assert "one latent" not in gpvae("train", *small, cwd=tmp_path).stderr
    alike = ("--method", "gppvae", "--dataset", "moving-ball:2", *small[:2], *SMALL, "--set", "prior.group=")
    assert "* same(video)' gives each" in " ".join(gpvae("train", *alike, cwd=tmp_path).stderr.split())
    summed = config("gppvae", {"prior.kernel": "rbf(time) + rbf(angle)"})
    (line,) = summed.inference.remarks(summed.prior, DATA)
    assert "prior.kernel='(rbf(time) + rbf(angle)) * same(series)'" in line


def test_a_training_that_diverges_without_an_error_is_said(tmp_path: Path) -> None:
    """Before, a bound of -5e18 nats was reported as any other."""
    small = ("--dataset", "moving-ball:2", "--method", "svgp:4", "--set", "net.kind=fc", *SMALL)
    line = r"the last epoch ended with a bound of [−-][\d.,e+]{6,} nats an image: training diverged; try a smaller"
    for lr, said in (("300", True), ("0.001", False)):
        done = gpvae("train", *small, "--set", f"lr={lr}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert bool(re.search(line, " ".join(done.stdout.split()))) == said, done.stdout


@pytest.mark.parametrize(
    ("method", "settings", "name"),
    [
        ("svgp:4", {"prior.kernel": "rbf(time) * linear(series, dim=2)"}, "series"),
        ("cvae", {"identity": "series"}, "series"),
        ("svgp:4", {"prior.kernel": "rbf(time) * linear(series, dim=2) + white()"}, "series"),
        ("svgp:4", {"prior.kernel": "rbf(time) + rbf(time) * linear(series, dim=2)"}, ""),  # the first term knows all
        ("svgp:4", {"prior.kernel": "rbf(time) * linear(object, dim=2)"}, ""),
        ("gp-vae", BY_TIME, ""),
    ],
)
def test_categories_without_a_training_image_are_said(
    method: str, settings: dict[str, Any], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(method, settings, tmp_path / "run")
    lines = run.config.inference.remarks(run.config.prior, DATA)
    said = f"of {len(DATA.test)} test images have a '{name}' without a training image"
    assert any(said in line for line in lines) == bool(name)
    result = core.evaluate_conditional(run, k=2)
    assert result.unpredicted == (len(DATA.test) if name else None), "all series of the test split are new"
    evaluate_conditional.evaluate_at_columns(run, "test", 2, 0, None, False, "none", [], False, None)
    printed = " ".join(capsys.readouterr().out.split())
    assert ("are of a category without a training image" in printed) == bool(name)
    if method == "cvae":
        assert result.given == "no other images, as no training image has the same series"


NAMES = np.array(["series 0", "series 9", "series 3", "series 11"])


@pytest.mark.parametrize(
    ("method", "settings", "missing", "on_none"),
    [
        # A vector is learned in training alone; a latent of `cvae` is that of any images of the identity.
        ("svgp:4", {"prior.kernel": "rbf(time) * linear(series, dim=2)"}, 1, [False, True, False, True]),
        ("cvae", {"identity": "series"}, 9, [False, True, False, False]),
        ("cvae", {"identity": "series"}, 1, [False] * 4),
        ("gp-vae", BY_TIME, 9, [False, True, False, False]),
        ("gp-vae", BY_TIME, 1, [False] * 4),
    ],
)
def test_predictions_that_rest_on_no_image_are_said_and_marked(
    method: str,
    settings: dict[str, Any],
    missing: int,
    on_none: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained(method, settings, tmp_path / "run")
    run._data = without(DATA, missing)
    monkeypatch.setattr(runs, "load_run", lambda path, device: run)
    rows = [f"{number},{number},{name}" for number, name in enumerate(NAMES)]
    (tmp_path / "at.csv").write_text("\n".join(["time,angle,series", *rows]))
    predict_command(tmp_path, tmp_path / "at.csv", tmp_path / "at.npz", 2, 0, "cpu")
    assert np.load(tmp_path / "at.npz")["rests_on_none"].tolist() == on_none
    printed = " ".join(capsys.readouterr().out.split())
    said = f"{sum(on_none)} of these rows of {tmp_path / 'at.csv'} are of a category without an image to learn from"
    assert (said in printed) == any(on_none)
    assert ("to learn from" in printed) == any(on_none)
    impute_command(tmp_path, tmp_path / "filled.npz", "test", 2, 0, "cpu")
    filled = np.load(tmp_path / "filled.npz")
    expected = np.isin(filled["column_series"], NAMES[on_none]) | method.startswith("svgp")  # all test series are new
    np.testing.assert_array_equal(filled["rests_on_none"], expected)
    printed = " ".join(capsys.readouterr().out.split())
    assert (f"{int(expected.sum())} of these images are of a category" in printed) == expected.any()
