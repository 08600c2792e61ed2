"""The answer in one line: can the encoder be trusted on this image?"""

from __future__ import annotations

import html

from dashboards.explorer.request import ExplorerRequest
from dashboards.explorer.views.gaps import gap_views
from dashboards.explorer.views.uncertainty import rank
from gpvae_core.inspection.views import GapView, UncertaintyView
from gpvae_core.plots.gaps import nats, parts
from gpvae_core.plots.pictures import png_address


def words(gap: GapView, uncertainty: UncertaintyView | None) -> str:
    """Return one or two sentences about one run; the numbers are in nats."""
    total = gap.log_px - gap.encoder_elbo
    text = f"its answer loses {nats(total)} nats of log p(x)"
    if gap.best_diagonal_elbo is not None:
        approximation, amortization, _ = parts(gap)
        larger = "amortization" if amortization > approximation else "the Gaussian family"
        text += f", mostly to {larger} ({nats(approximation)} approximation + {nats(amortization)} amortization)"
    if gap.modes is not None:
        text += f"; the true posterior has {gap.modes} mode{'s' * (gap.modes != 1)}"
    if uncertainty is not None:
        text += f"; {rank(uncertainty)}"
    return text + "."


def verdict(request: ExplorerRequest) -> str:
    """Return the line as HTML: picture, which image, and what each run's encoder makes of it."""
    instance = request.focal.instance
    own = "" if instance.index is not None else " (your own: the address of this page cannot hold it)"
    lines = [f"<b>{html.escape(instance.title)}</b>{own}"]
    gaps = gap_views(request)
    for side in request.sides:
        said = words(gaps[side.name], side.explorer.uncertainty_view(side.instance))
        lines.append(f"<b>{html.escape(side.name)}</b>: {html.escape(said)}")
    picture = png_address(instance.image, 56)
    image = f'<img alt="{html.escape(instance.title)}" src="{picture}" class="chosen">'
    return f'<div class="verdict" role="status">{image}<div>{"<br>".join(lines)}</div></div>'
