"""GP-Prior Lab: a series of frames as strips of images, which the browser plays (`dashboards/widgets/video`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpvae_core.inspection.prior_lab.views import SeriesView
from gpvae_core.inspection.views import Array
from gpvae_core.plots.pictures import png_address
from gpvae_core.plots.prior_curves import looks
from gpvae_core.plots.theme import Theme

DIGITS = 4


def strip(images: Array) -> str:
    """Return images (P, C, H, W) below one another in one, as a PNG data URL, a pixel for each of theirs."""
    count, channels, height, width = images.shape
    return png_address(np.moveaxis(images, 1, 0).reshape(channels, count * height, width), 1)


def film(views: Sequence[SeriesView], time_view: str, plane_view: str, sentence: str, theme: Theme) -> dict[str, Any]:
    """Return the film of a series for one run, or two: what the player needs, as plain data.

    Args:
        time_view, plane_view: names of the cards in which the instant is marked.
    """
    first, frame_at = views[0], {int(place): k for k, place in enumerate(views[0].at_frames)}
    places = range(len(first.curves.at))
    at_frame = [frame_at.get(place) for place in places]
    most = max(float(view.spread.max()) for view in views)
    tracks = [_track("frame", first.frames, at_frame, hides=True, title="An open or dashed one is hidden")]
    runs = looks([view.run for view in views], theme)
    for view, look in zip(views, runs, strict=True):
        name = "decoded mean" if len(views) == 1 else look.name
        tracks.append(_track(name, view.decoded, list(places), colour=look.colour, title=f"{look.name}: decoded mean"))
    for view, look in zip(views, runs, strict=True):
        title = f"{look.name}: standard deviation over samples of the latents; white is {most:.2g}"
        label = f"standard deviation, 0\N{WORD JOINER}–\N{WORD JOINER}{most:.2g}"  # in one line
        spread = view.spread[:, None] / max(most, 1e-12)
        tracks.append(_track(label, spread, list(places), colour=look.colour, title=title))
    return {
        "title": f"{first.series}",
        "sentence": sentence,
        "at": [round(float(at), DIGITS) for at in first.curves.at],
        "given": [_given(first, k) for k in at_frame],
        "words": [_words(views, place, k) for place, k in zip(places, at_frame, strict=True)],
        "tracks": tracks,
        "marks": [_marks(view.curves.mean, look.colour) for view, look in zip(views, runs, strict=True)],
        "views": {"time": time_view, "plane": plane_view},
        "ink": theme.text,
    }


def _track(
    label: str, images: Array, tiles: list[int | None], colour: str = "", hides: bool = False, title: str = ""
) -> dict[str, Any]:
    height, width = images.shape[-2:]
    return {
        "label": label, "strip": strip(images), "tiles": tiles, "width": width, "height": height, "colour": colour,
        "hides": hides, "title": title,
    }  # fmt: skip


def _given(view: SeriesView, k: int | None) -> bool:
    return k is None or bool(view.seen[k])


def _marks(mean: Array, colour: str) -> dict[str, Any]:
    rows = np.round(mean[:, :2], DIGITS).tolist() if mean.shape[1] > 1 else [None] * len(mean)
    return {"places": rows, "colour": colour}


def _words(views: Sequence[SeriesView], place: int, k: int | None) -> str:
    """Return the instant in words, with the mean square error of its frame."""
    first = views[0]
    name, _, unit = first.axis.partition(" (")
    unit = "" if unit == "frames)" else unit.rstrip(")")  # the number of the frame follows
    what = f"{name} {first.curves.at[place]:.4g} {unit}".strip()
    if k is None:
        return f"{what}, between frames: predicted"
    if first.missing[k]:
        return f"{what}, frame {k + 1} (missing in the data): predicted"
    kind = "given" if first.seen[k] else "hidden, predicted"
    errors = " and ".join(f"{view.mse[k]:.4f}" for view in views)
    return f"{what}, frame {k + 1} ({kind}): MSE {errors}"
