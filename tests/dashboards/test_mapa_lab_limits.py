"""The MAPA Lab at the limits of its controls: what cannot be computed is refused, and no false number is stated."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.mapa_lab.page import MapaLabPage
from dashboards.mapa_lab.points import PointTraces
from dashboards.mapa_lab.state import MapaLabState, bandwidth_of
from gpvae_core.errors import UserError
from gpvae_core.mapa.ranges import LARGEST_BANDWIDTH, SMALLEST_BANDWIDTH
from tests.dashboards.conftest import wait_until
from tests.dashboards.test_mapa_lab import message, notice, opened

SET = "set=absolute-value&N=40&k=4&S=3"
FIRST = {"posterior": "mapa_traces", "variants": "mapa_variants", "bound": "mapa_bound", "passes": "mapa_passes"}
"""The card of each tab whose numbers the line above the cards states."""


def line(page: MapaLabPage) -> str:
    """What the line above the cards says."""
    return html.unescape(str(page.line.object)).partition(">")[2].removesuffix("</div>")


def shows(page: MapaLabPage, card: str) -> Callable[[], bool]:
    return lambda: page.session.cards[card].figure != ""


@pytest.mark.parametrize("text", ["1e-300", "1e300", "9e-16", "1.1e15", "-1", "0", "nan", "1e999"])
def test_a_bandwidth_has_the_bounds_of_the_command_line(text: str) -> None:
    """Before, the pages took any number above 0, of which some failed in the views with a division by zero."""
    with pytest.raises(UserError, match=r"above 0 .* from 1e-15 to 1e\+15, sigma or best"):
        bandwidth_of(text)
    state = MapaLabState()
    assert [told.split(":")[0] for told in state.read({"bandwidth": [text]})] == ["bandwidth"]
    assert state.bandwidth == "sigma"


@pytest.mark.parametrize("bandwidth", [SMALLEST_BANDWIDTH, LARGEST_BANDWIDTH])
@pytest.mark.parametrize("tab", FIRST)
def test_at_both_bounds_every_tab_is_computed(tab: str, bandwidth: float, tmp_path: Path) -> None:
    page = opened(tmp_path, query=f"{SET}&tab={tab}&bandwidth={bandwidth:g}")
    wait_until(page, shows(page, FIRST[tab]))
    wait_until(page, lambda: line(page) != "")
    assert "nan" not in line(page)
    assert "inf" not in line(page)


@pytest.mark.parametrize("place", ["1e308,1e308", "1e160,1", "1e20,0", "0,-1e4"])
def test_a_place_too_far_from_the_data_is_refused_with_the_range(place: str, tmp_path: Path) -> None:
    """Before, the view failed, or the line said that MAPA is exact there, as all densities had become equal."""
    page = opened(tmp_path, query=f"{SET}&x=0.3,0.2")
    wait_until(page, shows(page, "mapa_traces"))
    before = line(page)
    assert "KL" in before
    page.controls.point.field._handle_msg({"typed": place.replace(",", ", ")})
    assert "x: wanted x₁ from " in notice(page)
    assert "10 times the extent of absolute-value" in notice(page)
    assert (page.state.place, line(page)) == ("0.3,0.2", before), "what was shown before goes on"
    page = opened(tmp_path, query=f"{SET}&x={place}&index=7")
    wait_until(page, shows(page, "mapa_traces"))
    assert "x: wanted x₁ from " in notice(page)
    assert page.state.place == ""
    assert "training point 7" in str(page.session.cards["mapa_traces"].content["sub"])


def test_a_place_where_the_quadrature_fails_is_refused(tmp_path: Path) -> None:
    """p(z|x) lies beyond the quadrature's line: log p(x) is -190.9 nats in closed form, but was stated as -446.9."""
    page = opened(tmp_path, query="set=linear-gaussian&N=40&k=4&S=3&x=10,10")
    wait_until(page, shows(page, "mapa_traces"))
    assert "log p(x) of linear-gaussian cannot be computed at 10 and 10" in notice(page)
    assert page.state.place == ""


def test_when_a_view_fails_the_line_does_not_go_on_stating_its_former_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened(tmp_path, query=f"{SET}&index=1")
    wait_until(page, lambda: "KL" in line(page))

    def fails(*_: Any) -> None:
        raise UserError("it cannot be computed")

    monkeypatch.setattr(PointTraces, "compute", fails)
    page.state.index = 2
    wait_until(page, lambda: message(page, "mapa_traces") == "it cannot be computed")
    assert line(page) == ""


def test_a_noise_too_small_to_compute_with_is_refused(tmp_path: Path) -> None:
    page = opened(tmp_path, query=f"{SET}&tab=process")
    wait_until(page, shows(page, "mapa_process"))
    page.controls.noise._handle_msg({"typed": "1e-300"})
    assert "noise: wanted a number above 0 from 1e-15 to 1e+15, got 1e-300" in notice(page)
    assert page.state.noise == 0.0
    page = opened(tmp_path, query=f"{SET}&tab=process&noise=1e-300")
    wait_until(page, lambda: "wanted a noise scale above 0" in message(page, "mapa_process"))


@pytest.mark.parametrize("value", ["1e-300", "1e300", "-1"])
def test_the_kernel_of_an_image_model_has_the_same_bounds(value: str, runs: Path) -> None:
    """Before, the view failed for a reason that the program did not expect."""
    page = opened(runs, query=f"tab=images&run=tiny-vae&kernel=bandwidth={value}")
    wait_until(page, shows(page, "mapa_neighbours"))
    assert "kernel: wanted a kernel bandwidth above 0" in notice(page)
    assert "from 1e-15 to 1e+15" in notice(page)
    assert page.state.kernel == "default"
