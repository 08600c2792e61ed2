"""The content of the Posterior Explorer for one run, as plain data. One explorer serves all sessions and threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection import export
from gpvae_core.inspection.answers import InstanceAnswers
from gpvae_core.inspection.embedding import LINE, READ
from gpvae_core.inspection.gap_sample import BestGaussian
from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.pictures import decode_means
from gpvae_core.inspection.stages import STAGES, Stages
from gpvae_core.inspection.uncertainty import quantile_picks, uncertainty_view
from gpvae_core.inspection.uncertainty_views import FigureOneItem, UncertaintyView
from gpvae_core.inspection.views import (
    Array,
    GapView,
    Instance,
    MapView,
    Plane,
    PosteriorView,
    ReconstructionView,
    SampleRange,
    TracesView,
)
from gpvae_core.mapa import BANDWIDTHS, Bandwidth
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.types import as_images

Source = Literal["drawn", "uploaded"]


class Explorer:
    """The views of one run. A view computes the stages it needs, or leaves out those that `prepare` has yet to compute.

    Args:
        gap_sample: number of test instances, a seeded sample, whose gaps `prepare` computes; by default all of up to
            500, else 200.
        seed: seed of the samples of instances, the noise and the map.
    """

    def __init__(self, run: Run, gap_sample: int | None = None, seed: int = 0) -> None:
        self.run = run
        self._stages = Stages(run, gap_sample, seed)
        self._answers = InstanceAnswers(self._stages)

    # -- computing ahead --------------------------------------------------------------------------------------------

    @property
    def ready(self) -> frozenset[str]:
        """Names of the computed stages, of "encodings", "atlas", "reference", "map", "gaps" and "correlations"."""
        return self._stages.ready

    def prepare(self, progress: Progress = silent) -> None:
        """Compute all stages in order of usefulness; each appears in `ready` as soon as it is computed.

        Raises:
            Cancelled: raised by `progress`; the stages computed so far are kept.
        """
        for number, stage in enumerate(STAGES):
            progress(number, len(STAGES), f"preparing {self.run.name}")
            self._stages.compute(stage, progress)
        progress(len(STAGES), len(STAGES), f"preparing {self.run.name}")

    # -- choosing an instance ---------------------------------------------------------------------------------------

    def instance(self, index: int) -> Instance:
        """Return a test image. Raises UserError if the index is out of range."""
        test = self.run.data.test
        if not 0 <= index < len(test):
            raise UserError(f"wanted a test image from 0 to {len(test) - 1}, got {index}")
        return Instance(test.pixels([index])[0].numpy(), index, self._class_of(index), "test")

    def _class_of(self, index: int) -> str | None:
        label, names = int(self.run.data.test.labels[index]), self.run.data.class_names
        return names[label] if 0 <= label < len(names) else None

    def place(self, image: Tensor | Array, source: Source) -> Instance:
        """Return the user's own image, (C, H, W), as an instance.

        Raises:
            UserError: the shape is wrong, or a pixel is NaN or outside of the run's `pixel_range`.
        """
        images = as_images(torch.as_tensor(image), self.run.model.event_shape, self.run.pixel_range)
        if len(images) != 1:
            raise UserError(f"wanted one image, got {len(images)}")
        return Instance(images[0].cpu().numpy(), None, None, source)

    def quick_picks(self) -> dict[str, int | None]:
        """Return test indices of extreme instances; None while unknown, or if the encoder reports no uncertainty."""
        uncertainty = self._stages.encodings().total
        gaps = self._stages.gaps_if_ready()
        return {
            "most uncertain": None if uncertainty is None else int(uncertainty.argmax()),
            "least uncertain": None if uncertainty is None else int(uncertainty.argmin()),
            "largest gap": None if gaps is None else gaps.extreme(largest=True),
            "smallest gap": None if gaps is None else gaps.extreme(largest=False),
        }

    def by_class(self, name: str) -> np.ndarray:
        """Return the test indices of a class. Raises UserError, with the closest name, if there is no such class."""
        names = self.run.data.class_names
        if name not in names:
            raise unknown("class", name, names)
        return np.flatnonzero(self.run.data.test.labels == names.index(name))

    def neighbours(self, index: int, step: int) -> int:
        """Return the test index `step` positions later (earlier if negative), modulo the number of test images."""
        return (index + step) % len(self.run.data.test)

    @cached_property
    def reports_uncertainty(self) -> bool:
        """Whether the encoder reports V[f] and V[h], without which some views have nothing to show."""
        with torch.no_grad():
            x = torch.zeros(1, *self.run.model.event_shape, device=self.run.device)
            return self.run.model.encoder(x).uncertainty() is not None

    @property
    def family(self) -> str:
        """The family of the encoder's posteriors in words, such as 'diagonal Gaussian, refined (semi-amortized)'."""
        refined = "" if self.run.refiner == "none" else f", refined ({self.run.refiner.replace('_', '-')})"
        return f"{self.run.config.encoder.family}{refined}"

    # -- one instance -----------------------------------------------------------------------------------------------

    def plane(self, instance: Instance, kind: str = "auto", dims: tuple[int, int] = (0, 1)) -> Plane:
        """Return the plane to display: at d = 2 the latent plane, at d > 2 a slice through the posterior mode.

        Args:
            kind: direction of the slice: along two latent dimensions ("dims"), or along the two widest directions of
                the Laplace approximation at the mode ("principal", also "auto").
            dims: the two latent dimensions, from 0.

        Raises:
            UserError: the kind is unknown, a dimension does not exist, or the run has one latent dimension.
        """
        return self._answers.plane(instance, kind, dims)

    def posterior_view(self, instance: Instance, plane: Plane | None = None) -> PosteriorView:
        """Return view 1 on a plane of this instance (default: `plane(instance)`)."""
        return self._answers.posterior_view(instance, plane or self.plane(instance))

    def line_view(self, instance: Instance) -> LineView:
        """Return view 1 along the latent line. Raises UserError unless d = 1."""
        return self._answers.line_view(instance)

    def shown_posterior(self, instance: Instance) -> PosteriorView | LineView:
        """Return view 1: along the latent line at d = 1, else on the default plane."""
        return self.line_view(instance) if self.run.model.latent_dim == 1 else self.posterior_view(instance)

    def knows_best(self, instance: Instance) -> bool:
        """Return whether the best Gaussians of an instance have been optimised already."""
        return self._answers.best_if_known(instance) is not None

    def best_gaussian(self, instance: Instance) -> BestGaussian:
        """Return the best Gaussians of one instance, optimizing them if necessary; later views show them."""
        return self._answers.best_gaussian(instance)

    def uncertainty_view(self, instance: Instance) -> UncertaintyView | None:
        """Return view 2; None if the encoder reports no uncertainty. The scatter is empty until the gaps are known."""
        sample = self._stages.gaps_if_ready()
        return uncertainty_view(
            self._answers.encoding(instance),
            self._stages.encodings(),
            np.empty(0, dtype=int) if sample is None else sample.index,
            {} if sample is None else sample.quantities(),
            self._stages.correlations_if_ready(),
        )

    def traces_view(self, instance: Instance, bandwidth: Bandwidth = "sigma_x") -> TracesView:
        """Return view 3; the kernel's width is the likelihood's sigma_x or chosen on validation images."""
        return self._answers.traces_view(instance, bandwidth)

    @property
    def bandwidths(self) -> tuple[Bandwidth, ...]:
        """Rules for MAPA's kernel width: only "validation" for a likelihood without sigma_x."""
        return BANDWIDTHS if self.run.model.likelihood.noise_scale() is not None else ("validation",)

    def reconstruction_view(self, instance: Instance) -> ReconstructionView:
        """Return view 5."""
        return self._answers.reconstruction_view(instance)

    def gap_view(self, instance: Instance) -> GapView:
        """Return view 6."""
        return self._answers.gap_view(instance)

    def sample_range(self) -> SampleRange | None:
        """Return log p(x) and gaps of the sample of test images; None while they are not computed yet."""
        sample = self._stages.gaps_if_ready()
        return None if sample is None else SampleRange(sample.columns["log_px"], sample.columns["inference"])

    # -- all instances ----------------------------------------------------------------------------------------------

    @property
    def figure_one_note(self) -> str:
        """One sentence on the choice of the six instances, or on why there are none."""
        if self._stages.encodings().total is None:
            return "This run's encoder reports no uncertainty, so there is no order to show; a GP encoder does."
        return "Test images at 0, 20, 40, 60, 80 and 100 % of the order by Tr V[f] + Tr V[h]; none is picked by hand."

    def figure_one(self) -> tuple[FigureOneItem, ...]:
        """Return six test instances in ascending order of uncertainty; empty if the encoder reports none."""
        uncertainty = self._stages.encodings().total
        if uncertainty is None:
            return ()
        return tuple(self._figure_one_item(int(i), float(uncertainty[i])) for i in quantile_picks(uncertainty))

    def _figure_one_item(self, index: int, uncertainty: float) -> FigureOneItem:
        instance = self.instance(index)
        x = self.run.data.test.pixels([index]).to(self.run.device)
        everyone = self._stages.encodings()
        reconstruction = decode_means(self.run.model, everyone.mean[index : index + 1], x)[0]
        posterior, variance = self.shown_posterior(instance), float(everyone.variance[index].sum())
        return FigureOneItem(index, uncertainty, posterior, instance.image, reconstruction, variance)

    def map_view(self) -> MapView:
        """Return view 4."""
        index, embedding = self._stages.map_index(), self._stages.map()
        data, total = self.run.data, self._stages.encodings().total
        return MapView(
            index=index,
            xy=embedding.xy,
            class_index=np.where(data.test.labels[index] < len(data.class_names), data.test.labels[index], -1),
            class_names=data.class_names,
            uncertainty=None if total is None else total[index],
            gap=self._gap_of(index),
            sample_note=self._sample_note(len(index), len(data.test)),
            note=READ[embedding.method],
            x_label="z1" if embedding.method == LINE else "",
        )

    def _gap_of(self, index: np.ndarray) -> Array | None:
        """Return the inference gaps of these test instances, NaN where not computed; None before any is computed."""
        sample = self._stages.gaps_if_ready()
        if sample is None:
            return None
        everyone = np.full(len(self.run.data.test), np.nan)
        everyone[sample.index] = sample.columns["inference"]
        return everyone[index]

    @staticmethod
    def _sample_note(shown: int, total: int) -> str:
        return (
            f"all {total:,} test images" if shown == total else f"a seeded sample of {shown:,} of {total:,} test images"
        )

    def place_on_map(self, instance: Instance) -> Array:
        """Return the position of an instance on the map, (2,): its own point, or that of its latent mean."""
        embedding = self._stages.map()
        rows = [] if instance.index is None else np.flatnonzero(self._stages.map_index() == instance.index)
        return embedding.xy[rows[0]] if len(rows) else embedding.place(self._answers.encoding(instance).mean[0])

    # -- export -----------------------------------------------------------------------------------------------------

    def to_csv(self, view: str, instance: Instance) -> dict[str, str]:
        """Return the numbers of a view of this instance as CSV texts, one for each table, by the table's name.

        Raises:
            UserError: the view is unknown.
        """
        name = self.run.name
        views: dict[str, tuple[export.Files, Callable[[], object]]] = {
            "map": (export.MAP, self.map_view),
            "posterior": (export.POSTERIOR, lambda: {name: self.shown_posterior(instance)}),
            "uncertainty": (export.UNCERTAINTY, lambda: self.uncertainty_view(instance)),
            "traces": (export.TRACES, lambda: self.traces_view(instance)),
            "reconstructions": (export.RECONSTRUCTIONS, lambda: self.reconstruction_view(instance)),
            "gaps": (export.GAPS, lambda: {name: self.gap_view(instance)}),
            "figure_one": (export.FIGURE_ONE, self.figure_one),
        }
        if view not in views:
            raise unknown("view", view, views)
        files, computed = views[view][0], views[view][1]()
        return {table: write(computed) for table, write in files.items()}
