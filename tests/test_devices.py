"""Code that a device without double precision (Apple's MPS) refuses, found in the source: no such device is at hand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "gpvae_core").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))
DOUBLE = {"torch.float64", "torch.double"}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def method(call: ast.Call) -> str | None:
    """The name after the last dot, such as 'cpu' in `(a + b).cpu()`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else None


def doubles(call: ast.Call) -> bool:
    """`.double()` and `.to(torch.float64)`."""
    return method(call) == "double" or (method(call) == "to" and any(ast.unparse(a) in DOUBLE for a in call.args))


def in_double_on_a_device(source: str) -> list[int]:
    """Lines that make doubles before they move to the CPU, or with one `.to` for both (which converts first)."""
    actual = []
    for call in calls(ast.parse(source)):
        before = method(call) == "cpu" and any(doubles(inner) for inner in calls(call.func))
        both = method(call) == "to" and doubles(call) and len(call.args) + len(call.keywords) > 1
        if before or both:
            actual.append(call.lineno)
    return actual


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_doubles_are_made_on_the_cpu(path: Path) -> None:
    assert in_double_on_a_device(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("z.double().cpu().numpy()", True),
        ("elbo(w).double().sum().cpu()", True),
        ("torch.cat(values).to(torch.float64).cpu()", True),
        ("a.to(host, torch.float64)", True),
        ("z.cpu().double().numpy()", False),
        ("a.to(host).to(torch.float64)", False),
        ("part.cpu().double() + other.cpu().double()", False),
    ],
)
def test_the_search_finds_what_it_should(source: str, refused: bool) -> None:
    assert bool(in_double_on_a_device(source)) is refused
