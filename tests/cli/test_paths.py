"""Paths on the command line: an empty one, as of a script's unset variable, is not the folder in which one works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.models import ParameterInfo

from gpvae_core.cli.main import app
from gpvae_core.cli.options import given_path
from tests.cli.test_cli import one_line_error
from tests.commands import gpvae


def parameters(group: typer.Typer) -> Iterator[tuple[str, Any, ParameterInfo]]:
    """Command and name, type, and option or argument of each parameter of all commands."""
    for command in group.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if name != "return":
                kind, info = get_args(hint)
                yield f"{command.callback.__module__}: {name}", kind, info
    for part in group.registered_groups:
        assert part.typer_instance is not None
        yield from parameters(part.typer_instance)


def test_every_path_has_the_one_parser() -> None:
    paths = {name: info.parser for name, kind, info in parameters(app) if "Path" in str(kind)}
    assert len(paths) > 15
    assert {name for name, parser in paths.items() if parser is not given_path} == set()


LINES = [
    ("train", "--epochs", "1", "--out", ""),
    ("train", "--epochs", "1", "--out="),
    ("train", "--init-from", ""),
    ("train", "--resume", ""),
    ("evaluate", ""),
    ("runs", ""),
    ("explore", "--no-open", ""),
    ("list", "methods", "--out", ""),
    ("sweep", ""),
    ("table", "5", "--bench", ""),
    ("mapa", "table", "--out", ""),
]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_an_empty_path_is_one_line_and_leaves_nothing(line: tuple[str, ...], tmp_path: Path) -> None:
    one_line_error(gpvae(*line, cwd=tmp_path), "wanted a path, got ''")
    assert list(tmp_path.iterdir()) == []
