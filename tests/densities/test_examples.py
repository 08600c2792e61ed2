"""The examples in the docstrings of densities run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import gpvae_core.densities


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some train a run
    attempted = 0
    for module in pkgutil.iter_modules(gpvae_core.densities.__path__):
        result = doctest.testmod(importlib.import_module(f"gpvae_core.densities.{module.name}"))
        assert result.failed == 0, module.name
        attempted += result.attempted
    assert attempted >= 6
