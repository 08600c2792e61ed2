"""The panes of the Gap Lab: gaps, posteriors, SVI, times, and gaps over epochs and encoder sizes."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Hashable
from typing import ClassVar

import numpy as np

from dashboards.gap_lab.request import GapLabRequest
from dashboards.lab.pane import Pane, one_file
from dashboards.lab.words import GAIN_READ, GAPS_READ
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection.gap_lab import export
from gpvae_core.inspection.gap_lab.views import ContoursView, CurveView, StacksView, SviView, TimesView
from gpvae_core.plots import accuracy_time, gap_curves, stacked_gaps, svi_path
from gpvae_core.plots.gaps import gain, nats
from gpvae_core.progress import Progress

SLICE = (
    " With {d} latent dimensions lines and shade are the slice through the posterior mode along its two widest "
    "directions, of all posteriors alike, not a marginal; the mark of each mean is projected onto it."
)
DIVERGED = (
    " No region of {}: its mean or variances are not finite or its variances are 0, as after steps that are too large."
)
ERROR_BARS = " Bars: one standard error over the images."
SVI_BAR = " Last, in the same colours without hatching: SVI at its step."
USUAL_READ = " In brackets{}: 5th to 95th percentile of the inference gap over {} validation images."
GAPS_OF = (("image", "this image"), ("sample", "mean of many"))


class GapLabPane(Pane[GapLabRequest]):
    """One card of the Gap Lab."""

    def subject(self, request: GapLabRequest) -> str:
        return f"decoder of {request.lab.decoder.name}"


class GapStacks(GapLabPane):
    """Stacked gaps of each method on the image, or their means over a sample, which a job computes."""

    name = "lab_gaps"
    title = "Gaps"
    to_csv = one_file(export.stacks)

    def slow(self, request: GapLabRequest) -> bool:
        return request.gaps_of == "sample"

    def selects(self, request: GapLabRequest) -> tuple[Select, ...]:
        return (Select("gaps_of", "of", GAPS_OF, request.gaps_of),)

    def key(self, request: GapLabRequest) -> Hashable:
        if self.slow(request):
            return request.lab.results, request.methods
        return request.lab.results, request.methods, request.index, tuple(request.lab.usual_gaps(request.methods))

    def compute(self, request: GapLabRequest, progress: Progress) -> StacksView:
        if self.slow(request):
            return request.lab.mean_stacks(request.methods, progress)
        return request.lab.stacks(request.methods, request.index)

    def draw(self, view: StacksView, request: GapLabRequest) -> Content:
        gained = any(gain(view.approximation.mean, stack.amortization.mean) for stack in view.stacks)
        with_svi = not self.slow(request)
        pointed = "" if stacked_gaps.shows_ranges(len(view.stacks) + with_svi) else ", with the pointer on a number"
        bars = SVI_BAR if with_svi else ERROR_BARS
        bars += USUAL_READ.format(pointed, len(request.lab.sample)) * any(stack.usual for stack in view.stacks)
        return Content(
            figure=as_json(stacked_gaps.figure(view, request.styles, request.theme, with_svi=with_svi)),
            sub=view.what,
            sentence=f"{GAPS_READ}{GAIN_READ * gained}{bars} {view.truth}",
            alt=f"Gaps, {view.what}: " + "; ".join(_stack_words(view, k) for k in range(len(view.stacks))),
        )


def _stack_words(view: StacksView, k: int) -> str:
    stack = view.stacks[k]
    if not np.isfinite(stack.inference.mean):
        return f"{stack.method} diverged"
    parts = f"{nats(view.approximation.mean)} approximation + {nats(stack.amortization.mean)} amortization"
    usual = f", 90 % of the sample {stacked_gaps.usual_words(stack.usual)}" if stack.usual else ""
    return f"{stack.method} {nats(stack.inference.mean)} nats below log p(x) ({parts}{usual})"


class PosteriorContours(GapLabPane):
    """The true posterior with the approximate posterior of every chosen method."""

    name = "lab_contours"
    title = "True and approximate posteriors"
    to_csv = one_file(export.contours)
    depends = ("lab.results", "methods", "index", "start")

    def compute(self, request: GapLabRequest, progress: Progress) -> ContoursView:
        return request.lab.contours(request.methods, request.index, request.start)

    def draw(self, view: ContoursView, request: GapLabRequest) -> Content:
        plane = view.truth.plane
        slice_words = SLICE.format(d=len(plane.origin)) if plane.is_slice else ""
        drawn = {outline.name for outline in view.outlines}
        diverged = "".join(DIVERGED.format(name) for name in request.methods if name not in drawn)
        return Content(
            figure=as_json(svi_path.contours(view, request.styles, request.theme)),
            sub=request.lab.title(request.index),
            sentence=f"Lines in colour: the region that holds {view.mass:.0%} of each approximate posterior. Red: SVI "
            f"at the current step, and its path so far.{slice_words}{diverged}",
            alt=f"Contours of the true posterior of {request.lab.title(request.index)} "
            f"with the approximate posteriors of {', '.join(outline.name for outline in view.outlines) or 'no method'}",
        )


class SviBound(GapLabPane):
    """The ELBO along the steps of SVI."""

    name = "lab_bound"
    title = "ELBO of SVI, step by step"
    to_csv = one_file(export.svi)
    depends = ("lab.results", "start", "svi", "index")

    def subject(self, request: GapLabRequest) -> str:
        return f"{super().subject(request)}, {request.lab.title(request.index)}"

    def compute(self, request: GapLabRequest, progress: Progress) -> SviView:
        return request.lab.svi(request.start, request.svi, request.index)

    def draw(self, view: SviView, request: GapLabRequest) -> Content:
        first = float(view.elbo[0])
        best = view.best_full_elbo if request.svi.covariance == "full" else view.best_diagonal_elbo
        family = "" if view.full_is_diagonal else f" {request.svi.covariance}"
        unrefined = "" if request.lab.runs[view.start].refiner == "none" else " before its own refinement"
        return Content(
            figure=as_json(svi_path.bound(view, request.theme)),
            sub=view.settings,
            sentence=f"SVI from q(z|x) of {view.start}{unrefined}: its ELBO begins {nats(view.log_px - first)} "
            f"nats below log p(x), {end_words(view)}; that of the best{family} Gaussian lies "
            f"{nats(view.log_px - best)} nats below. A q(z|x) that is no Gaussian is "
            "replaced by the diagonal Gaussian of its moments at the first step.",
            alt=f"ELBO against the step of SVI from {view.start}: {nats(first)} nats; {end_words(view)}",
        )

    def aside(self, view: SviView, request: GapLabRequest) -> str:
        return json.dumps(svi_path.frames(view, request.theme, (PosteriorContours.name, self.name, GapStacks.name)))


def end_words(view: SviView) -> str:
    """Return how SVI ends: how far below log p(x), whether it got worse, or at which step it diverged."""
    lost, smaller = np.flatnonzero(~np.isfinite(view.elbo)), "a smaller step size or less momentum may help"
    if len(lost):
        return f"SVI diverges: from step {lost[0]} on its ELBO is not a number ({smaller})"
    below = f"SVI ends {nats(view.log_px - float(view.elbo[-1]))} below"
    worse, gap = float(view.elbo[0] - view.elbo[-1]), view.log_px - float(view.elbo[0])
    if worse <= 0.005:
        return below
    return f"{below}, {nats(worse)} lower than it began{': it diverges' * (worse > max(gap, 1.0))} ({smaller})"


class AccuracyTime(GapLabPane):
    """The accuracy of each method against the time that it takes."""

    name = "lab_times"
    title = "Accuracy against time"
    in_job = True
    to_csv = one_file(export.times)
    depends = ("lab.results", "methods")

    def compute(self, request: GapLabRequest, progress: Progress) -> TimesView:
        return request.lab.times(request.methods, progress)

    def draw(self, view: TimesView, request: GapLabRequest) -> Content:
        bound = "" if view.exact else " log p(x) is a lower bound here."
        return Content(
            figure=as_json(accuracy_time.figure(view, request.styles, request.theme, request.quantity)),
            sub=f"mean of {view.sample} validation images",
            sentence=f"Up and left is better. Time: median and quartiles of {view.repeats} or more batches, in turn, "
            f"for q(z|x) and a sample of it. Accuracy: mean ± standard error.{bound}",
            alt="; ".join(
                f"{p.method}: {p.milliseconds:.3g} ms, inference gap {nats(p.inference.mean)} nats" for p in view.points
            ),
            selects=(Select("quantity", "up", tuple((q, q) for q in accuracy_time.QUANTITIES), request.quantity),),
            actions=(("again", "Measure again"),),
        )


class CurvePane(GapLabPane):
    """Gaps along a series of runs; where there is no such series, the card offers to train it."""

    in_job = True
    to_csv = one_file(export.curve)
    what: ClassVar[str] = ""
    """What the view's title names, put before it."""

    def missing(self, request: GapLabRequest) -> Content:
        return Content(message=self.nothing, actions=((self.name, "Train this series"),))

    def draw(self, view: CurveView, request: GapLabRequest) -> Content:
        points = zip(view.labels, view.inference, view.approximation, strict=True)
        return Content(
            figure=as_json(gap_curves.figure(view, request.theme)),
            sub=f"{self.what}{view.title}, mean of {view.sample} validation images",
            sentence=f"{self.sentence(request)} Bars: one standard error.",
            alt="; ".join(f"{x}: gap {nats(i.mean)}, approximation {nats(a.mean)} nats" for x, i, a in points),
            selects=self.series(request),
        )

    @abstractmethod
    def sentence(self, request: GapLabRequest) -> str:
        """Return a sentence about how to read the figure."""

    def series(self, request: GapLabRequest) -> tuple[Select, ...]:
        """Return the choice among several series."""
        return ()


class EpochGaps(CurvePane):
    """Gaps after each epoch of a training."""

    name = "lab_epochs"
    title = "Gaps over training"
    nothing = (
        "No run on these data kept the weights of its epochs (--set keep_every=N), so there is nothing to show. Train "
        "such a run here: the decoder's method anew, seconds on the digits."
    )

    def key(self, request: GapLabRequest) -> Hashable:
        run = request.with_epochs.get(request.epochs_of)
        return None if run is None else (run, tuple(run.kept_epochs))

    def compute(self, request: GapLabRequest, progress: Progress) -> CurveView:
        from gpvae_core.inspection.gap_lab.curves import epoch_curve

        return epoch_curve(request.with_epochs[request.epochs_of], progress=progress)

    def sentence(self, request: GapLabRequest) -> str:
        frozen = request.with_epochs[request.epochs_of].config.freeze_decoder
        decoder = "the decoder stays as it was" if frozen else "encoder and decoder learn together"
        return (
            f"Mean gaps under the weights kept of each epoch; {decoder}. The sample of images is smaller than that of "
            "the other cards, whose means therefore differ."
        )

    def series(self, request: GapLabRequest) -> tuple[Select, ...]:
        return (Select("epochs_of", "run", request.epoch_options, request.epochs_of),)


class SizeGaps(CurvePane):
    """Gaps of encoders of several sizes on one decoder."""

    name = "lab_sizes"
    title = "Gaps over encoder size"
    what = "method "
    nothing = (
        "No two runs on this decoder differ only in the size of their encoder. Train a series here: plain Gaussian "
        "encoders from 4 to 128 hidden units, seconds each on the digits."
    )

    def key(self, request: GapLabRequest) -> Hashable:
        names = tuple(request.lab.size_series())
        return (request.lab.results, names) if names else None

    def compute(self, request: GapLabRequest, progress: Progress) -> CurveView:
        view = request.lab.size_curve(progress)
        assert view is not None
        return view

    def sentence(self, request: GapLabRequest) -> str:
        return (
            "Encoders of several sizes on one decoder: the approximation gap does not depend on the encoder's size; a "
            "larger encoder can reduce the amortization gap."
        )


PANES = PosteriorContours(), GapStacks(), SviBound(), AccuracyTime(), EpochGaps(), SizeGaps()
