"""Everything the Posterior Explorer shows of one run, as plain data. One explorer serves all sessions and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection import export
from gpvae_core.inspection.answers import InstanceAnswers
from gpvae_core.inspection.gap_sample import BestGaussian
from gpvae_core.inspection.pictures import decode_means
from gpvae_core.inspection.stages import STAGES, Stages
from gpvae_core.inspection.uncertainty import quantile_picks, uncertainty_view
from gpvae_core.inspection.views import (
    Array,
    FigureOneItem,
    GapView,
    Instance,
    MapView,
    Plane,
    PosteriorView,
    ReconstructionView,
    TracesView,
    UncertaintyView,
)
from gpvae_core.mapa import BANDWIDTHS, Bandwidth
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.types import as_images

Source = Literal["drawn", "uploaded"]


class Explorer:
    """The views of one run. What `prepare` has not computed yet is computed when a view needs it, or left out.

    Args:
        gap_sample: test instances whose gaps `prepare` computes (a seeded sample); all where there are few, else 200.
        seed: of every sample: instances, noise, the map.
    """

    def __init__(self, run: Run, gap_sample: int | None = None, seed: int = 0) -> None:
        self.run = run
        self._stages = Stages(run, gap_sample, seed)
        self._answers = InstanceAnswers(self._stages)

    # -- computing ahead --------------------------------------------------------------------------------------------

    @property
    def ready(self) -> frozenset[str]:
        """Return which of "encodings", "atlas", "reference", "map", "gaps", "correlations" are computed."""
        return self._stages.ready

    def prepare(self, progress: Progress = silent) -> None:
        """Compute all stages in order of usefulness; each is published in `ready` at once.

        Raises:
            Cancelled: from `progress`; what is done stays done.
        """
        for number, stage in enumerate(STAGES):
            progress(number, len(STAGES), f"preparing {self.run.name}")
            self._stages.compute(stage, progress)
        progress(len(STAGES), len(STAGES), f"preparing {self.run.name}")

    # -- choosing an instance ---------------------------------------------------------------------------------------

    def instance(self, index: int) -> Instance:
        """Return a test image. Raises UserError for an index out of range."""
        test = self.run.data.test
        if not 0 <= index < len(test):
            raise UserError(f"wanted a test image from 0 to {len(test) - 1}, got {index}")
        return Instance(test.pixels([index])[0].numpy(), index, self._class_of(index), "test")

    def _class_of(self, index: int) -> str | None:
        label, names = int(self.run.data.test.labels[index]), self.run.data.class_names
        return names[label] if 0 <= label < len(names) else None

    def place(self, image: Tensor | Array, source: Source) -> Instance:
        """An image of the user's own, (C, H, W). Raises UserError for a wrong shape, NaN, or pixels outside [0, 1]."""
        images = as_images(torch.as_tensor(image), self.run.model.event_shape)
        if len(images) != 1:
            raise UserError(f"wanted one image, got {len(images)}")
        return Instance(images[0].cpu().numpy(), None, None, source)

    def quick_picks(self) -> dict[str, int | None]:
        """Test indices of extreme instances; None while unknown, or for an encoder that states no uncertainty."""
        uncertainty = self._stages.encodings().total
        gaps = self._stages.gaps_if_ready()
        return {
            "most uncertain": None if uncertainty is None else int(uncertainty.argmax()),
            "least uncertain": None if uncertainty is None else int(uncertainty.argmin()),
            "largest gap": None if gaps is None else gaps.extreme(largest=True),
            "smallest gap": None if gaps is None else gaps.extreme(largest=False),
        }

    def by_class(self, name: str) -> np.ndarray:
        """Return test indices of a class. Raises UserError with the nearest right name."""
        names = self.run.data.class_names
        if name not in names:
            raise unknown("class", name, names)
        return np.flatnonzero(self.run.data.test.labels == names.index(name))

    def neighbours(self, index: int, step: int) -> int:
        """Return the test index `step` further on (back for a negative one), round the end."""
        return (index + step) % len(self.run.data.test)

    # -- one instance -----------------------------------------------------------------------------------------------

    def plane(self, instance: Instance, kind: str = "auto", dims: tuple[int, int] = (0, 1)) -> Plane:
        """d = 2: the latent plane. d > 2: a slice through the posterior mode along two latent dimensions ("dims"), or
        along the two widest directions of the Laplace approximation there ("principal", and "auto").

        Raises:
            UserError: an unknown kind, dimensions that do not exist, or a run with one latent dimension.
        """
        return self._answers.plane(instance, kind, dims)

    def posterior_view(self, instance: Instance, plane: Plane | None = None) -> PosteriorView:
        """View 1, on a plane of this instance (default: the automatic one)."""
        return self._answers.posterior_view(instance, plane or self.plane(instance))

    def best_gaussian(self, instance: Instance) -> BestGaussian:
        """The best Gaussians of one instance, optimised now where they are not known; views show them from then on."""
        return self._answers.best_gaussian(instance)

    def uncertainty_view(self, instance: Instance) -> UncertaintyView | None:
        """View 2; None for an encoder that states no uncertainty. The scatter is empty until the gaps are known."""
        sample = self._stages.gaps_if_ready()
        return uncertainty_view(
            self._answers.encoding(instance),
            self._stages.encodings(),
            np.empty(0, dtype=int) if sample is None else sample.index,
            {} if sample is None else sample.quantities(),
            self._stages.correlations_if_ready(),
        )

    def traces_view(self, instance: Instance, bandwidth: Bandwidth = "sigma_x") -> TracesView:
        """View 3, with MAPA's kernel as wide as the likelihood's sigma_x, or as fits validation images best."""
        return self._answers.traces_view(instance, bandwidth)

    @property
    def bandwidths(self) -> tuple[Bandwidth, ...]:
        """Return the sources of MAPA's kernel width: a likelihood without sigma_x leaves the validation images."""
        return BANDWIDTHS if self.run.model.likelihood.noise_scale() is not None else ("validation",)

    def reconstruction_view(self, instance: Instance) -> ReconstructionView:
        """View 5."""
        return self._answers.reconstruction_view(instance)

    def gap_view(self, instance: Instance) -> GapView:
        """View 6."""
        return self._answers.gap_view(instance)

    # -- all instances ----------------------------------------------------------------------------------------------

    @property
    def figure_one_note(self) -> str:
        """One sentence: how the six instances were chosen, or why there are none."""
        if self._stages.encodings().total is None:
            return "This run's encoder states no uncertainty, so there is no order to show; a GP encoder does."
        return "Test images at 0, 20, 40, 60, 80 and 100 % of the order by Tr V[f] + Tr V[h]; none is picked by hand."

    def figure_one(self) -> tuple[FigureOneItem, ...]:
        """Six test instances in order of uncertainty, the least uncertain first; empty for an encoder without."""
        uncertainty = self._stages.encodings().total
        if uncertainty is None:
            return ()
        return tuple(self._figure_one_item(int(i), float(uncertainty[i])) for i in quantile_picks(uncertainty))

    def _figure_one_item(self, index: int, uncertainty: float) -> FigureOneItem:
        instance = self.instance(index)
        x = self.run.data.test.pixels([index]).to(self.run.device)
        mean = self._stages.encodings().mean[index : index + 1]
        reconstruction = decode_means(self.run.model, mean, x)[0]
        return FigureOneItem(index, uncertainty, self.posterior_view(instance), instance.image, reconstruction)

    def map_view(self) -> MapView:
        """View 4."""
        index, drawn = self._stages.map_index(), self._stages.map()
        data, total = self.run.data, self._stages.encodings().total
        return MapView(
            index=index,
            xy=drawn.xy,
            class_index=np.where(data.test.labels[index] < len(data.class_names), data.test.labels[index], -1),
            class_names=data.class_names,
            uncertainty=None if total is None else total[index],
            gap=self._gap_of(index),
            sample_note=self._sample_note(len(index), len(data.test), drawn.method),
        )

    def _gap_of(self, index: np.ndarray) -> Array | None:
        """Inference gap of the test instances at `index`, NaN where not computed."""
        sample = self._stages.gaps_if_ready()
        if sample is None:
            return None
        everyone = np.full(len(self.run.data.test), np.nan)
        everyone[sample.index] = sample.columns["inference"]
        return everyone[index]

    @staticmethod
    def _sample_note(shown: int, total: int, method: str) -> str:
        sample = (
            f"all {total:,} test images" if shown == total else f"a seeded sample of {shown:,} of {total:,} test images"
        )
        return sample if method == "t-SNE" else f"{sample}, {method}"

    def place_on_map(self, instance: Instance) -> Array:
        """Return the place of an instance on the map, (2,): its own point, or one among the others' latent means."""
        drawn = self._stages.map()
        found = [] if instance.index is None else np.flatnonzero(self._stages.map_index() == instance.index)
        return drawn.xy[found[0]] if len(found) else drawn.place(self._answers.encoding(instance).mean[0])

    # -- export -----------------------------------------------------------------------------------------------------

    def to_csv(self, view: str, instance: Instance) -> str:
        """Return the numbers of a view of this instance. Raises UserError for an unknown view."""
        writers: dict[str, Callable[[], str]] = {
            "map": lambda: export.tsne_map(self.map_view()),
            "posterior": lambda: export.posterior(self.posterior_view(instance)),
            "uncertainty": lambda: export.uncertainty(self.uncertainty_view(instance)),
            "traces": lambda: export.traces(self.traces_view(instance)),
            "reconstructions": lambda: export.reconstructions(self.reconstruction_view(instance)),
            "gaps": lambda: export.gaps(self.gap_view(instance)),
            "figure_one": lambda: export.figure_one(self.figure_one()),
        }
        if view not in writers:
            raise unknown("view", view, writers)
        return writers[view]()
