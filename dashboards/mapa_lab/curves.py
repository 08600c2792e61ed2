"""Cards that take longer: bound and density against S, and what a training step costs."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from dashboards.mapa_lab.choice import Wanted
from dashboards.mapa_lab.pane import at, message, spread
from dashboards.mapa_lab.points import train_command
from dashboards.request import Drawn, as_json
from dashboards.widgets.card import Select
from gpvae_core.csv_text import csv_text
from gpvae_core.explore.mapa_lab.views import BoundView, DensityView, KlView, PassesView
from gpvae_core.plots import bound_curves, density, kl_curves, pass_curves
from gpvae_core.plots.gaps import nats

if TYPE_CHECKING:
    from gpvae_core.progress import Progress

WHAT = (("gap", "how far below log p(x)"), ("bound", "the bound"))
READ = {"gap": "How far the mean bound lies below the exact log p(x)", "bound": "Mean bound on log p(x)"}
PAPER_N = 5000
"""Points with which the paper's Fig. 4-5 agree."""
SWEEP = "gpvae sweep docs/mapa.toml --out sweeps/mapa"


class Bound:
    """The bound of eq. 10 against S."""

    name = "mapa_bound"
    width = bound_curves.WIDTH
    title = "Bound against S"
    tab = "bound"
    slow = True

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.set_key, wanted.settings

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a set.")

    def compute(self, wanted: Wanted, progress: Progress) -> BoundView:
        return wanted.lab.bound(wanted.settings, progress)

    def draw(self, view: BoundView, wanted: Wanted) -> Drawn:
        what = wanted.values["what"]
        return Drawn(
            figure=as_json(bound_curves.figure(view, wanted.theme, what)),
            sub=f"{wanted.lab.name}, {view.points} points, {view.repeats} draws each",
            sentence=f"{READ[what]} under the true decoder and the true latents; bars: one standard error. "
            "MAPA proposes by q(i|n), MAPA-GT by the true index posterior, MAPA-naive evenly. No bound is above the "
            "empiricalized model's log p(x), on average.",
            alt="; ".join(
                f"{c.proposal}, {c.rule}: {nats(c.gap[-1].mean)} nats below at S = {c.draws[-1]:.0f}"
                for c in view.curves
            ),
            selects=(Select("what", "show", WHAT, what),),
        )

    def verdict(self, view: BoundView, wanted: Wanted) -> str:
        s = max(wanted.settings.draws, 1)
        best: dict[str, tuple[float, str]] = {}
        for curve in view.curves:
            j = at(curve.draws, s)
            here = (curve.gap[j].mean, f"{curve.proposal} {spread(curve.gap[j])} ({curve.rule})")
            best[curve.proposal] = min(best.get(curve.proposal, here), here)
        words = "; ".join(text for _, text in best.values())
        nearest = view.curves[0].draws[at(view.curves[0].draws, s)]
        return (
            f"At S = {nearest:.0f} the tightest bounds lie below log p(x) of the empiricalized model by: {words} nats."
        )

    def csv(self, view: BoundView) -> str:
        rows = [
            (c.proposal, c.rule, s, k, b.mean, b.se, g.mean, g.se)
            for c in view.curves
            for s, k, b, g in zip(c.draws, c.k, c.bound, c.gap, strict=True)
        ]
        return csv_text(("proposal", "rule", "S", "k", "bound_nats", "bound_se", "gap_nats", "gap_se"), rows)


class KlAgainstS:
    """Fig. 2-3: test KL against S, from a finished comparison."""

    name = "mapa_kl"
    width = kl_curves.WIDTH
    title = "Test KL against S"
    tab = "bound"
    slow = False

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.lab.name

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a set.")

    def compute(self, wanted: Wanted, progress: Progress) -> KlView | None:
        return wanted.labs.test_kl(wanted.lab.name)

    def draw(self, view: KlView | None, wanted: Wanted) -> Drawn:
        if view is None:
            return message(f"No results of a comparison on {wanted.lab.name} here yet. This makes them: {SWEEP}")
        return Drawn(
            figure=as_json(kl_curves.figure(view, wanted.theme)),
            sub=view.dataset,
            sentence="KL from the true data distribution to the trained model's, on test points; lower is better. "
            f"Means over draws of the data; bars: one standard error. {view.sweep}".strip(),
            alt="; ".join(f"{c.method}: {spread(c.kl[-1])} nats at S = {c.draws[-1]:.0f}" for c in view.curves),
        )

    def verdict(self, view: KlView | None, wanted: Wanted) -> str:
        return ""

    def csv(self, view: KlView | None) -> str:
        curves = view.curves if view is not None else ()
        flat = view.flat if view is not None else ()
        rows = [(c.method, s, kl.mean, kl.se, n) for c in curves for s, kl, n in zip(c.draws, c.kl, c.n, strict=True)]
        return csv_text(
            ("method", "S", "test_kl_nats", "se", "n"), [*rows, *((m, "", v.mean, v.se, "") for m, v in flat)]
        )


class Density:
    """p_model(x) of a trained run beside p_GT(x)."""

    name = "mapa_density"
    width = density.WIDTH
    title = "Density of a trained model"
    tab = "bound"
    slow = True

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.values["learned"] or next(iter(wanted.point_runs), None)

    def missing(self, wanted: Wanted) -> Drawn:
        return message(
            f"No model of {wanted.lab.name} with one latent dimension here yet. This trains one: "
            f"{train_command(wanted, 'vae')}"
        )

    def compute(self, wanted: Wanted, progress: Progress) -> DensityView:
        return wanted.lab.density(wanted.labs.run(str(self.key(wanted))), progress)

    def draw(self, view: DensityView, wanted: Wanted) -> Drawn:
        options = tuple((name, name) for name in wanted.point_runs)
        return Drawn(
            figure=as_json(density.figure(view, wanted.theme)),
            sub=view.name,
            sentence=f"Lines of equal density; points: test points of the run. Test KL {spread(view.test_kl)} nats, "
            f"mean log p(x) {spread(view.test_log_px)} nats (± one standard error over the points).",
            alt=f"Density of {view.name} beside the truth: test KL {spread(view.test_kl)} nats",
            selects=(Select("learned", "run", options, str(self.key(wanted))),),
        )

    def verdict(self, view: DensityView, wanted: Wanted) -> str:
        return ""

    def csv(self, view: DensityView) -> str:
        rows = [
            (x, y, view.log_true[j, i], view.log_model[j, i])
            for j, y in enumerate(view.y)
            for i, x in enumerate(view.x)
        ]
        return csv_text(("x1", "x2", "log_p_true_nats", "log_p_model_nats"), rows)


class Passes:
    """Fig. 4 or 5: network passes of a training step, for each point of the batch."""

    tab = "passes"
    slow = True
    width = pass_curves.WIDTH

    def __init__(self, encoder: bool) -> None:
        self._encoder = encoder
        self.name = "mapa_passes_both" if encoder else "mapa_passes"
        self.title = "Encoder and decoder passes" if encoder else "Decoder passes"

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.set_key, wanted.settings.bandwidth, wanted.settings.seed

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a set.")

    def compute(self, wanted: Wanted, progress: Progress) -> PassesView:
        return wanted.lab.passes(wanted.settings.bandwidth, wanted.settings.seed, progress)

    def draw(self, view: PassesView, wanted: Wanted) -> Drawn:
        return Drawn(
            figure=as_json(pass_curves.figure(view, wanted.theme, encoder=self._encoder)),
            sub=f"{wanted.lab.name}, per point and step, batches of {view.batch}",
            sentence="MAPA decodes a training point once for a whole batch, however many of the batch it serves; IWAE "
            "decodes S samples of its own for each. MAPA max: every "
            "training point decoded once. "
            f"{_at_most(view)}",
            alt="; ".join(
                f"{c.method}: {(c.both if self._encoder else c.decoder)[-1].mean:.3g} at S = {c.draws[-1]:.0f}"
                for c in view.curves
            ),
        )

    def verdict(self, view: PassesView, wanted: Wanted) -> str:
        if self._encoder:
            return ""
        s = min(c.draws[-1] for c in view.curves)
        each = "; ".join(f"{c.method}: {c.decoder[at(c.draws, s)].mean:.3g}" for c in view.curves)
        return (
            f"Decoder passes for each point of a step at S = {s:.0f}, batches of {view.batch} of "
            f"{view.n_total:,}: {each}."
        )

    def csv(self, view: PassesView) -> str:
        rows = [
            (c.method, s, d.mean, d.se, b.mean, b.se)
            for c in view.curves
            for s, d, b in zip(c.draws, c.decoder, c.both, strict=True)
        ]
        return csv_text(("method", "S", "decoder_passes", "decoder_se", "all_passes", "all_se"), rows)


def _at_most(view: PassesView) -> str:
    """Where passes cannot grow further."""
    most = f"With N = {view.n_total:,} a batch of {view.batch} needs at most {view.n_total / view.batch:,.3g} a point"
    return f"{most}; the paper's figures fit N = {PAPER_N:,}, at most {PAPER_N / view.batch:.0f}: set N above."


PANES: tuple[Any, ...] = (Bound(), KlAgainstS(), Density(), Passes(encoder=False), Passes(encoder=True))
