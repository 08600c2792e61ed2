"""The layering of the code, read from its imports."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "gpvae_core").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))

# A module may import from its own layer and from those before it.
LAYERS = [
    {"errors", "registry", "part", "types", "progress", "device"},
    {"nets", "gp", "likelihoods", "data", "priors"},
    {"encoders", "refiners"},
    {"vae", "bounds", "collapse", "stats"},
    {"objectives", "regularisers", "truth"},
    {"training_bound", "validation", "mapa"},
    {"inference"},
    {"methods", "config"},
    {
        "gaps",
        "run_files",
        "snapshots",
        "guards",
        "schedule",
        "origins",
        "train",
        "runs",
        "load_run",
        "evaluate",
        "evaluate_chains",
        "evaluate_density",
    },
    {"sweep", "tables"},
    {"explore", "plots"},
    {"bench"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# The page's bench drives the page, and the command line opens it.
MAY_OPEN_PAGES = {"gpvae_core/cli/explore.py", "gpvae_core/bench/repaint.py", "gpvae_core/bench/first_start.py"}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, wherever the statement stands, apart from type-checking blocks."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its layer"
            # `from gpvae_core import train` imports gpvae_core.train
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    relative = path.relative_to(ROOT)
    if relative.parts[0] != "gpvae_core" or len(relative.parts) < 2 or relative.name == "__init__.py":
        return
    own = relative.parts[1].removesuffix(".py")
    assert own in LEVEL, f"{relative} has no place in LAYERS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "gpvae_core" and len(parts) > 1:
            assert LEVEL.get(parts[1], 0) <= LEVEL[own], f"{relative} imports {name}, which stands above it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_dashboards_import_panel(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    roots = {name.split(".")[0] for name in imports(path)}
    if relative.startswith("gpvae_core"):
        assert not roots & {"panel", "panel_material_ui", "bokeh"}
        assert "dashboards" not in roots or relative in MAY_OPEN_PAGES
    if relative.startswith("gpvae_core/plots"):
        assert "torch" not in roots


def test_plots_work_without_torch() -> None:
    modules = [path.stem for path in (ROOT / "gpvae_core" / "plots").glob("*.py") if path.stem != "__init__"]
    lines = [
        "import sys",
        "sys.modules.update(torch=None, panel=None)",
        *[f"import gpvae_core.plots.{name}" for name in modules],
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=ROOT)


def test_help_and_the_page_that_waits_for_its_first_runs_are_up_before_torch_is_imported(tmp_path: Path) -> None:
    lines = [
        "import sys",
        "from pathlib import Path",
        "sys.modules.update(torch=None, scipy=None, sklearn=None)",
        "import gpvae_core.cli.main",
        "from dashboards.app import FirstStart, Page, RunLibrary",
        "Page(RunLibrary([Path('runs')]), FirstStart(Path('runs')), None, '')",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=tmp_path, env=environment)


ASKED_OF_THE_TRUTH = {"Line.build", "Atlas.build", "true_posterior", "true_posteriors", "ais", "reverse_ais"}
"""Calls by which log p(x) or p(z|x) is computed; only `truth/` makes them, for all who ask its `Truth`."""
ASKED_OF_THE_TRUTH |= {"annealing_path", "iwae_log_px", "quick_bound", "line_posteriors", "posterior_samples"}
MAY_TIME_THE_TRUTH = {"gpvae_core/bench/posterior.py"}


def calls(path: Path) -> set[str]:
    """The names of all functions that the file calls: `f`, and `A.f` as `A.f` and as `f` where it is a module's."""
    found = [ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    return {".".join(name.split(".")[-2:]) for name in found}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_truth_is_computed_in_one_place(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    if relative.startswith("gpvae_core/truth/") or relative in MAY_TIME_THE_TRUTH:
        return
    assert not calls(path) & ASKED_OF_THE_TRUTH, (
        f"{relative} computes log p(x) itself: wanted `truth_for` or `run.truth`"
    )
    functions = (name.split(".") for name in imports(path) if name.startswith("gpvae_core.truth."))
    names = {parts[-1] for parts in functions if len(parts) > 3}
    assert not names & ASKED_OF_THE_TRUTH


def test_quadrature_and_annealing_are_started_by_the_truth_alone() -> None:
    """How many files call each; a second one is a second truth."""
    callers = {name: [p.stem for p in SOURCES if name in calls(p)] for name in ("Line.build", "Atlas.build")}
    assert callers == {"Line.build": ["quadrature"], "Atlas.build": ["posterior", "quadrature"]}


FORBIDDEN = re.compile(
    r"\bimport (pickle|dill|shelve)|\bfrom (pickle|dill|shelve)\b|pickle\.load|read_pickle|joblib\.load|torch\.load\("
    r"|weights_only\s*=\s*False|allow_pickle\s*=\s*True|(?<![.\w])(eval|exec)\("
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_runs_code_on_load(path: Path) -> None:
    assert not FORBIDDEN.search(path.read_text(encoding="utf-8"))
