"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = sorted(path for path in (ROOT / "gpvae_core").rglob("*.py") if ">>> " in path.read_text("utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_of_a_module_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some train a run
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


MET_BY_USERS = {
    "data/base.py": ("DataConfig", "Dataset"),
    "data/split.py": ("Split",),
    "run_config.py": ("RunConfig",),
    "encoders/base.py": ("EncoderConfig",),
    "sweep/config.py": ("SweepConfig",),
    "evaluation/settings.py": ("EvaluationSettings",),
    "evaluation/result.py": ("Evaluation",),
    "densities/base.py": ("Posterior",),
    "likelihoods/base.py": ("Likelihood",),
    "mapa/kernels/base.py": ("Kernel",),
}


@pytest.mark.parametrize("file", MET_BY_USERS)
def test_classes_that_users_meet_have_an_example(file: str) -> None:
    module = importlib.import_module("gpvae_core." + file.removesuffix(".py").replace("/", "."))
    for name in MET_BY_USERS[file]:
        assert ">>> " in (getattr(module, name).__doc__ or ""), name
