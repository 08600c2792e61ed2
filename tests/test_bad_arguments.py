"""Bad arguments of the public functions and settings, from Python: one line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import gpvae_core as gpvae
from gpvae_core.errors import UserError

BAD_SETTINGS: dict[str, tuple[Callable[[], object], str]] = {
    "evaluation": (
        lambda: gpvae.EvaluationSettings(instances=-1),
        "setting 'instances': input should be greater than or equal to 2, got -1",
    ),
    "unknown": (
        lambda: gpvae.EvaluationSettings(instance=5),  # pyright: ignore[reportCallIssue]
        "unknown setting 'instance'; did you mean 'instances'?",
    ),
    "nested": (
        lambda: gpvae.EvaluationSettings(sampling={"draws": 1}),  # pyright: ignore[reportArgumentType]
        "setting 'sampling': setting 'draws': input should be greater than or equal to 4, got 1",
    ),
    "truth": (
        lambda: gpvae.TruthSettings(samples=0),
        "setting 'samples': input should be greater than or equal to 1, got 0",
    ),
    "annealing": (
        lambda: gpvae.AISSettings(steps=1),
        "setting 'steps': input should be greater than or equal to 2, got 1",
    ),
    "chains": (
        lambda: gpvae.HMCSettings(chains=1),
        "setting 'chains': input should be greater than or equal to 2, got 1",
    ),
    "mixture": (
        lambda: gpvae.MixtureProposalSettings(components=0),
        "setting 'components': input should be greater than or equal to 1, got 0",
    ),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings_are_one_line(name: str) -> None:
    """Before, they were pydantic's message of several lines."""
    construct, message = BAD_SETTINGS[name]
    with pytest.raises(UserError) as error:
        construct()
    assert str(error.value) == message


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
