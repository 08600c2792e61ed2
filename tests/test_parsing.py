"""Numbers that a person typed: digits 0-9 alone, in every place that reads them by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboards.explorer.state import plane_dims
from dashboards.lab import address
from dashboards.results.state import dims_of
from gpvae_core import parsing
from gpvae_core.errors import UserError
from gpvae_core.mapa.trend_table import parse_width
from gpvae_core.methods import get_method
from gpvae_core.runs import kept_epochs

OTHERS = ["\u0663", "\uff13", "1\u0663", "\u0967"]
"""Three in Arabic, three of full width, a one and the Arabic three, and one in Devanagari."""


@pytest.mark.parametrize("text", OTHERS, ids=ascii)
def test_digits_of_other_scripts_are_no_number(text: str, tmp_path: Path) -> None:
    for read in (parsing.whole_number, parsing.real_number, address.whole_number, address.real_number):
        assert read(text) is None
    for refuses in (lambda: get_method(f"iaf:{text}"), lambda: parse_width(text), lambda: dims_of(text)):
        with pytest.raises(UserError):
            refuses()
    with pytest.raises(UserError):
        plane_dims(f"1{text},2")
    (tmp_path / "epochs" / text).mkdir(parents=True)
    (tmp_path / "epochs" / text / "state.json").write_text("{}", encoding="utf-8")
    assert kept_epochs(tmp_path) == []


def test_numbers_are_read() -> None:
    assert [parsing.whole_number(text) for text in ("0", "12", "-1", "1.5", "", "9" * 301)] == [0, 12, *[None] * 4]
    assert [address.whole_number(text) for text in ("-12", "12", "--1", "-", "1" * 10)] == [-12, 12, None, None, None]
    assert [parsing.real_number(text) for text in ("1e-3", "-2", "inf", "x")] == [1e-3, -2.0, float("inf"), None]
    assert [address.real_number(text) for text in ("1e-3", "nan", "inf", "x")] == [1e-3, None, None, None]
