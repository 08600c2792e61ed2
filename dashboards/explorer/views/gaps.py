"""View 6: the gaps."""

from __future__ import annotations

from functools import partial

from dashboards.explorer.request import ExplorerPane, ExplorerRequest, tables
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection import export
from gpvae_core.inspection.views import GapView
from gpvae_core.plots import gaps
from gpvae_core.progress import Progress

READ = (
    "How far each encoder's ELBO lies below log p(x). Plain: no diagonal Gaussian comes closer; hatched: what a "
    "Gaussian fitted to this image alone would win back."
)


class RunGaps(ExplorerPane):
    """A stack for each run, in nats."""

    name = "gaps"
    title = "Gaps"
    to_csv = staticmethod(partial(tables, export.gaps))
    depends = ("names", "identity", "refined")

    def compute(self, request: ExplorerRequest, progress: Progress) -> dict[str, GapView]:
        return gap_views(request)

    def draw(self, view: dict[str, GapView], request: ExplorerRequest) -> Content:
        views = tuple(view.values())
        bound = " log p(x) is a lower bound here." if any(not v.exact for v in views) else ""
        return Content(
            figure=as_json(gaps.figure(views, request.theme)),
            sub=" and ".join(request.names),
            sentence=READ + bound,
            alt="; ".join(_alt(one) for one in views),
            busy=any(one.best_diagonal_elbo is None for one in views),
        )


def gap_views(request: ExplorerRequest) -> dict[str, GapView]:
    """Return the gaps of this image for each run compared, by its name."""
    return {side.name: side.explorer.gap_view(side.instance) for side in request.sides}


def _alt(view: GapView) -> str:
    text = f"{view.run}: log p(x) {view.log_px:.2f}, encoder's ELBO {view.encoder_elbo:.2f} nats"
    approximation, amortization, _ = gaps.parts(view)
    if view.best_diagonal_elbo is not None:
        text += f", approximation gap {approximation:.2f}, amortization gap {amortization:.2f}"
    return text
