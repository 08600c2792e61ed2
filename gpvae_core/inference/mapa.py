"""Inference by MAPA: index posteriors computed from the data alone, once before training (Yacoby et al. 2024)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from gpvae_core.errors import UserError, clipped
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
from gpvae_core.mapa.ranges import BANDWIDTH_RANGE, is_bandwidth
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.part import MOST, MOST_POINTS
from gpvae_core.progress import Progress
from gpvae_core.validation import DeviceSplit

log = logging.getLogger(__name__)

DENSE = 5120
"""Largest number of training points for which all pairs are stored: the table has 12 bytes for each pair, at most
0.8 GB, and the posterior in training 16 more."""
SMALL = 2048
"""Largest number of training points for which the table is not cached on disk, as computing it is as fast."""
STORED = 256
"""Number of indices stored for each of more than DENSE training points (or twice k, if that is more)."""
MAX_TAIL = 0.1
"""Mean mass of the indices that are not stored above which there is a warning."""
GROUP = 5
"""Default size of a group: larger ones save more passes, and learn less in a step (`gpvae bench batches`)."""


def _check_bandwidth(value: Any) -> Any:
    """Return the value if it is a bandwidth, else raise a ValueError of one line."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)  # a bool is an int in Python
    if value is None or value in BANDWIDTHS or (is_number and is_bandwidth(value)):
        return value
    wanted = f"a number {BANDWIDTH_RANGE} or one of {', '.join(BANDWIDTHS)}"
    raise ValueError(f"wanted bandwidth as {wanted}, got {clipped(repr(value))}")


@INFERENCES.register("mapa")
class MapaConfig(IndexInferenceConfig):
    """MAPA: an index posterior computed from the data before any model (for images: bandwidth=validation)."""

    kind: ClassVar[str] = "mapa"
    method: ClassVar[str] = "mapa"
    bandwidth: Annotated[float | Bandwidth | None, BeforeValidator(_check_bandwidth)] = Field(
        default=None,
        description="width of the Gaussian kernel in the units of x: a number; sigma_x, the likelihood's initial scale "
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
        le=MOST,
        description="divisor of the log kernel of grey images; above 1 the posterior is flatter (default: 1)",
    )
    stored: int | None = Field(
        default=None,
        ge=1,
        le=MOST_POINTS,
        description="number of most probable indices stored for each point; the remaining mass is spread evenly over "
        f"the others (default: all for up to {DENSE} points, else {STORED} or twice k)",
    )
    search: Literal["exact", "approximate"] = Field(
        default="exact",
        description="search for the most probable indices: exact, or approximate (faster on many points)",
    )
    batching: Literal["random", "neighbours"] = Field(
        default="random", description="batches of random points, or of neighbours, which need fewer network passes"
    )
    group_size: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description=f"number of points in a group with batching=neighbours (default: {GROUP})",
    )

    @model_validator(mode="after")
    def _check_group_size(self) -> MapaConfig:
        if self.group_size is not None and self.batching == "random":
            raise ValueError("group_size has no effect without batching=neighbours: leave it out, or set that too")
        return self

    def prepare(self, setup: TrainingSetup, model: EmpiricalizedModel, progress: Progress) -> IndexSampling:
        n, x_train = len(setup.train), matrix(setup.train)
        kernel = build_kernel(setup.likelihood, self._kernel_settings(setup, x_train, progress))
        # The table does not depend on the seed of a run, so that restarts share it.
        find = find_neighbours if n <= SMALL else load_or_find
        table = find(x_train, kernel, self.stored_of(n), method=self.search, progress=progress)
        posterior = table.posterior(kernel)
        warn_of_tail(posterior)
        return IndexSampling(MapaProposal(posterior), self._batches(table))

    def _kernel_settings(
        self, setup: TrainingSetup, x_train: Float[Tensor, "N P"], progress: Progress
    ) -> dict[str, Any]:
        """Return the settings of the kernel that are not None, with a bandwidth if the kernel has one."""
        optional = {"rho": self.rho, "temperature": self.temperature, "bandwidth": self.bandwidth}
        settings = {name: value for name, value in optional.items() if value is not None}
        if "bandwidth" not in kernel_settings(setup.likelihood):
            return settings
        computed: dict[Any, Callable[[], float | None]] = {
            "sigma_x": lambda: setup.start_noise_scale,
            "validation": lambda: choose_bandwidth(x_train, matrix(setup.validation), progress=progress),
        }
        bandwidth = self.bandwidth or "sigma_x"
        return {**settings, "bandwidth": computed[bandwidth]() if bandwidth in computed else bandwidth}

    def stored_of(self, n_total: int) -> int:
        """Return the number of most probable indices that are stored for each point.

        Raises:
            UserError: `stored` is not between the k neighbours and the number of points.
        """
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
    """Log a warning if much of the posterior's mass is spread evenly, so that it differs from MAPA."""
    mass, stored = float(posterior.log_tail.exp().mean()), posterior.index.shape[1]
    if mass > MAX_TAIL:
        log.warning(
            "MAPA: the %d stored of %d indices hold %.0f %% of the posterior (mean); the rest is spread evenly over "
            "the others, and a larger --set stored=... follows the data more closely",
            stored,
            posterior.n_total,
            100 * (1 - mass),
        )


def matrix(split: DeviceSplit) -> Float[Tensor, "N P"]:
    """Return the points of a split as rows of a matrix, on the CPU."""
    return split.all().flatten(1).cpu()
