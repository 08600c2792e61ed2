"""Panes about a set of points, which need no trained model: traces, plane, generative process, variants."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from dashboards.lab.pane import one_file
from dashboards.lab.words import MAPA, mapa_rating, mapa_words
from dashboards.mapa_lab.request import MapaLabPane, MapaLabRequest
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection.mapa_lab import export
from gpvae_core.inspection.mapa_lab.views import (
    GAP_DRAWS,
    PlaneView,
    PointComparison,
    ProcessView,
    TraceView,
    VariantsView,
)
from gpvae_core.inspection.views import IndexComparison, Value
from gpvae_core.plots import generative_process, mapa_plane, mapa_traces, variants
from gpvae_core.plots.gaps import nats
from gpvae_core.progress import Progress

TRACES, PLANE = 525, 410
"""Widths in pixels: both fit side by side into a window of 1024."""
COLOURS = (("z", "true z"), ("q", "log q(i|n)"))
EXAMPLES = (("paper", "paper's Fig. 1"), ("set", "the chosen set"))
MAPA_SHOWN = (("no", "no"), ("mapa", "yes"))


def count(number: float) -> str:
    """Return a number such as 1,234 in whole digits, below 10 with one decimal."""
    return f"{number:.1f}" if number < 9.95 else f"{number:,.0f}"


def spread(value: Value) -> str:
    """Return mean ± standard error, or the mean alone where there is no standard error."""
    return nats(round(value.mean, 2) + 0.0) + (f" ± {value.se:.2f}" if value.se is not None else "")


def bound_words(numbers: PointComparison, head: int, drawn: int) -> str:
    """Return sentences on log p(x) and the bound's gap, its mean and that of the draw shown, which may be negative."""
    below, gap = numbers.log_px_empirical - numbers.bound, numbers.gap
    mean = f"{spread(replace(gap, mean=abs(gap.mean)))} nats {'below' if gap.mean >= -1e-9 else 'above'}"
    return (
        f"log p(x) of this point is {nats(numbers.log_px_empirical)} nats under the empiricalized model, and "
        f"{nats(numbers.log_px)} nats under the model itself. MAPA's bound on the former sums over these {head} points "
        f"and {drawn} drawn ones: with those shown it is {nats(abs(below))} nats {'below' if below >= 0 else 'above'} "
        f"it, on average over {GAP_DRAWS} draws {mean}. In expectation it is never above that log p(x)."
    )


def effective_words(numbers: IndexComparison, n: int, what: str) -> str:
    """Return a sentence on the effective number of training points or images under the model and under MAPA."""
    return (
        f"The effective number of training {what}, exp(entropy), is {count(numbers.effective)} of {n:,} under the "
        f"empiricalized model and {count(numbers.effective_mapa)} under MAPA."
    )


class PointPane(MapaLabPane):
    """A card about one point."""

    tab = "posterior"
    depends = ("set_key", "place_key", "chosen.index", "settings")


class PointTraces(PointPane):
    """The three log posteriors of appendix D.3 of one point, against the true latent."""

    name = "mapa_traces"
    width = TRACES
    title = "Log posterior of the chosen point"
    to_csv = one_file(export.traces)

    def compute(self, request: MapaLabRequest, progress: Progress) -> TraceView:
        return request.lab.traces(request.chosen, request.settings)

    def draw(self, view: TraceView, request: MapaLabRequest) -> Content:
        return Content(
            figure=as_json(mapa_traces.figure(view, request.theme).update_layout(width=self.width)),
            sub=request.chosen.title,
            sentence="Line: true posterior of the model that made the points. Dots: that model's index posterior at "
            "each training point, log(N p(i|n)) + log p(z_i). Diamonds: MAPA's log(N q(i|n)) + log p(z_i), from "
            "distances between points alone; filled, the k most probable; ringed, those drawn. Click to choose one.",
            alt=f"Log posterior of {request.chosen.title}: KL(empiricalized ‖ MAPA) is {nats(view.numbers.kl)} nats; "
            f"the bound is {nats(view.numbers.bound)} nats",
            picks=True,
            chosen=request.chosen.index,
        )

    def aside(self, view: TraceView, request: MapaLabRequest) -> str:
        n, settings = view.numbers, request.settings
        return (
            f"{MAPA}: {mapa_words(n.kl, n.kl_uniform, 'training points')} {effective_words(n, n.n, 'points')} MAPA's "
            f"{settings.k} most probable points hold {n.head_mass:.0%} of its mass and {n.head_mass_true:.0%} of that "
            f"of the empiricalized posterior. {bound_words(n, settings.k, settings.draws)}"
        )


class PointPlane(PointPane):
    """The points in the plane, the chosen one and its neighbours."""

    name = "mapa_plane"
    width = PLANE
    title = "The points"
    to_csv = one_file(export.plane)

    def compute(self, request: MapaLabRequest, progress: Progress) -> PlaneView:
        return request.lab.plane(request.chosen, request.settings)

    def draw(self, view: PlaneView, request: MapaLabRequest) -> Content:
        colour = request.values["colour"]
        return Content(
            figure=as_json(mapa_plane.figure(view, request.theme, colour).update_layout(width=self.width)),
            sub=f"{request.lab.name}, N = {request.lab.size:,}",
            sentence="Lines: the density p(x) of the data. Click a point to choose it; where points overlap, enter the "
            "number of one, or any x₁, x₂, in the field Point.",
            alt=f"{request.lab.size:,} points of {request.lab.name} with {request.chosen.title} and its "
            f"{len(view.head)} most probable neighbours",
            selects=(Select("colour", "colour", COLOURS, colour),),
            picks=True,
            chosen=request.chosen.index,
        )


class GenerativeProcess(MapaLabPane):
    """The generative process of a few points and the posterior of each one's latent, as in Fig. 1."""

    name = "mapa_process"
    width = 2 * generative_process.WIDTH
    title = "Generative process and posteriors"
    tab = "process"
    to_csv = one_file(export.processes)

    def subject(self, request: MapaLabRequest) -> str:
        paper = "the functions of Fig. 1 of Yacoby et al. (2024)"
        return paper if request.values["example"] == "paper" else super().subject(request)

    def key(self, request: MapaLabRequest) -> Hashable:
        values = request.values
        whose = "paper" if values["example"] == "paper" else (request.set_key, values["coordinate"])
        return whose, values["seed"], values["points"], values["noise"]

    def compute(self, request: MapaLabRequest, progress: Progress) -> tuple[ProcessView, ...]:
        from gpvae_core.inspection.mapa_lab.process import paper_processes

        values = request.values
        drawn = {"seed": values["seed"], "draws": values["points"], "noise": values["noise"] or request.own_noise}
        if values["example"] == "paper":
            return paper_processes(**drawn)
        return (request.lab.process(int(values["coordinate"]) - 1, **drawn),)

    def draw(self, view: tuple[ProcessView, ...], request: MapaLabRequest) -> Content:
        values = request.values
        coordinate = Select("coordinate", "against", (("1", "x₁"), ("2", "x₂")), values["coordinate"])
        return Content(
            figure=as_json(generative_process.figure(view, request.theme, mapa=values["also"] == "mapa")),
            sub=f"noise {view[0].sigma:.3g} (data units), seed {values['seed']}",
            sentence="Above: the joint density p(x, z) with each z_i, f(z_i), the noise ε_i and the resulting x_i; "
            "beside it p(x). Below: the posterior p(z|x_i) of each of them.",
            alt="; ".join(_pairs(process) for process in view),
            selects=(
                Select("example", "of", EXAMPLES, values["example"]),
                *((coordinate,) if values["example"] == "set" else ()),
                Select("also", "with MAPA", MAPA_SHOWN, values["also"]),
            ),
        )

    def aside(self, view: tuple[ProcessView, ...], request: MapaLabRequest) -> str:
        n = len(view[0].observed)
        if n < 2:
            return "With two or more points, the posterior of each is compared with those of the others."
        off = float(np.mean([np.abs(process.mapa - process.empirical).sum(1).mean() / 2 for process in view]))
        same = " Both functions give the same p(x), and MAPA, which sees x alone, is the same for both."
        return (
            f"Near points have high probability under one another's index posteriors, distant points low: "
            f"{_pairs(view[0])}. The total variation distance of MAPA from the model's index posterior, mean of the "
            f"{n} points, is {off:.0%}." + (same if len(view) > 1 else "")
        )


def _pairs(view: ProcessView) -> str:
    """Describe the nearest and the farthest pair of drawn points, with the index posterior of one given the other."""
    x = view.observed
    if len(x) < 2:
        return f"{view.title}: one point"
    i, j = np.triu_indices(len(x), 1)
    distance = np.abs(x[i] - x[j])
    return "; ".join(
        f"the {what}, {i[pair] + 1} and {j[pair] + 1}, with index posterior {view.empirical[i[pair], j[pair]]:.2f}"
        for what, pair in (("nearest", distance.argmin()), ("farthest", distance.argmax()))
    )


class DecoderVariants(PointPane):
    """The same points under several decoders (appendix D.4); MAPA is computed once."""

    name = "mapa_variants"
    width = 2 * variants.WIDTH
    title = "Several decoders of the same points"
    tab = "variants"
    to_csv = one_file(export.variants)

    def key(self, request: MapaLabRequest) -> Hashable:
        name = request.values["learned"]
        return super().key(request), name and (name, request.labs.library.weights(name))

    def compute(self, request: MapaLabRequest, progress: Progress) -> VariantsView:
        name = request.values["learned"]
        learned = request.labs.library.run(name) if name else None
        return request.lab.variants(request.chosen, request.settings, learned=learned, progress=progress)

    def draw(self, view: VariantsView, request: MapaLabRequest) -> Content:
        options = (("", "none"), *((name, request.labs.library.label(name)) for name in request.point_runs))
        commands = () if request.point_runs else (train_command(request),)
        return Content(
            figure=as_json(variants.figure(view, request.theme)),
            sub=request.chosen.title,
            sentence=f"{view.note} Above: the decoded f(z) against z. Below: the log posterior of the same x under "
            f"each model; marks as in the tab Posterior.{' This trains one as well:' * len(commands)}",
            commands=commands,
            alt="; ".join(f"{v.name}: KL(empiricalized ‖ MAPA) {nats(v.trace.numbers.kl)} nats" for v in view.variants),
            selects=(Select("learned", "learned variant", options, request.values["learned"]),),
            picks=True,
            chosen=request.chosen.index,
        )

    def aside(self, view: VariantsView, request: MapaLabRequest) -> str:
        numbers = [(v.name, v.trace.numbers) for v in view.variants]
        each = [
            f"{name}: {nats(n.kl)} nats (uniform distribution: {nats(n.kl_uniform)} nats), approximated "
            f"{mapa_rating(n.kl, n.kl_uniform)}"
            for name, n in numbers
        ]
        return f"KL(empiricalized ‖ MAPA), of the same MAPA for each model: {'; '.join(each)}. {view.note}"


def train_command(request: MapaLabRequest) -> str:
    """Return the command that trains a model of the chosen points."""
    name, draw = request.lab.name, request.lab.draw
    seed = f" --set data.split_seed={draw}" if draw else ""
    return f"gpvae train --method vae --dataset {name}{seed} --out runs/{name}-vae"


PANES: tuple[MapaLabPane, ...] = (PointTraces(), PointPlane(), GenerativeProcess(), DecoderVariants())
