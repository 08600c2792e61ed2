"""Real digits, and a folder for files made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.data.makers import Digits


@pytest.fixture(scope="session")
def digits() -> Digits:
    """(1797, 8, 8) uint8 from 0 to 255 and their labels: scikit-learn's 17 levels, 15 apart."""
    bunch: Any = load_digits()
    return (bunch.images * 15).astype(np.uint8), bunch.target.astype(np.uint8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for data, and an empty cache."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("GPVAE_DATA_DIR", str(folder))
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return folder
