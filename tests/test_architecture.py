"""The layering of the code, read from its imports."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "gpvae_core").rglob("*.py")) + sorted((ROOT / "dashboards").rglob("*.py"))

# A module may import from its own layer and from those before it.
LAYERS = [
    {
        "errors",
        "files",
        "reading",
        "hashes",
        "csv_text",
        "formatting",
        "parsing",
        "registry",
        "part",
        "part_text",
        "model_size",
        "types",
        "terminal",
        "progress",
        "device",
        "threads",
        "allocator",
        "peak",
    },
    {"nets", "gp", "gp_prior", "covariances", "likelihoods", "data"},
    {"densities"},
    {"priors"},
    {"encoders", "refiners"},
    {"vae", "bounds", "collapse", "stats"},
    {"objectives", "regularisers", "truth"},
    {"training_bound", "validation", "mapa", "vi"},
    {"inference"},
    {"methods", "run_config", "settings", "config"},
    {
        "gaps",
        "run_files",
        "run_records",
        "snapshots",
        "guards",
        "schedule",
        "clipping",
        "compiled",
        "run_folder",
        "origins",
        "training_loop",
        "training",
        "training_plan",
        "api",
        "pages",
        "runs",
        "run_summaries",
        "load_run",
        "evaluation",
    },
    {"sweep", "tables"},
    {"inspection", "plots"},
    {"bench", "figures"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
DASHBOARDS = [path for path in SOURCES if path.is_relative_to(ROOT / "dashboards")]
PAGES = {"explorer", "gap_lab", "mapa_lab", "prior_lab", "results", "vi_lab"}
# The command line opens the pages.
MAY_OPEN_PAGES = {"gpvae_core/pages.py"}


def of_each(paths: Sequence[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of a check of each of these files; thousands of tests would take longer than their checks."""

    def of_all(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            faults = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as fault:
                    faults.append(f"{path.relative_to(ROOT)}: {fault}")
            assert not faults, "\n".join(faults)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return of_all


@functools.cache
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
            # `from gpvae_core import train` imports gpvae_core.training
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@of_each(SOURCES)
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


def test_no_density_knows_a_prior() -> None:
    """The KL is to a density that a model gives: of the package, a density sees densities and mathematics alone."""
    paths = sorted((ROOT / "gpvae_core" / "densities").glob("*.py"))
    assert len(paths) > 8
    for path in paths:
        seen = {name.split(".")[1] for name in imports(path) if name.startswith("gpvae_core.")}
        assert not seen & {"priors", "vae"}, path
        assert seen <= {"densities", "gp"}, path


@of_each(SOURCES)
def test_only_the_dashboards_import_panel(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    roots = {name.split(".")[0] for name in imports(path)}
    if relative.startswith("gpvae_core"):
        assert not roots & {"panel", "panel_material_ui", "bokeh"}
        assert "dashboards" not in roots or relative in MAY_OPEN_PAGES
    if relative.startswith("gpvae_core/plots"):
        assert "torch" not in roots


@of_each(DASHBOARDS)
def test_pages_stand_on_the_frame_and_never_on_one_another(path: Path) -> None:
    package = path.relative_to(ROOT / "dashboards").parts[0]
    imported = {".".join(name.split(".")[1:2]) for name in imports(path) if name.startswith("dashboards.")}
    if package == "widgets":
        assert imported <= {"widgets"}
    elif package == "lab":
        assert imported <= {"lab", "widgets"}
    elif package in PAGES:
        assert imported <= {package, "lab", "widgets"}
    elif path.name != "app.py":
        assert not imported & PAGES, "the server alone knows the pages"


def test_every_folder_of_the_dashboards_has_its_place() -> None:
    folders = {path.parent.name for path in (ROOT / "dashboards").glob("*/__init__.py")}
    assert folders == PAGES | {"lab", "widgets"}


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
        "from dashboards.app import ExplorerPage, FirstStart, RunLibrary",
        "ExplorerPage(RunLibrary([Path('runs')]), FirstStart(Path('runs')), None, '')",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, cwd=tmp_path, env=environment)


def test_each_class_name_stands_once() -> None:
    """A name says which idea it is: two classes of one name are two ideas, or one idea written twice."""
    homes: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(homes) > 300
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


WRITERS = {"csv": "csv_text.py", "hashlib": "hashes.py"}
"""The one module that may import each of these: tables, files and hashes are written in one place."""


@of_each(SOURCES)
def test_tables_files_and_hashes_are_written_in_one_place_each(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for module in imports(path) & set(WRITERS):
        assert relative == f"gpvae_core/{WRITERS[module]}", f"{relative} imports {module}: use {WRITERS[module]}"
    if relative != "gpvae_core/files.py":
        assert not list(renames(path)), f"{relative} renames a file: use files.replacing"
        assert not list(plain_writes(path)), f"{relative} writes a file: use files.write_text or files.replacing"


@of_each(SOURCES)
def test_links_are_followed_in_one_place(path: Path) -> None:
    """`Path.resolve`, which alone of this name takes no argument, raises RuntimeError at a circle of links."""
    if path.relative_to(ROOT).as_posix() != "gpvae_core/files.py":
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        bare = [n for n in nodes if isinstance(n.func, ast.Attribute) and n.func.attr == "resolve" and not n.args]
        assert not bare, "use files.real_path"


@of_each(SOURCES)
def test_numbers_in_words_are_read_in_one_place(path: Path) -> None:
    """Python's own tests of a text's digits accept those of every script, as the Arabic three."""
    if path.relative_to(ROOT).as_posix() not in ("gpvae_core/parsing.py", "dashboards/widgets/table.py"):  # which sorts
        tests = {name.split(".")[-1] for name in calls(path)} & {"isdecimal", "isdigit", "isnumeric"}
        assert not tests, "use parsing.whole_number"


PLAIN_JSON = {
    "gpvae_core/parsing.py": "the one place",
    "gpvae_core/tables/paper.py": "a file of the package",
}


@of_each(SOURCES)
def test_json_from_outside_is_parsed_in_one_place(path: Path) -> None:
    """What `json.loads` raises besides ValueError, as RecursionError, ends a command and a page."""
    if path.relative_to(ROOT).as_posix() not in PLAIN_JSON:
        plain = {name for name in calls(path) if name.split(".")[-1] in ("loads", "load") and "json" in name}
        assert not plain, "use parsing.parse_json"


PLAIN_READS = {
    "gpvae_core/reading.py": "the one place",
    "gpvae_core/run_files.py": "for the checksum of a file that it has just written",
    "gpvae_core/tables/paper.py": "a file of the package",
    "dashboards/widgets/base.py": "a file of the package",
    "dashboards/widgets/browser.py": "a file of the package",
}
READERS = {"safe_open", "load_file", "fromfile", "memmap", "np.load", "numpy.load"}
"""Functions of libraries that open a file themselves."""


@of_each(SOURCES)
def test_files_are_read_within_a_limit_in_one_place(path: Path) -> None:
    """A file that another program has put there can be a pipe or have no end."""
    if path.relative_to(ROOT).as_posix() not in PLAIN_READS:
        names = {name for name in calls(path) if name in READERS or name.split(".")[-1] in READERS}
        of_paths = {name for name in calls(path) if re.fullmatch(r".+\.read_(text|bytes)", name)}
        assert not names | of_paths - {"reading.read_bytes"}, "use reading.read_bytes or reading.read_text"


def plain_writes(path: Path) -> Iterator[ast.Call]:
    """Calls that write a file in place: write_text and write_bytes of a path, and open with mode w or x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).split(".")
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [value.value for value in arguments if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        opened = name[-1] in ("open", "fdopen") and any(re.fullmatch("[wx][bt+]*", text) for text in texts)
        if opened or (len(name) > 1 and name[-1] in ("write_text", "write_bytes")):
            yield node


def renames(path: Path) -> Iterator[ast.Call]:
    """Calls that write a file in steps: os.replace, os.rename, os.fsync, mkstemp, and Path.replace.

    Path.replace has one argument, where the method of a text has two.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, ast.unparse(node.func.value)
        one_argument = len(node.args) == 1 and not node.keywords
        if name in ("rename", "fsync", "mkstemp") or (name == "replace" and (owner == "os" or one_argument)):
            yield node


PRINTERS = {"output.py", "table.py"}
"""The modules of the command line that print; they leave no control characters in names and messages."""


def test_commands_print_in_one_place() -> None:
    for path in (ROOT / "gpvae_core" / "cli").glob("*.py"):
        printing = {"print", "echo", "typer.echo", "typer.secho"} & calls(path)
        assert path.name in PRINTERS or not printing, f"{path.name} prints: use output.say or table.print_table"


CALLERS = {
    # quadrature
    "Line.build": {"truth/quadrature"},
    "Atlas.build": {"truth/quadrature", "bench/posterior"},
    "LineQuadrature": set(),
    "GridQuadrature": set(),
    "quadrature_for": {"truth/truth"},
    "line_posteriors": {"truth/quadrature"},
    "true_posteriors": {"truth/quadrature", "truth/estimators/grid"},
    "LineEvidence": {"truth/truth"},
    "GridEvidence": {"truth/truth"},
    # annealing
    "Annealing": {"truth/truth", "truth/bidirectional"},
    "AnnealingPath": {"truth/estimators/ais"},
    "bidirectional": {"truth/truth"},
    # Hamiltonian Monte Carlo
    "many_posteriors": {"truth/truth"},
    "chains_from": {"truth/many_posteriors"},
    # importance sampling
    "ImportanceSampling": {"truth/truth"},
    "quick_bound": {"truth/estimators/ais", "truth/estimators/iwae"},
    "mixture_log_px": {"truth/truth"},
    "resample": {"truth/truth"},
    "log_weights": {"truth/estimators/iwae", "gaps", "evaluation/whole_split", "sweep/work"},
    "ImportanceEstimate.from_log_weights": {"truth/estimators/iwae", "evaluation/whole_split"},
}
"""Function or class of `truth/` by which log p(x) or p(z|x) is computed -> the files that use it.

All others ask a `Truth`, which uses them through `truth/truth`. Of the files outside of `truth/`, `bench/posterior`
compares an atlas with decoding it each time; `gaps`, `evaluation/whole_split` and `sweep/work` score the encoder by its
ELBO and its IWAE-K bound, which are computed from samples of q(z|x) whatever the truth is.
"""
SUMS = {
    "bounds": "bounds of given log weights",
    "densities/mixture": "log q(z|x) of a mixture of Gaussians",
    "mapa/sparse": "over training codes",
    "mapa/neighbours": "over training codes",
    "mapa/bound": "over training codes",
    "mapa/trend_table": "over training codes",
    "inspection/mapa_lab/posteriors": "over training codes",
    "inspection/mapa_lab/bounds": "over training codes",
    "inspection/mapa_lab/process": "over the drawn grid of the paper's Fig. 1, of functions that are no model",
    "vi/divergences/base": "of given log weights",
    "vi/divergences/chi": "of given log weights",
    "vi/divergences/renyi": "of given log weights",
    "vi/targets/bayesian_mixture": "log p(x_i|z), over the components, and the bound over them",
    "inference/amortized": "over nodes common to all epochs, as `Line` would take 200 times as long at each of them",
}
"""Files outside of `truth/` that take a log-sum-exp, by which another log p(x) would be computed -> of what. Sums over
training codes belong to the empiricalized model, whose prior is uniform over the codes."""
APPROXIMATIONS = {"local_posterior": {"inspection/answers", "inspection/gap_lab/lab"}}
"""Function of `inspection/` that finds a mode -> the files that call it. It is the Laplace approximation, drawn as one,
for d > 2, where the truth has samples but no modes."""
TRUTH = [path for path in SOURCES if path.is_relative_to(ROOT / "gpvae_core" / "truth")]


@functools.cache
def calls(path: Path) -> set[str]:
    """The names of all functions that the file calls: `f`, and `A.f` as `A.f` and as `f` where it is a module's."""
    called = [ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    return {".".join(name.split(".")[-2:]) for name in called}


def users(name: str) -> set[str]:
    """The files that call `name` or import it from `truth/`, under whatever name."""
    # `truth.f()` is a method of a `Truth`, not a function of the module.
    names = {name, *(f"{path.stem}.{name}" for path in TRUTH if path.stem != "truth")}
    using = [
        path
        for path in SOURCES
        if calls(path) & names or any(re.fullmatch(rf"gpvae_core\.truth\..*\.{name}", i) for i in imports(path))
    ]
    return {path.relative_to(ROOT / "gpvae_core").with_suffix("").as_posix() for path in using}


@pytest.mark.parametrize("name", CALLERS)
def test_the_truth_is_computed_in_one_place(name: str) -> None:
    owner, _, method = name.rpartition(".")
    definitions = rf"^(class|def) {owner or method}\b"
    assert any(re.search(definitions, path.read_text(), re.MULTILINE) for path in TRUTH), f"no {name} to guard"
    assert users(name) == CALLERS[name], f"{name} computes log p(x) or p(z|x): wanted `truth_for` or `run.truth`"


def test_no_other_sum_over_latents_is_a_second_truth() -> None:
    summing = {path for path in SOURCES if any(name.split(".")[-1] == "logsumexp" for name in calls(path))}
    outside = {path.relative_to(ROOT / "gpvae_core").with_suffix("").as_posix() for path in summing - {*TRUTH}}
    assert outside == set(SUMS), "wanted `truth_for` or `run.truth` for log p(x), or what is summed"
    assert {name: users(name) for name in APPROXIMATIONS} == APPROXIMATIONS


FORBIDDEN = re.compile(
    r"\bimport (pickle|dill|shelve)|\bfrom (pickle|dill|shelve)\b|pickle\.load|read_pickle|joblib\.load|torch\.load\("
    r"|weights_only\s*=\s*False|allow_pickle\s*=\s*True|(?<![.\w])(eval|exec)\("
)


@of_each(SOURCES)
def test_nothing_runs_code_on_load(path: Path) -> None:
    assert not FORBIDDEN.search(path.read_text(encoding="utf-8"))
