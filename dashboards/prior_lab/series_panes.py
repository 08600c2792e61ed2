"""The panes of the GP-Prior Lab about a series of frames: its path over time and in the plane."""

from __future__ import annotations

import html
import json
from collections.abc import Hashable

import numpy as np

from dashboards.lab.pane import one_file
from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.evaluation.hidden_frames import HIDDEN
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.views import SeriesView
from gpvae_core.plots import frame_shares, prior_curves, video_film

Views = tuple[SeriesView, ...]
BAND = "Band: two posterior standard deviations on either side of the mean, at the frames and between them."
FIT = " Latents are known up to an affine map, which was fitted once to the known paths of {n} test {group}s."
NO_PATH = " There is no known path in these data: shown are the {n} latent channels that vary most."
NO_WEIGHTS = "This method's posterior has parameters of its own: no frame has a weight in a prediction."
CUT = " In part off the axes: {runs}, as where latents lie nearly on a line and leave the affine fit unsure."
MOVED = " The dotted line is the instant of the player."


class SeriesPane(PriorLabPane):
    """One card about the chosen series."""

    to_csv = one_file(export.series)

    def shown(self, request: PriorLabRequest) -> bool:
        return bool(request.series)

    def key(self, request: PriorLabRequest) -> Hashable:
        return request.both, request.item, request.hide

    def drawing_key(self, request: PriorLabRequest) -> Hashable:
        return request.theme.name

    def subject(self, request: PriorLabRequest) -> str:
        return f"{super().subject(request)}, {request.lab.group} {request.series[0].name(request.item)}"

    def compute(self, request: PriorLabRequest, progress: object) -> Views:
        return request.series_views()


class PathOverTime(SeriesPane):
    """The coordinates of the latents over time, with bands, and the film of the frames beside it."""

    name = "prior_path"
    title = "Path over time"

    def draw(self, view: Views, request: PriorLabRequest) -> Content:
        first = view[0]
        return Content(
            figure=as_json(prior_curves.series(view, request.theme)),
            sub=first.series,
            sentence=f"{BAND}{_what(first, request)}{_cut(view)}{MOVED}",
            alt=f"{', '.join(first.coordinates)} over {first.axis} of {first.series}; {errors_in_words(view)}",
        )

    def aside(self, view: Views, request: PriorLabRequest) -> str:
        sentence = (
            "The decoded mean of the latents, and how far a pixel spreads over samples of them, without the noise of "
            f"the pixels; hidden from the model: {HIDDEN[request.hide]}."
        )
        return json.dumps(video_film.film(view, self.name, PathInPlane.name, sentence, request.theme))


class PathInPlane(SeriesPane):
    """The first two coordinates of the latents in the plane."""

    name = "prior_plane"
    title = "Path in the plane"

    def shown(self, request: PriorLabRequest) -> bool:
        return bool(request.series) and request.lab.run.config.latent_dim > 1

    def draw(self, view: Views, request: PriorLabRequest) -> Content:
        first = view[0]
        down = " The second coordinate points down, as rows of a frame do." if first.unit == "path" else ""
        return Content(
            figure=as_json(prior_curves.plane(view, request.theme)),
            sub=first.series,
            sentence=f"Posterior mean of {first.coordinates[0]} and {first.coordinates[1]}.{down} The discs are at the "
            f"instant of the player.{_cut(view)}",
            alt=f"Path of {first.series} in the plane; {errors_in_words(view)}",
        )


class FrameShares(SeriesPane):
    """Which of the frames given the prediction of each frame rests on."""

    name = "prior_shares"
    title = "Frames it rests on"
    to_csv = one_file(export.shares)

    def draw(self, view: Views, request: PriorLabRequest) -> Content:
        first = view[0]
        if first.shares is None:
            return Content(message=NO_WEIGHTS)
        asked = first.counted
        own = first.shares[asked]
        given = np.flatnonzero(first.seen) + 1
        most = "; ".join(
            f"frame {k + 1} rests most on frame {given[row.argmax()]} ({100 * row.max():.0f} %)"
            for k, row in zip(np.flatnonzero(asked), own, strict=True)
        )
        marked = " Triangles: frames that were not given." if (~first.seen).any() else ""
        return Content(
            figure=as_json(frame_shares.figure(first, request.theme)),
            sub=f"{first.run}, {first.series}",
            sentence="The predicted mean of the latents is a weighted sum of what the encoder says of frames given; "
            f"colour: the share of each in the absolute weights.{marked}",
            alt=most,
        )


def _cut(views: Views) -> str:
    """Return which runs leave the axes, and why; '' where none does."""
    runs = prior_curves.cut_off(views)
    return CUT.format(runs=", ".join(runs)) if runs else ""


def _what(view: SeriesView, request: PriorLabRequest) -> str:
    if view.unit != "path":
        return NO_PATH.format(n=len(view.coordinates))
    from gpvae_core.inspection.prior_lab.series import FITTED

    return FIT.format(n=min(FITTED, len(request.series[0])), group=request.lab.group)


def errors_in_words(views: Views) -> str:
    """Return the errors of each run on the frames that count: hidden ones, or all where none is hidden."""
    return "; ".join(f"{view.run}: {error_in_words(view)}" for view in views)


def error_in_words(view: SeriesView) -> str:
    """Return the errors of a run on the frames that count."""
    count, hidden = int(view.counted.sum()), bool((~view.seen & view.counted).any())
    kind = f"{count} hidden frame{'s' * (count != 1)}" if hidden else f"{count} frames, all given"
    words = f"MSE {view.mse[view.counted].mean():.4f} of a pixel over {kind}"
    if hidden and view.nearest is not None:
        words += f" (of the nearest frame given in their place {view.nearest[view.counted].mean():.4f})"
    if view.rmse is None:
        return words
    inside, count = view.inside
    return f"{words}; path RMSE {view.rmse:.3f}, in the band in {100 * inside / count:.0f} % of {count} coordinates"


def summary(views: Views) -> str:
    """Return the line above the cards as HTML: what the prior says of the frames that count, and how surely."""
    first = views[0]
    hidden = bool((~first.seen & first.counted).any())
    asked = "Frames that the model was not given"
    if not hidden:
        asked = "The model is given all frames; hide some to see what it predicts of them"
    parts = "; ".join(f"<b>{html.escape(view.run)}</b> {html.escape(error_in_words(view))}" for view in views)
    return f"{asked}: {parts}."


PANES = PathOverTime(), PathInPlane(), FrameShares()
