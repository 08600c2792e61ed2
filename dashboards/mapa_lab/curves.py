"""Panes of curves against S: the bound, the test KL, and the network passes of a training step; and a density."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from dashboards.lab.pane import one_file
from dashboards.mapa_lab.points import spread, train_command
from dashboards.mapa_lab.request import MapaLabPane, MapaLabRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection.mapa_lab import export
from gpvae_core.inspection.mapa_lab.curve_views import BoundView, KlView, PassesView
from gpvae_core.inspection.mapa_lab.views import DensityView
from gpvae_core.inspection.views import Array
from gpvae_core.plots import bound_curves, density, kl_curves, pass_curves
from gpvae_core.plots.gaps import nats
from gpvae_core.progress import Progress

BOUND_QUANTITIES = (("gap", "how far below log p(x)"), ("bound", "the bound"))
READ = {"gap": "How far the mean bound lies below the exact log p(x)", "bound": "Mean bound on log p(x)"}
PAPER_N = 5000
"""Number of training points with which the paper's Fig. 4-5 agree."""
SWEEP = "gpvae sweep docs/mapa.toml --out sweeps/mapa"


class BoundCurves(MapaLabPane):
    """The bound of eq. 10 against S, for each proposal and each rule."""

    name = "mapa_bound"
    width = bound_curves.WIDTH
    title = "Bound against S"
    tab = "bound"
    in_job = True
    to_csv = one_file(export.bound)
    depends = ("set_key", "settings")

    def compute(self, request: MapaLabRequest, progress: Progress) -> BoundView:
        return request.lab.bound(request.settings, progress)

    def draw(self, view: BoundView, request: MapaLabRequest) -> Content:
        what = request.values["what"]
        return Content(
            figure=as_json(bound_curves.figure(view, request.theme, what)),
            sub=f"{request.lab.name}, {view.points} points, {view.repeats} draws each",
            sentence=f"{READ[what]} under the true decoder and the true latents; bars: one standard error. "
            "The proposal is q(i|n) for MAPA, the true index posterior for MAPA-GT, uniform for MAPA-naive. In "
            "expectation no bound exceeds the empiricalized model's log p(x).",
            alt="; ".join(
                f"{c.method}, {c.rule}: {nats(c.gap[-1].mean)} nats below at S = {c.draws[-1]:.0f}" for c in view.curves
            ),
            selects=(Select("what", "show", BOUND_QUANTITIES, what),),
        )

    def aside(self, view: BoundView, request: MapaLabRequest) -> str:
        draws = max(request.settings.draws, 1)
        best: dict[str, tuple[float, str]] = {}
        for curve in view.curves:
            gap = curve.gap[nearest(curve.draws, draws)]
            here = (gap.mean, f"{curve.method} {spread(gap)} ({curve.rule})")
            best[curve.method] = min(best.get(curve.method, here), here)
        words = "; ".join(text for _, text in best.values())
        first = view.curves[0].draws
        return (
            f"At S = {first[nearest(first, draws)]:.0f} the tightest bounds lie below log p(x) of the empiricalized "
            f"model by: {words} nats."
        )


def nearest(draws: Array, s: float) -> int:
    """Return the position in `draws` of the number that is nearest to S."""
    return int(np.abs(draws - s).argmin())


class KlCurves(MapaLabPane):
    """The test KL against S from a finished comparison, as in Fig. 2-3."""

    name = "mapa_kl"
    width = kl_curves.WIDTH
    title = "Test KL against S"
    tab = "bound"
    to_csv = one_file(export.test_kl)
    depends = ("lab.name",)

    def compute(self, request: MapaLabRequest, progress: Progress) -> KlView | None:
        return request.labs.test_kl(request.lab.name)

    def draw(self, view: KlView | None, request: MapaLabRequest) -> Content:
        if view is None:
            missing = f"No results of a comparison on {request.lab.name} here yet. This makes them:"
            return Content(message=missing, commands=(SWEEP,))
        return Content(
            figure=as_json(kl_curves.figure(view, request.theme)),
            sub=view.dataset,
            sentence="KL from the true data distribution to the trained model's, on test points; lower is better. "
            f"Means over draws of the data; bars: one standard error. {view.sweep}".strip(),
            alt="; ".join(f"{c.method}: {spread(c.kl[-1])} nats at S = {c.draws[-1]:.0f}" for c in view.curves),
        )


class ModelDensity(MapaLabPane):
    """The density p(x) of a trained run beside the true one."""

    name = "mapa_density"
    width = density.WIDTH
    title = "Density of a trained model"
    tab = "bound"
    in_job = True
    to_csv = one_file(export.density)

    def key(self, request: MapaLabRequest) -> Hashable:
        name = request.density_of
        return (name, request.labs.library.weights(name)) if name else None

    def missing(self, request: MapaLabRequest) -> Content:
        missing = f"No model of {request.lab.name} with one latent dimension here yet."
        return Content(message=f"{missing} This trains one:", commands=(train_command(request),))

    def compute(self, request: MapaLabRequest, progress: Progress) -> DensityView:
        return request.lab.density(request.labs.library.run(request.density_of), progress)

    def draw(self, view: DensityView, request: MapaLabRequest) -> Content:
        options = tuple((name, request.labs.library.label(name)) for name in request.point_runs)
        failed = f" The KL leaves out {view.failed} points at which the quadrature failed its checks."
        return Content(
            figure=as_json(density.figure(view, request.theme)),
            sub=view.name,
            sentence=f"Lines of equal density; points: test points of the run. Test KL {spread(view.test_kl)} nats, "
            f"mean log p(x) {spread(view.test_log_px)} nats (± one standard error over the points)."
            + (failed if view.failed else ""),
            alt=f"Density of {view.name} beside the truth: test KL {spread(view.test_kl)} nats",
            selects=(Select("learned", "run", options, request.density_of),),
        )


class PassCurves(MapaLabPane):
    """The network passes of a training step per point of the batch, against S, as in Fig. 4 or 5."""

    tab = "passes"
    in_job = True
    width = pass_curves.WIDTH
    depends = ("set_key", "settings.bandwidth", "settings.seed")
    to_csv = one_file(export.passes)

    def __init__(self, encoder: bool) -> None:
        self._encoder = encoder
        self.name = "mapa_passes_both" if encoder else "mapa_passes"
        self.title = "Encoder and decoder passes" if encoder else "Decoder passes"

    def compute(self, request: MapaLabRequest, progress: Progress) -> PassesView:
        return request.lab.passes(request.settings.bandwidth, request.settings.seed, progress)

    def draw(self, view: PassesView, request: MapaLabRequest) -> Content:
        return Content(
            figure=as_json(pass_curves.figure(view, request.theme, encoder=self._encoder)),
            sub=f"{request.lab.name}, per point and step, batches of {view.batch}",
            sentence="MAPA decodes a training point once for a whole batch, however many of the batch it serves; IWAE "
            "decodes S samples of its own for each. MAPA max: every training point decoded once. With "
            f"N = {view.n_total:,} a batch of {view.batch} needs at most {view.n_total / view.batch:,.3g} a point; the "
            f"paper's figures fit N = {PAPER_N:,}, at most {PAPER_N / view.batch:.0f}: set N above.",
            alt="; ".join(
                f"{c.method}: {(c.both if self._encoder else c.decoder)[-1].mean:.3g} at S = {c.draws[-1]:.0f}"
                for c in view.curves
            ),
        )

    def aside(self, view: PassesView, request: MapaLabRequest) -> str:
        if self._encoder:
            return ""
        s = min(c.draws[-1] for c in view.curves)
        each = "; ".join(f"{c.method}: {c.decoder[nearest(c.draws, s)].mean:.3g}" for c in view.curves)
        return (
            f"Decoder passes for each point of a step at S = {s:.0f}, batches of {view.batch} of "
            f"{view.n_total:,}: {each}."
        )


PANES: tuple[MapaLabPane, ...] = (
    BoundCurves(), KlCurves(), ModelDensity(), PassCurves(encoder=False), PassCurves(encoder=True),
)  # fmt: skip
