"""What the README shows works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.cli.main import main
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.training import train

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(example.strip().splitlines()) <= 20
    settings = {"epochs": 3, "net.hidden": 32}
    train(make_config("gp", DataConfig(name="digits"), (1, 8, 8), settings), tmp_path / "runs" / "digits-gp")
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inference, approximation, amortization = np.reshape(re.findall(r"[-\d.]+", done.stdout.splitlines()[-1]), (3, 3))
    assert inference.astype(float) == pytest.approx(approximation.astype(float) + amortization.astype(float), abs=1e-6)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^gpvae (\w+)", README, re.MULTILINE))))
def test_the_commands_shown_are_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "Usage" in capsys.readouterr().out
