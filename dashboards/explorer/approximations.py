"""Panes about the quality of approximate posteriors of an image, gaps and reconstructions, and a line about both."""

from __future__ import annotations

import html

from dashboards.explorer.all_images import rank
from dashboards.explorer.request import ExplorerPane, ExplorerRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import GapView, ReconstructionView, UncertaintyView
from gpvae_core.plots import gaps, reconstructions
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.pictures import png_address
from gpvae_core.progress import Progress

GAPS_READ = (
    "How far each encoder's ELBO lies below log p(x). Plain: no diagonal Gaussian comes closer; hatched: what a "
    "Gaussian fitted to this image alone would gain."
)
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
    depends = ("names", "identity", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, GapView]:
        return gap_views(request)

    def draw(self, view: dict[str, GapView], request: ExplorerRequest) -> Content:
        views = tuple(view.values())
        bound = " log p(x) is a lower bound here." if any(not gap.exact for gap in views) else ""
        return Content(
            figure=as_json(gaps.figure(views, request.theme)),
            sub=" and ".join(request.names),
            sentence=GAPS_READ + bound,
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
    depends = ("focal.name", "identity", "refined")

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


def words(gap: GapView, uncertainty: UncertaintyView | None) -> str:
    """Return a sentence about the gaps of one run, in nats, its posterior's modes and its encoder's uncertainty."""
    total = gap.log_px - gap.encoder_elbo
    text = f"its ELBO is {nats(total)} nats below log p(x)"
    if gap.best_diagonal_elbo is not None:
        approximation, amortization, _ = gaps.parts(gap)
        larger = "amortization" if amortization > approximation else "the Gaussian family"
        parts = f"{nats(approximation)} approximation + {nats(amortization)} amortization"
        text += f", mostly due to {larger} ({parts})"
    if gap.modes is not None:
        text += f"; the true posterior has {gap.modes} mode{'s' * (gap.modes != 1)}"
    if uncertainty is not None:
        text += f"; {rank(uncertainty)}"
    return text + "."


def verdict(request: ExplorerRequest) -> str:
    """Return the line above the cards as HTML: the image, its title, and a sentence about each run."""
    instance = request.focal.instance
    own = "" if instance.index is not None else " (your own: the address of this page cannot hold it)"
    lines = [f"<b>{html.escape(instance.title)}</b>{own}"]
    views = gap_views(request)
    for run in request.compared:
        sentence = words(views[run.name], run.explorer.uncertainty_view(run.instance))
        lines.append(f"<b>{html.escape(run.name)}</b>: {html.escape(sentence)}")
    picture = png_address(instance.image, 56)
    image = f'<img alt="{html.escape(instance.title)}" src="{picture}" class="chosen">'
    return f"{image}<div>{'<br>'.join(lines)}</div>"
