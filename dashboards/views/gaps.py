"""View 6: the gaps."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.request import Drawn, Request, as_json, tables
from gpvae_core.explore import export
from gpvae_core.explore.views import GapView
from gpvae_core.plots import gaps

READ = (
    "How far each encoder's ELBO lies below log p(x). Plain: no diagonal Gaussian comes closer; hatched: what a "
    "Gaussian fitted to this image alone would win back."
)


class Gaps:
    """A stack for each run, in nats."""

    name = "gaps"
    title = "Gaps"
    needs = frozenset({"encodings", "atlas"})

    def key(self, request: Request) -> Hashable:
        return request.names, request.identity, request.theme.name, request.refined

    def draw(self, request: Request) -> Drawn:
        views = gap_views(request)
        bound = " log p(x) is a lower bound here." if any(not v.exact for v in views) else ""
        pending = any(view.best_diagonal_elbo is None for view in views)
        return Drawn(
            figure=as_json(gaps.figure(views, request.theme)),
            sub=" and ".join(request.names),
            sentence=READ + bound,
            alt="; ".join(_alt(view) for view in views),
            pending=pending,
        )

    def csv(self, request: Request) -> str:
        return tables(request, lambda side: export.gaps(side.explorer.gap_view(side.instance)))


def gap_views(request: Request) -> tuple[GapView, ...]:
    """One for each run compared."""
    return tuple(side.explorer.gap_view(side.instance) for side in request.sides)


def _alt(view: GapView) -> str:
    text = f"{view.run}: log p(x) {view.log_px:.2f}, encoder's ELBO {view.encoder_elbo:.2f} nats"
    approximation, amortization, _ = gaps.parts(view)
    if view.best_diagonal_elbo is not None:
        text += f", approximation gap {approximation:.2f}, amortization gap {amortization:.2f}"
    return text
