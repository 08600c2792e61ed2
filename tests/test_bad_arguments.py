"""Bad arguments of the public functions and settings, from Python: one line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import gpvae_core as gpvae
from gpvae_core.errors import UserError

EMPTY_PATHS: dict[str, Callable[[], object]] = {
    "train": lambda: gpvae.train("vae", "digits", out=""),
    "init_from": lambda: gpvae.train("vae", "digits", out="a", init_from=""),
    "decoder_from": lambda: gpvae.train("vae", "digits", out="a", decoder_from=""),
    "resume": lambda: gpvae.resume(""),
    "load_run": lambda: gpvae.load_run(""),
    "list_runs": lambda: gpvae.list_runs(""),
    "explore": lambda: gpvae.explore("", open_browser=False),
}


@pytest.mark.parametrize("name", EMPTY_PATHS)
def test_an_empty_path_is_not_the_folder_in_which_one_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, the first of them trained into that folder, and the others looked there."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        EMPTY_PATHS[name]()
    assert str(error.value) == "wanted a path, got ''; the folder in which you work is '.'"
    assert list(tmp_path.iterdir()) == []
