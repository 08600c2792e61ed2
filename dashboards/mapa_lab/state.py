"""The state of the MAPA Lab: the choices that stand in its address, and the tabs with their controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import param

from dashboards.lab.address import Checked, PageState, real_number, two_numbers
from gpvae_core.errors import UserError
from gpvae_core.inspection.mapa_lab.views import FEWEST_POINTS, MOST_POINTS, check_counts
from gpvae_core.mapa.ranges import BANDWIDTH_RANGE, is_bandwidth

TABS = {
    "posterior": (
        "Posterior",
        "Log posterior of one point: true, empiricalized and by MAPA, the model-agnostic posterior approximation",
    ),
    "process": ("Generative process", "The generative process, and why near points have similar posteriors (Fig. 1)"),
    "variants": ("Two variants", "Several decoders of the same data, for all of which MAPA is the same (D.4)"),
    "bound": ("Bound and density", "The bound on log p(x), and density estimates, against S (Fig. 2-3)"),
    "passes": ("Passes", "Network passes of a training step (Fig. 4-5)"),
    "images": ("Image model", "A trained model of images: the most probable training images by MAPA and by the model"),
}
"""The name of each tab and a sentence about what it shows."""
SETTINGS = ("dataset", "size", "draw", "bandwidth", "k", "draws", "seed")
CONTROLS = {
    "posterior": ("index", *SETTINGS),
    "process": ("noise", "points", "seed"),
    "variants": ("index", *SETTINGS),
    "bound": SETTINGS,
    "passes": ("dataset", "size", "draw", "bandwidth", "seed"),
    "images": ("run", "image", "shown", "kernel"),
}
"""The parameters with a control above the cards on which each tab depends."""
SIGMA, BEST = "sigma", "best"
"""Names of bandwidths: the noise of the set, and the one with the largest log p(x) on validation points."""
DEFAULT = "default"
"""Name of the hyper-parameters that the trained likelihood has."""


def bandwidth_of(text: str) -> float | None:
    """Return the number that a bandwidth is, None for 'sigma' and 'best', which depend on the data.

    Raises:
        UserError: the text is neither.
    """
    if text in (SIGMA, BEST):
        return None
    value = real_number(text)
    if value is None or not is_bandwidth(value):
        wanted = f"a number above 0 (in the units of x) {BANDWIDTH_RANGE}, sigma or best"
        raise UserError(f"bandwidth: wanted {wanted}, got '{text[:40]}'")
    return value


def place_of(text: str) -> tuple[float, float] | None:
    """Return the two coordinates of a place 'x1,x2', None for an empty text.

    Raises:
        UserError: there are not two numbers.
    """
    return two_numbers("x", text) if text else None


def kernel_of(text: str) -> dict[str, float] | None:
    """Return the hyper-parameters 'name=number;...' by name: none of them for 'default', None for 'best'.

    Raises:
        UserError: the text has another form.
    """
    if text == BEST:
        return None
    values = {}
    for part in [] if text == DEFAULT else filter(None, text.split(";")):
        name, _, number = part.partition("=")
        if (value := real_number(number)) is None:
            raise UserError(f"kernel: wanted name=number, got '{part[:40]}'")
        values[name] = value
    return values


class MapaLabState(PageState):
    """The choices of one MAPA Lab page."""

    tab = param.Selector(default="posterior", objects=list(TABS))
    dataset = param.String(default="figure-8", doc="Set of points")
    draw = param.Integer(default=0, bounds=(0, 999_999), doc="Which draw of the data")
    size = param.Integer(default=1000, bounds=(FEWEST_POINTS, MOST_POINTS), doc="N, training points")
    index = param.Integer(default=0, bounds=(0, None), doc="Training point")
    k = param.Integer(default=20, bounds=(0, None), doc="Most probable points, over which the bound sums")
    draws = param.Integer(default=10, bounds=(0, None), doc="Samples from the rest of q(i|n), for the bound")
    seed = param.Integer(default=0, bounds=(0, 999_999), doc="Seed of the random draws")
    colour = param.Selector(default="z", objects=["z", "q"], doc="Colour of the points in the plane")
    example = param.Selector(default="paper", objects=["paper", "set"], doc="The generative process")
    coordinate = param.Selector(default="1", objects=["1", "2"], doc="Coordinate of x drawn against z")
    noise = param.Number(default=0.0, bounds=(0.0, 100.0), doc="Standard deviation of epsilon, in units of x; 0: own")
    points = param.Integer(default=4, bounds=(1, 12), doc="How many points the process draws")
    also = param.Selector(default="no", objects=["no", "mapa"], doc="Show MAPA of the drawn points")
    what = param.Selector(default="gap", objects=["gap", "bound"], doc="The bound, or its gap to log p(x)")
    learned = param.String(doc="Trained run shown beside the known decoders")
    run = param.String(doc="Run on images")
    image = param.Integer(default=0, bounds=(0, None), doc="Test image")
    shown = param.Integer(default=10, bounds=(1, 100), doc="Training images shown of each list")
    bandwidth = Checked(SIGMA, check=bandwidth_of, doc="Standard deviation of MAPA's kernel, in the units of x")
    place = Checked(check=place_of, doc="'x1,x2' of a point that is no training point; empty for the training point")
    kernel = Checked(BEST, check=kernel_of, doc="Hyper-parameters of the kernel, 'name=number;...'; 'best'; 'default'")
    address_names: ClassVar[Mapping[str, str]] = {
        "dataset": "set", "size": "N", "place": "x", "draws": "S", "shown": "neighbours",
    }  # fmt: skip
    steps = ("tab", "dataset", "draw", "index", "place", "run", "image")

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise UserError if k, S and N, some of which are new, contradict one another and did not before.

        Also where the noise, which is not one of 0, is too small to compute with.
        """
        if (noise := values.get("noise", 0.0)) and not is_bandwidth(noise):
            raise UserError(f"noise: wanted a number above 0 {BANDWIDTH_RANGE}, got {noise:g}")
        before = {name: getattr(self, name) for name in ("k", "draws", "size")}
        try:
            check_counts(**before)
        except UserError:
            return
        check_counts(**{name: values.get(name, held) for name, held in before.items()})

    def pick(self, index: int) -> None:
        """Show a training point."""
        self.param.update(index=index, place="")
