"""Every number that a person can set, or that stands in a record, has bounds: a new one cannot be added without."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest
import torch
import typer
from pydantic import BaseModel, TypeAdapter, ValidationError

import gpvae_core
from gpvae_core.cli.main import app
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.errors import UserError
from gpvae_core.model_size import MOST_NUMBERS, LargestModel
from gpvae_core.run_config import PARTS
from gpvae_core.run_records import TrainingState
from gpvae_core.sweep.results import Result
from tests.commands import gpvae

RESULTS = {
    "evaluation.result",
    "evaluation.estimates",
    "evaluation.parts",
    "evaluation.mean",
    "evaluation.as_published",
    "evaluation.conditional",
    "evaluation.instances",
    "evaluation.kernel_parameters",
    "truth.evidence",
}
"""Modules whose models hold what was computed, not what is read from outside."""


def models() -> list[type]:
    """Every model of settings and records in the package."""
    for module in pkgutil.walk_packages(gpvae_core.__path__, "gpvae_core."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    for registry in PARTS.values():
        registry.summaries()
    found: set[type] = {TrainingState, Result}
    waiting = [BaseModel]
    while waiting:
        waiting += waiting.pop().__subclasses__()
        found |= {cls for cls in waiting if cls.__module__.startswith("gpvae_core.")}
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


def is_number(annotation: Any) -> bool:
    """Whether a value of this type can be a number."""
    if annotation in (int, float):
        return True
    return any(is_number(inner) for inner in get_args(annotation))


def numbers(model: type) -> list[str]:
    return [name for name, kind in get_type_hints(model).items() if is_number(kind) and name in fields(model)]


def fields(model: type) -> set[str]:
    if issubclass(model, BaseModel):
        return set(model.model_fields)
    return {field.name for field in dataclasses.fields(model)}  # pyright: ignore[reportArgumentType]


def adapter(model: type, name: str) -> TypeAdapter[Any]:
    """The check of one field alone, with the bounds that stand in its type or in its `Field`."""
    if not issubclass(model, BaseModel):
        return TypeAdapter(get_type_hints(model, include_extras=True)[name])
    field = model.model_fields[name]
    kind: Any = field.annotation
    for bound in field.metadata:
        kind = Annotated[kind, bound]
    return TypeAdapter(kind)


def beyond(model: type, name: str) -> list[Any]:
    """Numbers outside of any bounds, in the shape in which the field has them."""
    kind = str(get_type_hints(model)[name])
    values: list[Any] = [math.inf, -math.inf, math.nan, 10**45, -(10**45), 1e308]
    if "dict" in kind:
        return [{"x": value} for value in values]
    return [(value,) * 3 if "tuple" in kind else value for value in values]


READ = [model for model in models() if model.__module__.removeprefix("gpvae_core.") not in RESULTS]
FIELDS = [(model, name) for model in READ for name in numbers(model)]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_number_has_bounds(model: type, name: str) -> None:
    check = adapter(model, name)
    for value in beyond(model, name):
        with pytest.raises(ValidationError):
            check.validate_python(value)


def test_settings_of_all_kinds_are_among_them() -> None:
    names = {f"{model.__name__}.{name}" for model, name in FIELDS}
    assert len(names) > 100
    assert {"TrainConfig.lr", "FullyConnectedConfig.depth", "SweepConfig.latent_dims", "MapaConfig.bandwidth"} <= names
    assert {"TrainingState.stage", "RunMetadata.event_shape", "AISSettings.steps", "MetricsRow.epoch"} <= names


def options(commands: typer.Typer = app, path: str = "") -> list[tuple[str, Any]]:
    """The numeric options of each command, with what typer knows of them."""
    found: list[tuple[str, Any]] = []
    for command in commands.registered_commands:
        assert command.callback is not None
        for name, kind in get_type_hints(command.callback, include_extras=True).items():
            info = next(iter(getattr(kind, "__metadata__", ())), None)
            if info is not None and is_number(get_args(kind)[0]):
                found.append((f"{path}{command.name} {name}", info))
    for group in commands.registered_groups:
        assert group.typer_instance is not None
        found += options(group.typer_instance, f"{group.name} ")
    return found


ELSEWHERE = {"train latent_dim", "train epochs"}
"""Options whose bounds are those of the settings that they set."""


def test_every_option_has_bounds() -> None:
    known = options()
    assert {"evaluate ais_steps", "mapa trend draws", "bench repeats", "sweep workers"} <= {name for name, _ in known}
    without = {name for name, info in known if info.min is None or info.max is None}
    assert without == ELSEWHERE


@pytest.mark.parametrize("settings", [{"net.hidden": 2**16, "net.depth": 2}, {"net.hidden": 2**14, "net.depth": 256}])
def test_a_model_that_is_too_large_takes_no_memory(settings: dict[str, Any]) -> None:
    config = make_config("vae", DataConfig(name="digits"), (1, 8, 8), settings)
    with pytest.raises(UserError, match="at most 1,073,741,824 weights"):
        config.build((1, 8, 8))


def test_the_weights_of_a_model_are_counted() -> None:
    with LargestModel() as size:
        layer = torch.nn.Linear(30, 20)
    assert size.numbers == sum(p.numel() for p in layer.parameters()) == 620
    assert MOST_NUMBERS == 2**30


NINES, BRACKETS = "9" * 5000, "[" * 50_000


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--set", f"lr={BRACKETS}"),
        ("train", "--set", f"lr={BRACKETS}{']' * 50_000}"),
        ("train", "--set", f"lr={NINES}"),
        ("train", "--set", "lr=Infinity"),
        ("train", "--set", "lr=1e999"),
        ("train", "--set", "net.hidden=1000000000"),
        ("train", "--set", "net.depth=1000000000"),
        ("train", "--set", "samples=1000000000"),
        ("train", "--epochs", "9" * 30),
        ("train", "--epochs", NINES),
        ("train", "--method", "iwae:999999999999999999999999"),
        ("train", "--method", f"iaf:{NINES}"),
        ("train", "--method", f"iaf{NINES}"),
        ("train", "--method", "mapa:99999", "--dataset", "circle"),
        ("train", "--dataset", "circle", "--method", "mapa", "--set", "bandwidth=1e308"),
        ("mapa", "trend", "circle", "--n", NINES),
        ("mapa", "trend", "circle", "--n", "100", "--bandwidth", "1e308"),
        ("mapa", "trend", "circle", "--n", "100", "--bandwidth", "1e-308"),
        ("table", "1", "--dims", NINES, "--no-run"),
        ("evaluate", "run", "--ais-steps", "9" * 30, "--truth", "ais"),
        ("evaluate", "run", "--ais-steps", NINES, "--truth", "ais"),
        ("evaluate", "run", "--refiner", f"svi:{NINES}"),
        ("evaluate", "run", "--refiner", "svi:8,step_size=inf"),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_a_number_without_bounds_is_one_line_and_leaves_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(Path(__file__).with_name("before") / "vae")
    done = gpvae(*arguments, *(("--out", "new") if arguments[0] == "train" else ()), cwd=tmp_path)
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert last.startswith("gpvae: ")
    assert len(last) < 1000
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
