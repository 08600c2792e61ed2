"""View 2: the GP encoder's uncertainty."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.explorer.state import AGAINST
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import UncertaintyView
from gpvae_core.plots import uncertainty
from gpvae_core.plots.theme import message
from gpvae_core.progress import Progress

NONE = (
    "This run's encoder is a plain network and states no uncertainty of its own. Choose or train one with --method gp "
    "to see it here."
)


class EncoderUncertainty(ExplorerPane):
    """This instance among all: histograms, per dimension, and the scatter against a gap.

    The figure is kept until the data set's part of it changes.
    """

    name = "uncertainty"
    title = "GP uncertainty"
    needs = frozenset({"encodings"})
    to_csv = staticmethod(export.uncertainty)

    def __init__(self) -> None:
        self._kept: tuple[Hashable, str] = (None, "")

    def key(self, request: ExplorerRequest) -> Hashable:
        return request.focal.name, request.identity, request.focal.explorer.ready & {"gaps", "correlations"}

    def compute(self, request: ExplorerRequest, progress: Progress) -> UncertaintyView | None:
        return request.focal.explorer.uncertainty_view(request.focal.instance)

    def draw(self, view: UncertaintyView | None, request: ExplorerRequest) -> Content:
        name, theme, against = request.focal.name, request.theme, request.against
        if view is None:
            empty = message(theme, "no uncertainty stated by this encoder", uncertainty.WIDTH, uncertainty.HEIGHT)
            return Content(as_json(empty), name, NONE, NONE)
        # What the figure holds of the data set; another instance moves shapes alone.
        backdrop = (name, against, theme.name, tuple(view.scatter), view.correlations, uncertainty.limits(view))
        if self._kept[0] != backdrop:
            self._kept = backdrop, as_json(uncertainty.figure(view, theme, against))
        return Content(
            figure=self._kept[1],
            overlay=uncertainty.moving(view, theme, against),
            sub=name,
            sentence=_sentence(view, against),
            alt=f"{request.focal.instance.title}: Tr V[f] {view.trace_f:.3g}, Tr V[h] {view.trace_h:.3g}; {rank(view)}",
            selects=(Select("against", "against", _options(view, against), against),),
        )


def rank(view: UncertaintyView) -> str:
    """Say how sure the encoder is of this image among all."""
    n = len(view.all_trace_f)
    surer = round(view.percentile / 100 * n)
    if surer == 0:
        return "the encoder is surer here than on any test image"
    if surer >= n - 1:
        return "the encoder is less sure here than on any other test image"
    return f"the encoder is less sure here than on {view.percentile:.0f} % of the test images"


def _options(view: UncertaintyView, against: str) -> tuple[tuple[str, str], ...]:
    """Offer what is known for this run, once it is known."""
    known = [name for name in AGAINST if name in view.scatter or name == against] if view.scatter else AGAINST
    return tuple((name, name) for name in known)


def _sentence(view: UncertaintyView, against: str) -> str:
    known = [c for c in view.correlations if c.against == against]
    start = f"Red: this image; {rank(view)}."
    if view.scatter and against not in view.scatter:
        return f"{start} The {against} is not known for this run (it needs two latent dimensions): choose another."
    if not known:
        return f"{start} Once the gaps are known, the scatter tells whether being unsure goes with a larger {against}."
    c = known[0]
    return (
        f"{start} Does being unsure go with a larger {against}? Spearman's ρ = {c.rho:.2f} (95 %: {c.low:.2f} to "
        f"{c.high:.2f}) over {c.n} images: {_verdict(c.low, c.high)}."
    )


def _verdict(low: float, high: float) -> str:
    if low > 0:
        return "it does"
    return "the opposite holds" if high < 0 else "no clear relation"
