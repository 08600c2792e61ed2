"""Each CSV file of the MAPA Lab is one tidy table; those of the other views are read where the views are tested."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gpvae_core.inspection.mapa_lab import export
from gpvae_core.inspection.mapa_lab.process import paper_processes
from tests.plots import test_mapa_plots as views
from tests.tidy import tidy

FILES: dict[str, Callable[[], str]] = {
    "traces": lambda: export.traces(views.trace_view()),
    "plane": lambda: export.plane(views.plane_view()),
    "process": lambda: export.processes(paper_processes()),
    "variants": lambda: export.variants(views.variants_view()),
    "bound": lambda: export.bound(views.bound_view()),
    "test KL": lambda: export.test_kl(views.kl_view()),
    "density": lambda: export.density(views.density_view()),
    "passes": lambda: export.passes(views.passes_view()),
    "neighbours": lambda: export.neighbours(views.neighbours_view()),
    "codes": lambda: export.codes(views.codes_view()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_tidy_table(name: str) -> None:
    assert tidy(FILES[name]())


def test_codes_have_their_classes_and_their_axes() -> None:
    rows = tidy(FILES["codes"]())
    assert [row["class"] for row in rows[:3]] == ["a", "b", "c"]
    assert {(row["x_axis"], row["y_axis"]) for row in rows} == {("z₁ (prior sd)", "z₂ (prior sd)")}
