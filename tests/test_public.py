"""The public interface: what `import gpvae_core` offers, typed to its surface, documented, with examples that run."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

import gpvae_core
from gpvae_core.encoders.base import Encoder
from gpvae_core.likelihoods import Likelihood, LikelihoodConfig
from gpvae_core.nets.base import NetConfig
from gpvae_core.part import PartConfig
from gpvae_core.priors.base import PriorConfig
from gpvae_core.refiners.base import Refiner

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
NAMES = [name for name in gpvae_core.__all__ if name != "__version__"]


def test_nothing_is_imported_before_it_is_used() -> None:
    lines = ["import sys", "sys.modules.update(torch=None, panel=None, plotly=None)", "import gpvae_core"]
    lines += ["gpvae_core.UserError"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("name", NAMES)
def test_each_name_stays_the_same_object_when_modules_are_imported(name: str) -> None:
    """A module of the same name would take the place of a function once it is imported."""
    public = getattr(gpvae_core, name)
    assert not inspect.ismodule(public)
    # As listed: some file systems take VAE.py for vae.py.
    assert name not in {path.stem for path in (ROOT / "gpvae_core").iterdir()}


PARTS = (PartConfig, NetConfig, PriorConfig, LikelihoodConfig, Encoder, Refiner, Likelihood)
"""Base classes of a model's parts; CONTRIBUTING describes their interfaces, which may change."""


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties of a class and of those of our base classes that it inherits."""
    ours = [base for base in reversed(cls.__mro__) if base.__module__.startswith("gpvae_core.")]
    both = {name: value for base in ours for name, value in vars(base).items()}
    written = is_dataclass(cls) or issubclass(cls, BaseModel)  # then the constructor's arguments are the fields
    public = {name for name in both if not name.startswith("_") or (name == "__init__" and not written)}
    return {name: both[name] for name in public if ":meta private:" not in (getattr(both[name], "__doc__", "") or "")}


def annotations_of(public: Any) -> dict[str, Any]:
    """Every annotation that a caller meets: of arguments, results, attributes and properties."""
    if not inspect.isclass(public):
        return hints(public)
    met = {name: value for name, value in hints(public).items() if not name.startswith("_")}
    for member, value in members(public).items():
        function = value.fget if isinstance(value, property) else getattr(value, "func", value)
        function = getattr(function, "__func__", function)
        if inspect.isfunction(function):
            arguments = hints(function).items()
            met |= {f"{member}.{name}": hint for name, hint in arguments if not name.startswith("_")}
    return met


def hints(public: Any) -> dict[str, Any]:
    """The annotations with aliases resolved; of a class, those of our base classes too."""
    every = get_type_hints(public)
    if not inspect.isclass(public):
        return every
    ours = [base for base in public.__mro__ if base.__module__.startswith("gpvae_core.")]
    return {name: every[name] for base in ours for name in inspect.get_annotations(base) if name in every}


def leaves(hint: Any) -> Iterator[Any]:
    """The types of which a type consists: those of `dict[str, A | None]` are dict, str, A and NoneType."""
    outer = get_origin(hint) or hint
    yield outer
    if getattr(outer, "__module__", "").startswith("numpy"):
        return  # numpy's own types say Any where an array may have any shape
    for part in get_args(hint):
        for each in part if isinstance(part, list) else [part]:  # the arguments of a callable
            yield from leaves(each)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_typed_to_its_surface(name: str) -> None:
    met = annotations_of(getattr(gpvae_core, name))
    assert not {key: hint for key, hint in met.items() if Any in leaves(hint)}


@pytest.mark.parametrize("name", NAMES)
def test_what_it_takes_and_returns_is_public(name: str) -> None:
    public = [getattr(gpvae_core, other) for other in NAMES]
    for key, hint in annotations_of(getattr(gpvae_core, name)).items():
        ours = {leaf for leaf in leaves(hint) if inspect.isclass(leaf) and leaf.__module__.startswith("gpvae_core.")}
        hidden = {leaf.__name__ for leaf in ours if leaf not in public and not issubclass(leaf, PARTS)}
        assert not hidden, f"{name}.{key} is of a class that is not public"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_in_the_reference(name: str) -> None:
    assert re.search(rf":: gpvae_core\.{name}$", REFERENCE, re.MULTILINE), f"docs/reference.md does not show {name}"
    assert inspect.getdoc(getattr(gpvae_core, name))


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_has_an_example_that_needs_nothing_else(name: str) -> None:
    text = getattr(gpvae_core, name).__doc__ or ""
    assert ">>>" in text
    assert "from gpvae_core" not in text
    assert "+SKIP" not in text or name == "explore"


def test_every_attribute_of_a_run_and_its_truth_has_a_docstring() -> None:
    for cls in (gpvae_core.Run, gpvae_core.Truth):
        source = inspect.getsource(cls)
        assert re.findall(r"^        self\.([a-z]\w*)\b.* = .*\n(?! +\"\"\")", source, re.MULTILINE) == []


def test_the_reference_describes_every_setting() -> None:
    """The command line's help and the reference say what a setting is by the description of its field."""
    for name in ("EvaluationSettings", "TruthSettings", "AISSettings", "HMCSettings", "MixtureProposalSettings"):
        fields = getattr(gpvae_core, name).model_fields
        assert [key for key, field in fields.items() if not field.description] == []
