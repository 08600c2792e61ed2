"""Panes about the quality of approximate posteriors of an image, gaps and reconstructions, and a line about both."""

from __future__ import annotations

import html

import numpy as np

from dashboards.explorer.all_images import rank
from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.lab.words import GAIN_READ, GAPS_READ
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.uncertainty_views import UncertaintyView
from gpvae_core.inspection.views import USUAL, Array, GapView, ReconstructionView, SampleRange
from gpvae_core.plots import gaps, reconstructions
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.pictures import png_address
from gpvae_core.progress import Progress

BOUND = " log p(x) is a lower bound here, and so are the gaps."
PROVISIONAL = " It is provisional: a tighter one is being computed."
NOISE = 0.005
"""Nats below which a gap is shown as zero."""
RECONSTRUCTIONS_READ = (
    "Top: the image decoded from each posterior mean; below: decoded minus input (orange too bright, blue too dark). "
    "Strip:"
)


class RunGaps(ExplorerPane):
    """The gaps of each run's encoder on this image, in nats."""

    name = "gaps"
    title = "Gaps"
    of_both = True
    to_csv = export.GAPS
    depends = ("explorers", "identity", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, GapView]:
        return gap_views(request)

    def draw(self, view: dict[str, GapView], request: ExplorerRequest) -> Content:
        views = tuple(view.values())
        remarks = {
            GAIN_READ: any(gaps.lengths(gap)[2] > NOISE for gap in views),
            BOUND: any(not gap.exact for gap in views),
            PROVISIONAL: any(gap.provisional for gap in views),
        }
        return Content(
            figure=as_json(gaps.figure(views, request.theme)),
            sub=" and ".join(request.names),
            sentence=GAPS_READ + "".join(remark for remark, applies in remarks.items() if applies),
            alt="; ".join(_gaps_alt(gap) for gap in views),
            busy=any(gap.best_diagonal_elbo is None for gap in views),
        )


def gap_views(request: ExplorerRequest) -> dict[str, GapView]:
    """Return the gaps on this image by the name of each run compared."""
    return {run.name: run.explorer.gap_view(run.instance) for run in request.compared}


def _gaps_alt(view: GapView) -> str:
    text = f"{view.run}: log p(x) {view.log_px:.2f}, encoder's ELBO {view.encoder_elbo:.2f} nats"
    approximation, amortization, _ = gaps.parts(view)
    if view.best_diagonal_elbo is not None:
        text += f", approximation gap {approximation:.2f}, amortization gap {amortization:.2f}"
    return text


class Reconstructions(ExplorerPane):
    """Reconstructions from the posterior means and the mode, their errors, and decoded posterior samples."""

    name = "reconstructions"
    title = "Reconstructions"
    to_csv = export.RECONSTRUCTIONS
    depends = ("focal.explorer", "identity", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> ReconstructionView:
        return request.focal.explorer.reconstruction_view(request.focal.instance)

    def draw(self, view: ReconstructionView, request: ExplorerRequest) -> Content:
        name, title = request.focal.name, request.focal.instance.title
        errors = ", ".join(f"{item.name} {item.rmse:.3f}" for item in view.items)
        return Content(
            figure=as_json(reconstructions.figure(view, request.theme)),
            sub=f"{name}, {title}",
            sentence=f"{RECONSTRUCTIONS_READ} {view.samples_note}",
            alt=f"{title} and its reconstructions, root mean squared error: {errors}",
        )


def words(gap: GapView, uncertainty: UncertaintyView | None, tested: SampleRange | None) -> str:
    """Return a sentence on log p(x) and the gaps of one run, in nats, its posterior's modes and its uncertainty.

    Args:
        tested: log p(x) and gaps of test images, beside which those of the image are given; None if not yet known.
    """
    bound = "=" if gap.exact else "≥"
    text = f"log p(x) {bound} {nats(gap.log_px)} nats"
    text += " (provisional: a tighter lower bound is being computed)" if gap.provisional else ""
    text += _range(tested.log_px, 1) if tested else ""
    text += f"; its ELBO is {nats(gap.log_px - gap.encoder_elbo)} nats below it"
    text += _range(tested.gap, 2) if tested else ""
    if gap.best_diagonal_elbo is not None:
        text += _parts_words(gap)
    if gap.modes is not None:
        text += f"; the true posterior has {gap.modes} mode{'s' * (gap.modes != 1)}"
    if uncertainty is not None:
        text += f"; {rank(uncertainty)}"
    return text + "."


def _range(values: Array, digits: int) -> str:
    """Return the range between the percentiles USUAL of the test images, as words in brackets."""
    low, high = (f"{value:.{digits}f}".replace("-", "−") for value in np.percentile(values, USUAL))
    return f" (90 % of {len(values)} test images: {low} to {high})"


def _parts_words(gap: GapView) -> str:
    """Return a clause on the larger part of the inference gap, and on a gain over the best diagonal Gaussian."""
    approximation, amortization, _ = gaps.parts(gap)
    if amortization < -NOISE:
        parts = f"{nats(approximation)} approximation − {nats(-amortization)} gain"
        return f", {nats(-amortization)} nats less than that of the best diagonal Gaussian ({parts})"
    larger = "amortization" if amortization > approximation else "approximation by diagonal Gaussians"
    parts = f"{nats(approximation)} approximation + {nats(abs(amortization))} amortization"
    return f", mostly due to {larger} ({parts})"


def unlike(gap: GapView, tested: SampleRange | None) -> str:
    """Return a warning for an image whose log p(x) is below that of all test images of the run; '' for any other."""
    if tested is None or gap.provisional or gap.log_px >= (lowest := float(tested.log_px.min())):
        return ""
    return (
        f"unlike the data of {gap.run}: its log p(x) of {nats(gap.log_px)} nats is below that of all "
        f"{len(tested.log_px)} test images (lowest: {nats(lowest)} nats), so that its posteriors and gaps are "
        "extrapolations."
    )


def not_known_yet(gap: GapView, tested: SampleRange | None) -> str:
    """Return why it is not known yet whether an image that is no test image is like the data; '' once it is."""
    if tested is None:
        return f"whether it is like the data of {gap.run} is known once the gaps of the test images are computed."
    return f"whether it is like the data of {gap.run} is being computed." if gap.provisional else ""


def verdict(request: ExplorerRequest) -> str:
    """Return the line above the cards as HTML: the image, what is unusual about it, and a sentence about each run."""
    instance, own = request.focal.instance, request.focal.instance.index is None
    views = gap_views(request)
    tested = {run.name: run.explorer.sample_range() for run in request.compared}
    strange = [unlike(view, tested[name]) for name, view in views.items()]
    strange += [not_known_yet(view, tested[name]) for name, view in views.items() if own]
    marks = "".join(f'<br><span class="unlike">{html.escape(words)}</span>' for words in filter(None, strange))
    away = " (your own: the address of this page cannot hold it)" if own else ""
    lines = [f"<b>{html.escape(instance.title)}</b>{away}{marks}"]
    for run in request.compared:
        sentence = words(views[run.name], run.explorer.uncertainty_view(run.instance), tested[run.name])
        lines.append(f"<b>{html.escape(run.name)}</b>: {html.escape(sentence)}")
    picture = png_address(instance.image, 56)
    image = f'<img alt="{html.escape(instance.title)}" src="{picture}" class="chosen">'
    return f"{image}<div>{'<br>'.join(lines)}</div>"
