"""The paper's tables: read again from its text, cells by heart, and shapes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpvae_core.errors import UserError
from gpvae_core.tables.compare import BEST, CLOSE, paper_marks
from gpvae_core.tables.paper import PaperTable, notes, paper_table, table_numbers

ROOT = Path(__file__).parents[2]
TEXT = ROOT.parent / "shared" / "papers" / "kim_pavlovic_2021_gp_encoder.txt"
SCORES = {1: "mnist", 2: "omniglot", 3: "svhn", 4: "celeba", 9: "cifar10"}


def cell(
    table: PaperTable, name: str, dataset: str, d: int, decoder: str = "conv"
) -> tuple[float, float | None] | None:
    i = next(i for i, c in enumerate(table.columns) if (c.dataset, c.latent_dim, c.decoder) == (dataset, d, decoder))
    value = next(row.cells[i] for row in table.rows if row.name == name)
    return None if value is None else (value.mean, value.sd)


def test_cells_typed_by_hand() -> None:
    assert cell(paper_table(1), "GPVAE", "mnist", 10) == (696.5, 1.5)
    assert cell(paper_table(1), "HF(2)", "mnist", 50) == (1191.5, 10.8)
    assert cell(paper_table(2), "GPVAE", "omniglot", 20) == (516.3, 2.1)
    assert cell(paper_table(3), "RME(5)", "svhn", 50) == (5405.5, 8.5)
    assert cell(paper_table(3), "ME(4)", "svhn", 50) == (5191.9, 18.5)
    assert cell(paper_table(4), "ME(4)", "celeba", 10) == (9834.9, 25.4)
    assert cell(paper_table(4), "VAE", "celeba", 50) == (15251.9, 39.7)
    assert cell(paper_table(5), "SA(8)", "omniglot", 50) == (65.7, None)
    assert cell(paper_table(5), "GPVAE", "celeba", 50) == (9.2, None)
    assert cell(paper_table(9), "IAF(2)", "cifar10", 50) == (2763.0, 4.3)
    assert cell(paper_table(10), "VLAE(4)", "mnist", 10, "fc") == (605.2, None)
    assert cell(paper_table(10), "VLAE(4)", "mnist", 10, "conv") is None
    assert cell(paper_table(10), "GPVAE", "omniglot", 50, "conv") == (813.0, None)
    assert cell(paper_table(11), "GPVAE", "mnist", 50, "fc") == (9.8, None)
    assert cell(paper_table(11), "VLAE(8)", "omniglot", 50, "fc") == (26.4, None)


def test_shapes_names_and_what_is_said() -> None:
    assert table_numbers() == (1, 2, 3, 4, 5, 9, 10, 11)
    for number in table_numbers():
        table = paper_table(number)
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
        assert len({row.method for row in table.rows}) == len(table.rows)
        assert (table.runs, table.restarts) == (10, 3)
        assert table.source.endswith(f", Table {number}")
        for row in table.rows:
            ours = row.name.lower().replace("gpvae", "gp").replace("(", ":").replace(")", "")
            assert row.method == ours
    assert [len(paper_table(n).rows) for n in table_numbers()] == [22, 22, 22, 22, 10, 22, 10, 5]
    assert "693.2" in notes()[0]
    with pytest.raises(UserError, match=r"\(1, 2, 3, 4, 5, 9, 10, 11\), got 6"):
        paper_table(6)


def test_the_note_about_table_10_is_true() -> None:
    ten, one = paper_table(10), {"mnist": paper_table(1), "omniglot": paper_table(2)}
    for i, column in enumerate(ten.columns):
        if column.decoder == "conv":
            for row in ten.rows:
                value, other = row.cells[i], None
                if value is not None:
                    other = cell(one[column.dataset], row.name, column.dataset, column.latent_dim)
                    assert other is not None
                    assert (value.mean == other[0]) == (row.name != "GPVAE")


def test_the_only_bold_number_in_the_text_is_marked() -> None:
    """RME(5) at d = 50 in Table 3; the text has lost the other colours."""
    table = paper_table(3)
    marks = paper_marks([row.cells[2] for row in table.rows], table.runs)
    named = {row.name: mark for row, (_, mark) in zip(table.rows, marks, strict=True)}
    assert named["RME(5)"] == CLOSE
    assert named["GPVAE"] == BEST


def test_reading_results_and_comparing_them_wants_neither_torch_nor_dask() -> None:
    """A page reads a sweep's results while it draws; the command line must help without waiting for either."""
    lines = [
        "import sys",
        "sys.modules.update(torch=None, dask=None, distributed=None)",
        "import gpvae_core.sweep.results, gpvae_core.tables.export, gpvae_core.cli.main",
        "from gpvae_core.tables.compare import compare",
        "from gpvae_core.tables.paper import paper_table",
        "assert len(compare(paper_table(10), [])) == 64",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def text() -> str:
    if not TEXT.is_file():
        pytest.skip("the paper's text is not beside the checkout")
    return TEXT.read_text(encoding="utf-8")


def numbers(line: str) -> list[float]:
    """Every decimal number of a line; the counts in the names have no point."""
    return [float(number) for number in re.findall(r"\d+\.\d+", line)]


def blocks(text: str) -> list[list[list[float]]]:
    """The numbers of each run of lines that hold tabs and decimals: one block for each table of results."""
    actual: list[list[list[float]]] = [[]]
    for line in text.splitlines():
        if "\t" in line and numbers(line) and "relu" not in line.lower():  # the tables of networks
            actual[-1].append(numbers(line))
        elif actual[-1]:
            actual.append([])
    return [block for block in actual if len(block) >= 5]


def test_every_number_is_that_of_the_text(text: str) -> None:
    """In reading order, table by table, against the numbers that a plain pattern finds in the lines of the tables."""
    expected = [
        [[n for n in row if n is not None] for row in _printed(paper_table(t))] for t in (1, 2, 3, 4, 5, 9, 10, 11)
    ]
    assert blocks(text) == expected


def _printed(table: PaperTable) -> list[list[float | None]]:
    return [[n for value in row.cells if value is not None for n in (value.mean, value.sd)] for row in table.rows]
