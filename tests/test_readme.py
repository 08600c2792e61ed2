"""What the README shows works as it stands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from gpvae_core.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PAGE = re.compile(r"Posterior Explorer: (http://localhost:\d+/)")


def test_the_ten_lines_train_load_evaluate_and_open_the_pages(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    lines = [line for line in example.splitlines() if line.strip()]
    assert len(lines) <= 10
    environment = {**os.environ, "BROWSER": "true"}  # a command that does nothing stands in for the browser
    # A shell that starts the tests in the background has its children ignore Ctrl-C, and they theirs.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-u", "-c", "\n".join([heed, *lines])]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
        reader.start()  # a pipe that nobody reads would fill up
        try:
            out = until_served(process)
            page = PAGE.search(out)
            if page is not None:
                with urllib.request.urlopen(page.group(1), timeout=60) as answer:
                    assert answer.status == 200
                process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
            reader.join(60)
    assert page is not None, errors
    assert process.returncode == 0, errors
    uncertainty, negentropy, amortization = (
        np.array(re.findall(r"\d+\.\d+(?:e-?\d+)?", line), dtype=float) for line in out.splitlines()[:3]
    )
    assert uncertainty.shape == amortization.shape == (3,)
    assert (uncertainty > 0).all()
    assert float(negentropy[0]) > 0
    assert out.splitlines()[3].startswith("[")


def until_served(process: subprocess.Popen[str]) -> str:
    """Return what the process prints until it serves the pages, or ends."""
    out = ""
    for line in process.stdout or ():
        out += line
        if "Ctrl-C ends it" in line:
            break
    return out


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`gpvae (\w+)", README))))
def test_the_commands_shown_are_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert "Usage" in capsys.readouterr().out
