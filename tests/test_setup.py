"""The three lists of dependencies agree, and the wheel holds all that is needed."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpvae_core.bench.browser import open_tab
from gpvae_core.errors import UserError

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch"}


def expected() -> dict[str, Requirement]:
    """The run-time dependencies of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {canonicalize_name(r.name): r for r in map(Requirement, project["dependencies"])}


def optional() -> list[Requirement]:
    """The dependencies of the extras, `test` and others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for lines in project["optional-dependencies"].values() for line in lines]


def exact(requirement: Requirement) -> str:
    """The one version that `==` allows."""
    (clause,) = requirement.specifier
    assert clause.operator == "==", f"{requirement} is not an exact version"
    return clause.version


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    actual = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): exact(r) for r in actual}


def conda() -> dict[str, str]:
    """Name -> version of environment.yml, conda and pip parts, apart from python, pip and the project itself."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    plain = [entry for entry in entries if isinstance(entry, str)]
    plain += [line for entry in entries if isinstance(entry, dict) for line in entry["pip"] if line != "-e ."]
    actual = [Requirement(line) for line in plain]
    names = {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r for r in actual}
    return {name: exact(r) for name, r in names.items() if name not in ("python", "pip")}


def test_every_dependency_is_pinned_to_a_version_that_fits() -> None:
    for requirement in [*expected().values(), *optional()]:
        version = pinned().get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} does not admit {version}"


def test_conda_makes_the_same_environment() -> None:
    assert set(conda()) == set(expected())
    assert conda() == {name: pinned()[name] for name in expected()}


def test_the_packages_asked_for_are_there() -> None:
    assert {"torch", "jupyterlab", "ipywidgets", "plotly", "panel", "scikit-learn"} <= set(expected())


NOT_IMPORTED = {
    "anywidget": "plotly's FigureWidget needs it in a notebook",
    "jupyterlab": "notebooks are opened in it",
}
"""Run-time dependencies that nothing imports, and why they are there."""
FOR_MEASURING = {"playwright"}
"""Comes with the test dependencies; what imports it drives a browser to measure the pages."""


def imported() -> set[str]:
    """The distributions that packages and notebooks import, wherever the statement stands."""
    sources = [
        p.read_text(encoding="utf-8") for part in ("gpvae_core", "dashboards") for p in (ROOT / part).rglob("*.py")
    ]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names: set[str] = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    names -= {*sys.stdlib_module_names, "gpvae_core", "dashboards"}
    distributions = packages_distributions()
    return {canonicalize_name(distribution) for name in names for distribution in distributions[name]}


def test_every_dependency_is_imported() -> None:
    assert set(expected()) - imported() == set(NOT_IMPORTED)


def test_why_a_dependency_is_there_that_nothing_imports_stands_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for name in (*NOT_IMPORTED, *FOR_MEASURING):
        (line,) = [line for line in lines if line.strip().startswith(f'"{name}>')]
        assert "# " in line, f"{name}: nothing says why it is there"


def test_measuring_without_playwright_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(UserError, match="needs playwright"), open_tab():
        pass


def test_every_import_is_a_dependency() -> None:
    assert imported() - set(expected()) == FOR_MEASURING


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources so that no build folder is left behind."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("gpvae_core", "dashboards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("gpvae_core-*.whl"))


def test_the_wheel_holds_packages_and_assets(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [p for folder in ("gpvae_core", "dashboards") for p in (ROOT / folder).rglob("*") if p.is_file()]
    shipped = (".py", ".js", ".css", ".json", ".safetensors")
    kept = {p.relative_to(ROOT).as_posix() for p in sources if p.suffix in shipped}
    assert kept <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"gpvae_core", "dashboards"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_works_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pins = str(ROOT / "constraints.txt")
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", pins, str(wheel)], check=True, cwd=tmp_path)
    subprocess.run([python.with_name("gpvae"), "--help"], check=True, cwd=tmp_path, capture_output=True)
    for arguments in (["-m", "gpvae_core.cli", "list", "methods", "--json"], ["-c", "import dashboards.app"]):
        subprocess.run([python, *arguments], check=True, cwd=tmp_path, capture_output=True)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")
