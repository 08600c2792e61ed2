"""Cards over a trained model of images: which training images are near, by pixels and by latents."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from dashboards.mapa_lab.choice import Wanted
from dashboards.mapa_lab.pane import count, message
from dashboards.request import Drawn, as_json
from gpvae_core.csv_text import csv_text
from gpvae_core.explore.mapa_lab.views import CodesView, NeighboursView
from gpvae_core.plots import code_map, neighbour_images
from gpvae_core.plots.gaps import nats

if TYPE_CHECKING:
    from gpvae_core.progress import Progress

NO_RUN = (
    "No model of images is trained here yet. This trains one on 8x8 digits in seconds: "
    "gpvae train --method vae --dataset digits --latent-dim 2 --out runs/vae"
)


def _neighbours(wanted: Wanted, progress: Progress) -> NeighboursView:
    picture = wanted.picture
    assert picture is not None
    picture.lab.prepare(progress)
    kernel = picture.kernel
    if kernel is None:
        kernel = wanted.labs.best_kernel(picture.run, progress)
    return picture.lab.neighbours(picture.index, kernel, picture.shown, progress)


class _OfImage:
    """What the two cards share."""

    tab = "images"
    slow = True

    def key(self, wanted: Wanted) -> Hashable:
        picture = wanted.picture
        if picture is None:
            return None
        values = None if picture.kernel is None else tuple(sorted(picture.kernel.items()))
        return picture.run, picture.index, picture.shown, values


class Neighbours(_OfImage):
    """The most probable training images of a test image, by MAPA and by the model."""

    name = "mapa_neighbours"
    width = neighbour_images.WIDTH
    title = "Whose latents are near"

    def missing(self, wanted: Wanted) -> Drawn:
        return message(NO_RUN, actions=(("train", "Train the default pair"),))

    def compute(self, wanted: Wanted, progress: Progress) -> NeighboursView:
        return _neighbours(wanted, progress)

    def draw(self, view: NeighboursView, wanted: Wanted) -> Drawn:
        under = "its probability" if view.label is None else "its class · its probability"
        return Drawn(
            figure=as_json(neighbour_images.figure(view, wanted.theme)),
            sub=view.title,
            sentence=f"Training images, most probable first: by MAPA, from pixels alone ({view.kernel}), and by the "
            f"trained model, eq. 7 with the encoder's means as codes. Below each: {under} under that "
            f"list's posterior; frames drawn full: in both lists. {view.note}",
            alt=f"{view.title}: {view.overlap} of {len(view.mapa)} neighbours are in both lists",
        )

    def verdict(self, view: NeighboursView, wanted: Wanted) -> str:
        same = sum(n.label == view.label for n in view.mapa) if view.label is not None else None
        of_class = "" if same is None else f" {same} of MAPA's are of its class ({view.label})."
        worse = ": worse than knowing nothing; try “nearest to the model”" if view.kl > view.kl_uniform else ""
        return (
            f"By pixels alone and by the trained model, the lists share {view.overlap} of their {len(view.mapa)} most "
            f"probable training images.{of_class} MAPA keeps {nats(view.kl)} nats from the model's index posterior, "
            f"where knowing nothing would cost {nats(view.kl_uniform)}{worse}. {count(view.effective)} of "
            f"{view.n_total:,} images matter to the model, {count(view.effective_mapa)} to MAPA."
        )

    def csv(self, view: NeighboursView) -> str:
        lists = (("mapa", view.mapa), ("empiricalized", view.empirical))
        rows = [
            (which, rank + 1, n.index, n.label, n.probability, n.distance, n.latent_distance, n.shared)
            for which, images in lists
            for rank, n in enumerate(images)
        ]
        return csv_text(
            ("list", "rank", "train_index", "class", "probability", "rms_pixels", "code_distance", "in_both"), rows
        )


class Codes(_OfImage):
    """Where the neighbours' codes lie."""

    name = "mapa_codes"
    width = code_map.WIDTH
    title = "Where their codes lie"

    def missing(self, wanted: Wanted) -> Drawn:
        return message("This shows the latent codes of the training images, once there is a trained model.")

    def compute(self, wanted: Wanted, progress: Progress) -> CodesView:
        assert wanted.picture is not None
        return wanted.picture.lab.codes(_neighbours(wanted, progress), wanted.picture.index, progress)

    def draw(self, view: CodesView, wanted: Wanted) -> Drawn:
        return Drawn(
            figure=as_json(code_map.figure(view, wanted.theme)),
            sub=view.note,
            sentence="Codes of training images, coloured by class; marked: the neighbours of both lists and the test "
            "image's own code. Where pixels and latents agree, both lie round it.",
            alt=f"{len(view.xy)} codes; {len(view.mapa)} neighbours by MAPA and {len(view.empirical)} by the model",
        )

    def verdict(self, view: CodesView, wanted: Wanted) -> str:
        return ""

    def csv(self, view: CodesView) -> str:
        mapa, empirical = set(view.mapa.tolist()), set(view.empirical.tolist())
        rows = [
            (int(i), *xy, int(c), row in mapa, row in empirical)
            for row, (i, xy, c) in enumerate(zip(view.index, view.xy, view.class_index, strict=True))
        ]
        return csv_text(("train_index", "x", "y", "class", "near_by_mapa", "near_by_model"), rows)


PANES: tuple[Any, ...] = (Neighbours(), Codes())
