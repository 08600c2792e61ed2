"""Cards over a set of points with nothing trained: traces, plane, generative process, variants."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from dashboards.mapa_lab.choice import Wanted
from dashboards.mapa_lab.pane import count, message, spread
from dashboards.request import Drawn, as_json
from dashboards.widgets.card import Select
from gpvae_core.csv_text import csv_text
from gpvae_core.explore.mapa_lab.views import GAP_DRAWS, Numbers, PlaneView, ProcessView, TraceView, VariantsView
from gpvae_core.plots import generative_process, mapa_plane, mapa_traces, variants
from gpvae_core.plots.gaps import nats

if TYPE_CHECKING:
    from gpvae_core.progress import Progress

TRACES, PLANE = 525, 410
"""Pixels: both stand side by side in a window of 1024."""
CLOSELY, ROUGHLY = 0.1, 0.5
"""Shares of what knowing nothing costs, up to which MAPA is said to trace a posterior closely, and roughly."""
COLOURS = (("z", "true z"), ("q", "log q(i|n)"))
EXAMPLES = (("paper", "paper's Fig. 1"), ("set", "the chosen set"))
ALSO = (("no", "no"), ("mapa", "yes"))


def how(numbers: Numbers) -> str:
    """How well MAPA does, in a word."""
    share = numbers.kl / max(numbers.kl_uniform, 1e-12)
    names = ((CLOSELY, "closely"), (ROUGHLY, "roughly"), (1.0, "poorly"))
    return next((name for most, name in names if share <= most), "worse than knowing nothing")


def apart(difference: float) -> str:
    """Where one draw of the bound lies; with few draws S it may lie above."""
    return f"{nats(abs(difference))} {'below' if difference >= 0 else 'above'}"


def bound_words(numbers: Numbers) -> str:
    """Where the bound lies on average, and how far by chance the draw that is shown is from there."""
    mean = f"{spread(numbers.gap)} nats below" if numbers.gap.mean >= -1e-9 else "no more than by chance above"
    return (
        f"the bound lies, on average over {GAP_DRAWS} draws, {mean} the empiricalized model's log p(x) of "
        f"{nats(numbers.log_px_empirical)} (the model itself: {nats(numbers.log_px)}); the draw shown, by chance, "
        f"{apart(numbers.log_px_empirical - numbers.bound)}"
    )


class _OfPoint:
    """What the cards of one point share."""

    slow = False

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.set_key, wanted.place_key, wanted.chosen.index, wanted.settings

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a point.")


class Traces(_OfPoint):
    """D.3: three log posteriors against the true latent."""

    name = "mapa_traces"
    width = TRACES
    title = "Log posterior of the chosen point"
    tab = "posterior"

    def compute(self, wanted: Wanted, progress: Progress) -> TraceView:
        return wanted.lab.traces(wanted.chosen, wanted.settings)

    def draw(self, view: TraceView, wanted: Wanted) -> Drawn:
        return Drawn(
            figure=as_json(mapa_traces.figure(view, wanted.theme).update_layout(width=self.width)),
            sub=wanted.chosen.title,
            sentence="Line: true posterior of the model that made the points. Dots: what that model says of each "
            "training point, log(N p(i|n)) + log p(z_i). Diamonds: MAPA's log(N q(i|n)) + log p(z_i), from distances "
            "between points alone; filled, the k most probable; ringed, those drawn. A click looks at that point.",
            alt=f"Log posterior of {wanted.chosen.title}: MAPA is {nats(view.numbers.kl)} nats from the true index "
            f"posterior; the bound is {nats(view.numbers.bound)} nats",
            picks=True,
        )

    def verdict(self, view: TraceView, wanted: Wanted) -> str:
        n, settings = view.numbers, wanted.settings
        return (
            f"MAPA traces this posterior {how(n)}: {nats(n.kl)} nats from the true index posterior, where knowing "
            f"nothing would cost {nats(n.kl_uniform)}. {count(n.effective)} of {n.n:,} points matter in truth, "
            f"{count(n.effective_mapa)} to MAPA. Its {settings.k} most probable hold {n.head_mass:.0%} of its own and "
            f"{n.head_mass_true:.0%} of the true probability; with them and {settings.draws} drawn, "
            f"{bound_words(n)}."
        )

    def csv(self, view: TraceView) -> str:
        head, drawn = set(view.head.tolist()), set(view.drawn.tolist())
        rows = [
            (i, z, e, m, i in head, i in drawn)
            for i, (z, e, m) in enumerate(zip(view.z, view.empirical, view.mapa, strict=True))
        ]
        return csv_text(("point", "z", "empiricalized_nats", "mapa_nats", "among_k", "drawn"), rows)


class Plane(_OfPoint):
    """The points in the plane, the chosen one and its neighbours."""

    name = "mapa_plane"
    width = PLANE
    title = "The points"
    tab = "posterior"

    def compute(self, wanted: Wanted, progress: Progress) -> PlaneView:
        return wanted.lab.plane(wanted.chosen, wanted.settings)

    def draw(self, view: PlaneView, wanted: Wanted) -> Drawn:
        colour = wanted.values["colour"]
        return Drawn(
            figure=as_json(mapa_plane.figure(view, wanted.theme, colour).update_layout(width=self.width)),
            sub=f"{wanted.lab.name}, N = {wanted.lab.size:,}",
            sentence="Click a point to choose it; lines: the density of the data. Some clicks take a neighbour: type "
            "its number, or any x₁, x₂, above.",
            alt=f"{wanted.lab.size:,} points of {wanted.lab.name} with {wanted.chosen.title} and its "
            f"{len(view.head)} most probable neighbours",
            selects=(Select("colour", "colour", COLOURS, colour),),
            picks=True,
        )

    def verdict(self, view: PlaneView, wanted: Wanted) -> str:
        return ""

    def csv(self, view: PlaneView) -> str:
        rows = [(i, *x, z, q) for i, (x, z, q) in enumerate(zip(view.points, view.z, view.log_q, strict=True))]
        return csv_text(("point", "x1", "x2", "z", "log_q_nats"), rows)


class Process:
    """Fig. 1: how points come about, and what each says of its latent."""

    name = "mapa_process"
    width = 2 * generative_process.WIDTH
    title = "How points come about, and what each says of its latent"
    tab = "process"
    slow = False

    def key(self, wanted: Wanted) -> Hashable:
        v = wanted.values
        of = "paper" if v["example"] == "paper" else (wanted.set_key, v["coordinate"])
        return of, v["seed"], v["points"], v["noise"]

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a generative process.")

    def compute(self, wanted: Wanted, progress: Progress) -> tuple[ProcessView, ...]:
        from gpvae_core.explore.mapa_lab.process import PAPER_SIGMA, paper_processes

        v = wanted.values
        if v["example"] == "paper":
            return paper_processes(seed=v["seed"], draws=v["points"], noise=v["noise"] or PAPER_SIGMA)
        return (
            wanted.lab.process(
                coordinate=int(v["coordinate"]) - 1, seed=v["seed"], draws=v["points"], noise=v["noise"] or None
            ),
        )

    def draw(self, view: tuple[ProcessView, ...], wanted: Wanted) -> Drawn:
        v = wanted.values
        of_set = (Select("coordinate", "against", (("1", "x₁"), ("2", "x₂")), v["coordinate"]),)
        return Drawn(
            figure=as_json(generative_process.figure(view, wanted.theme, mapa=v["also"] == "mapa")),
            sub=f"noise {view[0].sigma:.3g} (data units), seed {v['seed']}",
            sentence="Above: the joint density p(x, z) with each z_i, f(z_i), the noise ε_i and the resulting x_i; "
            "beside it p(x). Below: the posterior p(z|x_i) of each of them.",
            alt="; ".join(_pairs(one) for one in view),
            selects=(
                Select("example", "of", EXAMPLES, v["example"]),
                *(of_set if v["example"] == "set" else ()),
                Select("also", "with MAPA", ALSO, v["also"]),
            ),
        )

    def verdict(self, view: tuple[ProcessView, ...], wanted: Wanted) -> str:
        n = len(view[0].observed)
        if n < 2:
            return "Draw two points or more to see what they say of each other."
        off = float(np.mean([np.abs(one.mapa - one.empirical).sum(1).mean() / 2 for one in view]))
        same = " Both functions give the same p(x), and MAPA, which sees x alone, is the same for both."
        return (
            f"Near points score high under each other's posteriors, distant ones do not: {_pairs(view[0])}. Over "
            f"these {n} points MAPA puts {off:.0%} of its probability where the model's index posterior would not."
            + (same if len(view) > 1 else "")
        )

    def csv(self, view: tuple[ProcessView, ...]) -> str:
        rows = [
            (one.title, i + 1, z, f, e, x)
            for one in view
            for i, (z, f, e, x) in enumerate(zip(one.latents, one.means, one.noise, one.observed, strict=True))
        ]
        return csv_text(("function", "point", "z", "f", "epsilon", "x"), rows)


def _pairs(view: ProcessView) -> str:
    """The nearest and the farthest two of the drawn points, and the first's p(i|n) of the second."""
    x = view.observed
    if len(x) < 2:
        return f"{view.title}: one point"
    apart_by = np.abs(x[:, None] - x) + np.where(np.eye(len(x)), np.nan, 0.0)
    words = []
    for what, flat in (("nearest", np.nanargmin(apart_by)), ("farthest", np.nanargmax(apart_by))):
        i, j = np.unravel_index(int(flat), apart_by.shape)
        words.append(
            f"the {what}, {min(i, j) + 1} and {max(i, j) + 1}, with index posterior {view.empirical[i, j]:.2f}"
        )
    return "; ".join(words)


class Variants:
    """D.4: the same points under several decoders; MAPA is computed once."""

    name = "mapa_variants"
    width = 2 * variants.WIDTH
    title = "Several decoders of the same points"
    tab = "variants"
    slow = False

    def key(self, wanted: Wanted) -> Hashable:
        return wanted.set_key, wanted.place_key, wanted.chosen.index, wanted.settings, wanted.values["learned"]

    def missing(self, wanted: Wanted) -> Drawn:
        return message("Choose a point.")

    def compute(self, wanted: Wanted, progress: Progress) -> VariantsView:
        name = wanted.values["learned"]
        learned = wanted.labs.run(name) if name else None
        return wanted.lab.variants(wanted.chosen, wanted.settings, learned=learned, progress=progress)

    def draw(self, view: VariantsView, wanted: Wanted) -> Drawn:
        options = (("", "none"), *((name, name) for name in wanted.point_runs))
        train = "" if wanted.point_runs else f" A trained one: {train_command(wanted, 'vae')}"
        return Drawn(
            figure=as_json(variants.figure(view, wanted.theme)),
            sub=wanted.chosen.title,
            sentence=f"{view.note} Above: what each decoder makes of z, through the points. Below: the posterior of "
            f"the same x under each; marks as in the first tab, MAPA computed once.{train}",
            alt="; ".join(f"{v.name}: MAPA {nats(v.trace.numbers.kl)} nats away" for v in view.variants),
            selects=(Select("learned", "learned variant", options, wanted.values["learned"]),),
            actions=(("circle", "Show circle"),) if len(view.variants) < 2 else (),
            picks=True,
        )

    def verdict(self, view: VariantsView, wanted: Wanted) -> str:
        each = [f"{v.name} {nats(v.trace.numbers.kl)} nats ({how(v.trace.numbers)})" for v in view.variants]
        if len(each) < 2:
            return f"This set has one known decoder: MAPA's distance from its index posterior: {each[0]}. {view.note}"
        return f"One MAPA, computed from x alone, against the index posterior of each model: {'; '.join(each)}."

    def csv(self, view: VariantsView) -> str:
        rows = [
            (v.name, i, *row)
            for v in view.variants
            for i, row in enumerate(zip(v.trace.z, v.trace.empirical, v.trace.mapa, strict=True))
        ]
        return csv_text(("variant", "point", "z", "empiricalized_nats", "mapa_nats"), rows)


def train_command(wanted: Wanted, method: str) -> str:
    """How to train a model of the chosen points."""
    draw = f" --set data.split_seed={wanted.lab.draw}" if wanted.lab.draw else ""
    name = f"runs/{wanted.lab.name}-{method}"
    return f"gpvae train --method {method} --dataset {wanted.lab.name}{draw} --out {name}"


PANES: tuple[Any, ...] = (Traces(), Plane(), Process(), Variants())
