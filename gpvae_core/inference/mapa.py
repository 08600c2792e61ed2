"""Inference by MAPA: index posteriors from the data alone, found once before training (Yacoby et al. 2024)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.inference.base import INFERENCES, TrainingSetup
from gpvae_core.inference.index_posterior import IndexInferenceConfig, IndexSampling
from gpvae_core.mapa import BANDWIDTHS, Bandwidth
from gpvae_core.mapa.bandwidth import choose_bandwidth
from gpvae_core.mapa.batches import Batching, NeighbourBatches, RandomBatches
from gpvae_core.mapa.cache import load_or_find
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.kernels.choice import build_kernel, kernel_settings
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.mapa.proposals import MapaProposal
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.progress import Progress
from gpvae_core.validation import DeviceSplit

log = logging.getLogger(__name__)

DENSE = 5120
"""Up to so many training points, all of them are stored for each: their table has 12 bytes for each pair, at most
0.8 GB, and the posterior in training 16 more."""
SMALL = 2048
"""Up to so many, their table is found as fast as it is read, and not kept on disk."""
STORED = 256
"""Of more than DENSE training points so many are stored for each, or twice k."""
TAIL = 0.1
"""Mean mass of what is not stored above which that is said."""
GROUP = 5
"""`gpvae bench batches`: larger groups save more passes, and learn less in a step."""


def _a_bandwidth(value: Any) -> Any:
    """Refuse anything that is no bandwidth, in one line."""
    numbers = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or value in BANDWIDTHS or (numbers and 0 < value < math.inf):
        return value
    raise ValueError(f"wanted bandwidth as a number above 0 or one of {', '.join(BANDWIDTHS)}, got {value!r}")


@INFERENCES.register("mapa")
class MapaConfig(IndexInferenceConfig):
    """Trained by MAPA, an index posterior found from the data before any model (images: bandwidth=validation)."""

    kind: ClassVar[str] = "mapa"
    method: ClassVar[str] = "mapa"
    bandwidth: Annotated[float | Bandwidth | None, BeforeValidator(_a_bandwidth)] = Field(
        default=None,
        description="width of the Gaussian kernel in the units of x: a number; sigma_x, the likelihood's at the start "
        "(the default); or validation, the best on validation points (recommended for images)",
    )
    rho: float | None = Field(
        default=None,
        gt=0.5,
        lt=1,
        description="softening of the kernel of black and white or of grey images, between 0.5 and 1 (default: 0.9)",
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        description="divides the log kernel of grey images: above 1 a flatter posterior (default: 1)",
    )
    stored: int | None = Field(
        default=None,
        ge=1,
        description="most probable indices that are stored for each point; the others share what is left evenly "
        f"(default: all of up to {DENSE} points, {STORED} or twice k of more)",
    )
    search: Literal["exact", "approximate"] = Field(
        default="exact", description="search for the most probable: exact, or approximate (faster on many points)"
    )
    batching: Literal["random", "neighbours"] = Field(
        default="random", description="batches of any points, or of neighbours, which need fewer network passes"
    )
    group_size: int | None = Field(
        default=None, ge=2, description=f"points of a group with batching=neighbours (default: {GROUP})"
    )

    @model_validator(mode="after")
    def _groups_are_of_neighbours(self) -> MapaConfig:
        if self.group_size is not None and self.batching == "random":
            raise ValueError("group_size has no effect without batching=neighbours: leave it out, or set that too")
        return self

    def prepare(self, setup: TrainingSetup, model: EmpiricalizedModel, progress: Progress) -> IndexSampling:
        n, x_train = len(setup.train), matrix(setup.train)
        kernel = build_kernel(setup.likelihood, self._kernel_settings(setup, x_train, progress))
        # The same for every seed of a run, so that restarts share it.
        find = find_neighbours if n <= SMALL else load_or_find
        table = find(x_train, kernel, self.stored_of(n), method=self.search, progress=progress)
        posterior = table.posterior(kernel)
        warn_of_tail(posterior)
        return IndexSampling(MapaProposal(posterior), self._batches(table))

    def _kernel_settings(
        self, setup: TrainingSetup, x_train: Float[Tensor, "N P"], progress: Progress
    ) -> dict[str, Any]:
        """Return the kernel's settings: those that were given, and a bandwidth where it has one."""
        given = {"rho": self.rho, "temperature": self.temperature, "bandwidth": self.bandwidth}
        chosen = {name: value for name, value in given.items() if value is not None}
        if "bandwidth" not in kernel_settings(setup.likelihood):
            return chosen
        found: dict[Any, Callable[[], float | None]] = {
            "sigma_x": setup.vae.likelihood.noise_scale,
            "validation": lambda: choose_bandwidth(x_train, matrix(setup.validation), progress=progress),
        }
        width = self.bandwidth or "sigma_x"
        return {**chosen, "bandwidth": found[width]() if width in found else width}

    def stored_of(self, n_total: int) -> int:
        """Return K, the number of most probable indices that are stored for each point."""
        k = self.summed(n_total)
        if self.stored is None:
            return n_total if n_total <= DENSE else min(n_total, max(STORED, 2 * k))
        if not k <= self.stored <= n_total:
            raise UserError(
                f"wanted stored from the {k} neighbours that are summed over to the {n_total} training points, got "
                f"{self.stored}"
            )
        return self.stored

    def _batches(self, table: NeighbourTable) -> Batching:
        if self.batching == "random":
            return RandomBatches(table.n_total)
        return NeighbourBatches(table.index, self.group_size or GROUP)


def warn_of_tail(posterior: SparsePosterior) -> None:
    """Warn where so much of the posterior is spread evenly that little of MAPA is left."""
    mass, stored = float(posterior.log_tail.exp().mean()), posterior.index.shape[1]
    if mass > TAIL:
        log.warning(
            "MAPA: the %d stored of %d indices hold %.0f %% of the posterior (mean); the rest is spread evenly over "
            "the others, and a larger --set stored=... follows the data more closely",
            stored,
            posterior.n_total,
            100 * (1 - mass),
        )


def matrix(split: DeviceSplit) -> Float[Tensor, "N P"]:
    """Return the points of a split as rows, on the CPU."""
    return split.all().flatten(1).cpu()
