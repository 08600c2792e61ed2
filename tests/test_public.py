"""The public interface: what `import gpvae_core` offers, typed to its surface, documented, with examples that run."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gpvae_core

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
NAMES = [name for name in gpvae_core.__all__ if name != "__version__"]
UNTYPED = re.compile(r"\bAny\b")


def test_nothing_is_imported_before_it_is_used() -> None:
    lines = ["import sys", "sys.modules.update(torch=None, panel=None, plotly=None)", "import gpvae_core"]
    lines += ["gpvae_core.UserError"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_stays_the_same_object_when_modules_are_imported(name: str) -> None:
    """A module of the same name would take the place of a function once it is imported."""
    public = getattr(gpvae_core, name)
    assert not inspect.ismodule(public)
    assert not (ROOT / "gpvae_core" / name).exists()
    assert not (ROOT / "gpvae_core" / f"{name}.py").exists()


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties that the class itself defines."""
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def annotations_of(name: str) -> dict[str, str]:
    """Every annotation that a caller meets: of arguments, results, attributes and properties."""
    public = getattr(gpvae_core, name)
    if not inspect.isclass(public):
        return {f"{name}.{k}": str(v) for k, v in inspect.get_annotations(public).items()}
    actual = {f"{name}.{k}": str(v) for k, v in inspect.get_annotations(public).items() if not k.startswith("_")}
    for member, value in members(public).items():
        function = value.fget if isinstance(value, property) else getattr(value, "func", value)
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function):
            actual |= {f"{name}.{member}.{k}": str(v) for k, v in inspect.get_annotations(function).items()}
    return actual


@pytest.mark.parametrize("name", NAMES)
def test_it_is_typed_to_its_surface(name: str) -> None:
    assert not {key: text for key, text in annotations_of(name).items() if UNTYPED.search(text)}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_in_the_reference(name: str) -> None:
    assert re.search(rf":: gpvae_core\.{name}$", REFERENCE, re.MULTILINE), f"docs/reference.md does not show {name}"
    assert inspect.getdoc(getattr(gpvae_core, name))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("UserError", "Cancelled", "silent")])
def test_its_docstring_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(gpvae_core, name).__doc__ or "")
