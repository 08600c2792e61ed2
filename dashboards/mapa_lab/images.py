"""Panes about a trained image model: the training images nearest to a test image, by MAPA and by the model."""

from __future__ import annotations

from collections.abc import Hashable

from dashboards.lab.pane import one_file
from dashboards.lab.words import mapa_words
from dashboards.mapa_lab.points import effective_words
from dashboards.mapa_lab.request import MapaLabPane, MapaLabRequest
from dashboards.widgets.card import Content, as_json
from gpvae_core.inspection.mapa_lab import export
from gpvae_core.inspection.mapa_lab.image_views import CodesView, NeighboursView
from gpvae_core.plots import code_map, neighbour_images
from gpvae_core.progress import Progress

NO_RUN = "No model of images is trained here yet. This trains one on 8x8 digits in seconds:"
TRAIN = "gpvae train --method vae --dataset digits --latent-dim 2 --out runs/vae"


def _neighbours(request: MapaLabRequest, progress: Progress) -> NeighboursView:
    picture = request.picture
    assert picture is not None
    kernel = picture.kernel or picture.lab.best(progress)
    return picture.lab.neighbours(picture.index, kernel, request.values["shown"], progress)


class ImagePane(MapaLabPane):
    """A card about a test image of a trained model."""

    tab = "images"
    in_job = True

    def subject(self, request: MapaLabRequest) -> str:
        return "" if request.picture is None else request.picture.run

    def key(self, request: MapaLabRequest) -> Hashable:
        picture = request.picture
        if picture is None:
            return None
        kernel = None if picture.kernel is None else tuple(sorted(picture.kernel.items()))
        return picture.lab, picture.index, request.values["shown"], kernel


class NeighbourImages(ImagePane):
    """The most probable training images of a test image, by MAPA and by the model."""

    name = "mapa_neighbours"
    width = neighbour_images.WIDTH
    title = "Most probable training images"
    to_csv = one_file(export.neighbours)

    def missing(self, request: MapaLabRequest) -> Content:
        return Content(message=NO_RUN, commands=(TRAIN,), actions=(("train", "Train the default pair"),))

    def compute(self, request: MapaLabRequest, progress: Progress) -> NeighboursView:
        return _neighbours(request, progress)

    def draw(self, view: NeighboursView, request: MapaLabRequest) -> Content:
        under = "its probability" if view.label is None else "its class · its probability"
        return Content(
            figure=as_json(neighbour_images.figure(view, request.theme)),
            sub=view.title,
            sentence=f"Training images, most probable first: by MAPA, from pixels alone ({view.kernel}), and by the "
            f"trained model, eq. 7 with the encoder's means as codes. Below each: {under} under that "
            f"list's posterior; solid frames: in both lists. {view.note}",
            alt=f"{view.title}: {view.overlap} of {len(view.mapa)} neighbours are in both lists",
        )

    def aside(self, view: NeighboursView, request: MapaLabRequest) -> str:
        same = sum(n.label == view.label for n in view.mapa) if view.label is not None else None
        of_class = "" if same is None else f" {same} of MAPA's are of its class ({view.label})."
        set_by_hand = request.picture is not None and request.picture.kernel is not None
        worse = " For another kernel choose “smallest KL”." if view.kl > view.kl_uniform and set_by_hand else ""
        return (
            f"The {len(view.mapa)} most probable training images by MAPA (model-agnostic posterior approximation, from "
            f"pixels alone) and by the trained model have {view.overlap} in common.{of_class} "
            f"{mapa_words(view.kl, view.kl_uniform, 'training images')}{worse} "
            f"{effective_words(view, view.n_total, 'images')}"
        )


class CodeMap(ImagePane):
    """The codes of the training images, with those of the neighbours marked."""

    name = "mapa_codes"
    width = code_map.WIDTH
    title = "Codes of these images"
    to_csv = one_file(export.codes)

    def subject(self, request: MapaLabRequest) -> str:
        return "" if request.picture is None else f"{request.picture.run}, test image {request.picture.index}"

    def compute(self, request: MapaLabRequest, progress: Progress) -> CodesView:
        assert request.picture is not None
        return request.picture.lab.codes(_neighbours(request, progress), request.picture.index, progress)

    def draw(self, view: CodesView, request: MapaLabRequest) -> Content:
        return Content(
            figure=as_json(code_map.figure(view, request.theme)),
            sub=view.note,
            sentence="Codes of training images, coloured by class; marked: the neighbours of both lists and the test "
            "image's own code. Where distances of pixels and of codes agree, both lists lie around it.",
            alt=f"{len(view.xy)} codes; {len(view.mapa)} neighbours by MAPA and {len(view.empirical)} by the model",
        )


PANES: tuple[MapaLabPane, ...] = (NeighbourImages(), CodeMap())
