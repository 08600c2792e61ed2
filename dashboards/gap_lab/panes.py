"""The panes: what each needs computed, and the figure, sentence and alternative text that it makes of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dashboards.request import Drawn, as_json
from dashboards.widgets.card import Select
from gpvae_core.explore.gap_lab import export
from gpvae_core.explore.gap_lab.views import ContoursView, CurveView, StacksView, SviView, TimesView
from gpvae_core.plots import accuracy_time, gap_curves, stacked_gaps, svi_path
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.method_styles import MethodStyle
from gpvae_core.plots.theme import Theme

if TYPE_CHECKING:
    from gpvae_core.explore.gap_lab.lab import Lab
    from gpvae_core.explore.gap_lab.svi import SviSettings
    from gpvae_core.progress import Progress
    from gpvae_core.runs import Run

SLICE = (
    " With {d} latent dimensions this is the slice through the posterior mode along its two widest directions, of the "
    "posterior and of the answers alike, not a marginal."
)
OF = (("image", "this image"), ("sample", "mean of many"))


@dataclass(frozen=True)
class Choice:
    """The state of a page, checked."""

    lab: Lab
    index: int
    methods: tuple[str, ...]
    of: str
    start: str
    svi: SviSettings
    quantity: str
    epochs_of: str
    with_epochs: Mapping[str, Run]
    styles: Mapping[str, MethodStyle]
    theme: Theme
    again: int = 0
    """Counts requests to measure times again."""


class Pane(Protocol):
    """One card."""

    name: str
    title: str

    def key(self, choice: Choice) -> Hashable:
        """What is computed depends on nothing else; None where there is nothing to compute."""
        ...

    def compute(self, choice: Choice, progress: Progress) -> Any: ...

    def draw(self, view: Any, choice: Choice) -> Drawn: ...

    def csv(self, view: Any) -> str: ...


class Gaps:
    """Stacked gaps: of the image at once, of the sample in the background."""

    name = "lab_gaps"
    title = "Gaps"

    def __init__(self, of: str) -> None:
        self.of = of

    def key(self, choice: Choice) -> Hashable:
        if choice.of != self.of or not choice.methods:
            return None
        return choice.lab.decoder.fingerprint, choice.methods, choice.index if self.of == "image" else None

    def compute(self, choice: Choice, progress: Progress) -> StacksView:
        if self.of == "image":
            return choice.lab.stacks(choice.methods, choice.index)
        return choice.lab.mean_stacks(choice.methods, progress)

    def draw(self, view: StacksView, choice: Choice) -> Drawn:
        read = (
            "Each stack hangs from log p(x) down to the method's ELBO. Plain: what no diagonal Gaussian can reach. "
            "Hatched: what the encoder misses of the best one, q*. Dotted: what a richer family wins back."
        )
        bars = " Bars: one standard error over the images." if self.of == "sample" else ""
        return Drawn(
            figure=as_json(stacked_gaps.figure(view, choice.styles, choice.theme)),
            sub=view.what,
            sentence=f"{read}{bars} {view.truth}",
            alt=f"Gaps, {view.what}: " + "; ".join(_stack_words(view, k) for k in range(len(view.stacks))),
            selects=(Select("of", "of", OF, choice.of),),
        )

    def csv(self, view: StacksView) -> str:
        return export.stacks(view)


def _stack_words(view: StacksView, k: int) -> str:
    one = view.stacks[k]
    parts = f"{nats(view.approximation.mean)} approximation + {nats(one.amortization.mean)} amortization"
    return f"{one.method} {nats(one.inference.mean)} nats below log p(x) ({parts})"


class Contours:
    """The true posterior with every chosen method's answer."""

    name = "lab_contours"
    title = "True posterior and answers"

    def key(self, choice: Choice) -> Hashable:
        return choice.lab.decoder.fingerprint, choice.methods, choice.index, choice.start

    def compute(self, choice: Choice, progress: Progress) -> ContoursView:
        return choice.lab.contours(choice.methods, choice.index, choice.start)

    def draw(self, view: ContoursView, choice: Choice) -> Drawn:
        plane = view.truth.plane
        slice_words = SLICE.format(d=len(plane.origin)) if plane.is_slice else ""
        return Drawn(
            figure=as_json(svi_path.contours(view, choice.styles, choice.theme)),
            sub=choice.lab.title(choice.index),
            sentence=f"Lines in colour: the region that holds {view.mass:.0%} of each answer. Red: SVI at the current "
            f"step, and its way there.{slice_words}",
            alt=f"Contours of the true posterior of {choice.lab.title(choice.index)} "
            f"with the answers of {', '.join(one.name for one in view.outlines) or 'no method'}",
        )

    def csv(self, view: ContoursView) -> str:
        return export.contours(view)


class Bound:
    """The ELBO along the steps of SVI."""

    name = "lab_bound"
    title = "ELBO of SVI, step by step"

    def key(self, choice: Choice) -> Hashable:
        return choice.lab.decoder.fingerprint, choice.start, choice.svi, choice.index

    def compute(self, choice: Choice, progress: Progress) -> SviView:
        return choice.lab.svi(choice.start, choice.svi, choice.index)

    def draw(self, view: SviView, choice: Choice) -> Drawn:
        first, last = float(view.elbo[0]), float(view.elbo[-1])
        best = view.best_full_elbo if choice.svi.covariance == "full" else view.best_diagonal_elbo
        return Drawn(
            figure=as_json(svi_path.bound(view, choice.theme)),
            sub=view.settings,
            sentence=f"From {view.start}'s answer, {nats(view.log_px - first)} nats below log p(x), SVI ends "
            f"{nats(view.log_px - last)} below; the best {choice.svi.covariance} Gaussian lies "
            f"{nats(view.log_px - best)} below. The first step keeps only mean and variances of an answer that is no "
            "Gaussian.",
            alt=f"ELBO against the step of SVI from {view.start}: {nats(first)} to {nats(last)} nats",
        )

    def csv(self, view: SviView) -> str:
        return export.svi(view)


class Times:
    """Accuracy against time."""

    name = "lab_times"
    title = "Accuracy against time"

    def key(self, choice: Choice) -> Hashable:
        return (choice.lab.decoder.fingerprint, choice.methods, choice.again) if choice.methods else None

    def compute(self, choice: Choice, progress: Progress) -> TimesView:
        return choice.lab.times(choice.methods, progress)

    def draw(self, view: TimesView, choice: Choice) -> Drawn:
        bound = "" if view.exact else " log p(x) is a lower bound here."
        return Drawn(
            figure=as_json(accuracy_time.figure(view, choice.styles, choice.theme, choice.quantity)),
            sub=f"mean of {view.sample} validation images",
            sentence=f"Up and left is better. Time: median and quartiles of {view.repeats} or more batches, in turn, "
            f"for q(z|x) and a sample of it. Accuracy: mean ± standard error.{bound}",
            alt="; ".join(
                f"{p.method}: {p.milliseconds:.3g} ms, inference gap {nats(p.inference.mean)} nats" for p in view.points
            ),
            selects=(Select("quantity", "up", tuple((q, q) for q in accuracy_time.QUANTITIES), choice.quantity),),
            actions=(("again", "Measure again"),),
        )

    def csv(self, view: TimesView) -> str:
        return export.times(view)


class Epochs:
    """Gaps over training epochs."""

    name = "lab_epochs"
    title = "Gaps over training"
    missing = (
        "No run on these data kept the weights of its epochs (--set keep_every=N), so there is nothing to show. Train "
        "such a run here: the decoder's method anew, seconds on the digits."
    )

    def key(self, choice: Choice) -> Hashable:
        run = choice.with_epochs.get(choice.epochs_of)
        return None if run is None else (choice.epochs_of, tuple(run.kept_epochs))

    def compute(self, choice: Choice, progress: Progress) -> CurveView:
        from gpvae_core.explore.gap_lab.curves import epoch_curve

        return epoch_curve(choice.with_epochs[choice.epochs_of], progress=progress)

    def draw(self, view: CurveView, choice: Choice) -> Drawn:
        options = tuple((name, name) for name in choice.with_epochs)
        run = choice.with_epochs[choice.epochs_of]
        how = "the decoder stays as it was" if run.config.freeze_decoder else "encoder and decoder learn together"
        return Drawn(
            figure=as_json(gap_curves.figure(view, choice.theme)),
            sub=f"{view.title}, mean of {view.sample} validation images",
            sentence=f"Mean gaps under the weights kept of each epoch; {how}. Bars: one standard error.",
            alt=_curve_words(view),
            selects=(Select("epochs_of", "run", options, choice.epochs_of),),
        )

    def csv(self, view: CurveView) -> str:
        return export.curve(view)


class Sizes:
    """Gaps over encoder capacity."""

    name = "lab_sizes"
    title = "Gaps over encoder size"
    missing = (
        "No two runs on this decoder differ only in the size of their encoder. Train a series here: plain Gaussian "
        "encoders from 4 to 128 hidden units, seconds each on the digits."
    )

    def key(self, choice: Choice) -> Hashable:
        names = tuple(choice.lab.size_series())
        return (choice.lab.decoder.fingerprint, names) if names else None

    def compute(self, choice: Choice, progress: Progress) -> CurveView:
        view = choice.lab.size_curve(progress)
        assert view is not None
        return view

    def draw(self, view: CurveView, choice: Choice) -> Drawn:
        return Drawn(
            figure=as_json(gap_curves.figure(view, choice.theme)),
            sub=f"method {view.title}, mean of {view.sample} validation images",
            sentence="Encoders of several sizes on one decoder: the approximation gap is the family's and stays; the "
            "amortization gap is what a larger encoder can close. Bars: one standard error.",
            alt=_curve_words(view),
        )

    def csv(self, view: CurveView) -> str:
        return export.curve(view)


def _curve_words(view: CurveView) -> str:
    points = zip(view.labels, view.inference, view.approximation, strict=True)
    return "; ".join(f"{label}: gap {nats(i.mean)}, approximation {nats(a.mean)} nats" for label, i, a in points)
