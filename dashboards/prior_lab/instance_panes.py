"""The pane of the GP-Prior Lab about the picked series or image: what amortization and mini-batches do to it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from dashboards.lab.asked import AskedPane
from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import InstanceMeasure
from gpvae_core.plots import instance_measures
from gpvae_core.plots.gaps import nats
from gpvae_core.plots.prior_view import place_words
from gpvae_core.progress import Progress

MOST = 8
"""Series or images whose measures are drawn, the picked one first."""
Measures = Sequence[InstanceMeasure]


class MeasuredInstance(PriorLabPane, AskedPane[PriorLabRequest]):
    """The gap of the pseudo-observations of the picked series or image, and the movement with its mini-batch."""

    name = "prior_instance"
    title = "What amortization and batches do to it"
    help = (
        "The gap is what the encoder's pseudo-observations, its means and variances, lose against the best for this "
        "instance; the movement is how far its posterior depends on the other images of its mini-batch."
    )
    button = "Measure"
    to_csv = one_file(export.instances)

    def shown(self, request: PriorLabRequest) -> bool:
        return bool(request.series or request.turns) or request.grid is not None

    def of(self, request: PriorLabRequest) -> Hashable:
        return request.lab, *self._instance(request)

    @staticmethod
    def _instance(request: PriorLabRequest) -> tuple[str, int | None]:
        """Return split and code of the series, or index of the training image; None where there is none."""
        if request.series:
            return "test", request.series[0].code(request.item)
        if request.grid is not None:
            return "train", request.grid.training_view(request.chosen_pair())
        return "train", request.turns[0].training_view(request.item, request.at)

    @staticmethod
    def _what(request: PriorLabRequest) -> str:
        if request.series:
            return request.series[0].name(request.item)
        if request.grid is not None:
            return request.grid.name(request.chosen_pair())
        turn = request.turns[0]
        return f"{turn.name(request.item)} at {place_words(request.at, f'{turn.number.name} ({turn.unit})')}"

    def lacking(self, request: PriorLabRequest) -> Content | None:
        from gpvae_core.inspection.prior_lab.instances import can_be_measured
        from gpvae_core.inspection.prior_lab.prior import PriorLab

        lab = request.lab
        if not isinstance(lab, PriorLab) or not can_be_measured(lab):
            return Content(message=NOTHING.format(run=lab.name, method=lab.run.config.method))
        if self._instance(request)[1] is None:
            if request.grid is not None:
                return Content(message=NO_TRAINING_PAIR)
            return Content(message=NO_TRAINING_VIEW.format(number=request.turns[0].number.name))
        return None

    def offered(self, request: PriorLabRequest) -> str:
        return OFFERED.format(what=self._what(request))

    def compute(self, request: PriorLabRequest, progress: Progress) -> Measures:
        from gpvae_core.inspection.prior_lab.instances import measured
        from gpvae_core.inspection.prior_lab.prior import PriorLab

        lab, (split, index) = request.lab, self._instance(request)
        assert isinstance(lab, PriorLab)
        assert index is not None
        found = measured(lab, split, index, self._what(request), progress)
        others = [other for place, other in reversed(list(lab.measured.items())) if place != (split, index)]
        return (found, *others[: MOST - 1])

    def draw(self, view: Measures, request: PriorLabRequest) -> Content:
        more = f" Paler: the {len(view) - 1} measured before." if len(view) > 1 else ""
        return Content(
            figure=as_json(instance_measures.figure(view, request.theme)),
            sub=f"{view[0].run}, {view[0].what}",
            sentence=f"{measure_words(view[0], bool(request.series))}{more}",
            alt="; ".join(_short(measure) for measure in view),
        )


def measure_words(measure: InstanceMeasure, series: bool) -> str:
    """Return in whole sentences what the numbers of a series or an image say."""
    words = []
    if measure.gap is not None and measure.gap_error is not None:
        bound = "its bound" if series else "the bound of all images"
        own = "" if measure.own is None else f", {nats(measure.own)} of them in its own E log p(y|z)"
        words.append(
            f"With the best pseudo-observations for {measure.what} in place of the encoder's, all else fixed, {bound} "
            f"would be higher by {nats(measure.gap)} nats (± {measure.gap_error:.2g} by sampling){own}: that is what "
            f"amortization loses here, at the least.{OF_OTHERS * (not series)}"
        )
    if measure.whole:
        words.append("Its posterior does not move with its mini-batch, as that holds all training images.")
    elif measure.kl is not None:
        words.append(
            f"In a mini-batch of {measure.batch_size} images its posterior is {measure.kl:.3g} nats from that given "
            f"all images on average (± {measure.kl_spread:.2g} over {measure.batches} batches); the mean over batches "
            f"is off by {measure.bias:.2g} posterior standard deviations, of which {measure.bias_by_chance:.2g} are to "
            "be expected by chance, and the rest is bias of eq. 9."
        )
    return " ".join(words)


def _short(measure: InstanceMeasure) -> str:
    gap = [] if measure.gap is None else [f"gap {nats(measure.gap)} nats"]
    moved = [] if measure.kl is None or measure.whole else [f"moves by {measure.kl:.3g} nats with its mini-batch"]
    return f"{measure.what}: {', '.join([*gap, *moved])}"


OF_OTHERS = (
    " The pseudo-observation of one image moves the latents of all, so that a gap can exceed its own part by far where "
    "those of other images are poor."
)
NOTHING = (
    "{run} ({method}) has no pseudo-observations of single instances that could be optimised, and no mini-batches as "
    "eq. 9 has them: there is nothing to measure. Runs of svgp have both."
)
NO_TRAINING_VIEW = (
    "These measures are of training images, and there is none of this object at this {number}: 'training view' above "
    "goes to one."
)
NO_TRAINING_PAIR = (
    "These measures are of training images, and this pair is none: pick one in the grid that was trained on, whose "
    "frame is thin."
)
OFFERED = (
    "The encoder gives each image a mean and a variance, which the prior takes for a noisy observation of its latent: "
    "a pseudo-observation. Measured is how many nats the bound gains where those of {what} are the best ones and not "
    "the encoder's, and how far its posterior moves with the images of its mini-batch. It takes seconds, or minutes."
)
PANES = (MeasuredInstance(),)
