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
from gpvae_core.inference.base import INFERENCES, Materials
from gpvae_core.inference.empiricalized import EmpiricalConfig, Ways, all_points
from gpvae_core.mapa.bandwidths import BANDWIDTHS, Bandwidth
from gpvae_core.mapa.batches import Batching, NeighbourBatches, RandomBatches
from gpvae_core.mapa.cache import load_or_find
from gpvae_core.mapa.empirical import Empiricalized
from gpvae_core.mapa.kernel import choose_bandwidth
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
"""Of more than DENSE, so many, or twice k."""
TAIL = 0.1
"""Mean mass of what is not stored above which that is said."""
GROUP = 5
"""`gpvae bench batches`: larger groups save more passes, and learn less in a step."""


def _a_bandwidth(value: Any) -> Any:
    """As one line of error where it is none."""
    numbers = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or value in BANDWIDTHS or (numbers and 0 < value < math.inf):
        return value
    raise ValueError(f"wanted bandwidth as a number above 0 or one of {', '.join(BANDWIDTHS)}, got {value!r}")


@INFERENCES.register("mapa")
class MapaConfig(EmpiricalConfig):
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
            raise ValueError("group_size is of batching=neighbours: leave it out, or set that too")
        return self

    def prepare(self, materials: Materials, model: Empiricalized, progress: Progress) -> Ways:
        n, x_train = len(materials.train), matrix(materials.train)
        kernel = build_kernel(materials.likelihood, self._of_kernel(materials, x_train, progress))
        # The same for every seed of a run, so that restarts share it.
        find = find_neighbours if n <= SMALL else load_or_find
        table = find(x_train, kernel, self.stored_of(n), how=self.search, progress=progress)
        posterior = table.posterior(kernel)
        warn_of_tail(posterior)
        return Ways(MapaProposal(posterior), self._batches(table))

    def _of_kernel(self, of: Materials, x_train: Float[Tensor, "N P"], progress: Progress) -> dict[str, Any]:
        """Settings of the kernel: those that were given, and a bandwidth where it wants one."""
        given = {"rho": self.rho, "temperature": self.temperature, "bandwidth": self.bandwidth}
        chosen = {name: value for name, value in given.items() if value is not None}
        if "bandwidth" not in kernel_settings(of.likelihood):
            return chosen
        ways: dict[Any, Callable[[], float | None]] = {
            "sigma_x": of.vae.likelihood.noise_scale,
            "validation": lambda: choose_bandwidth(x_train, matrix(of.validation), progress=progress),
        }
        width = self.bandwidth or "sigma_x"
        return {**chosen, "bandwidth": ways[width]() if width in ways else width}

    def stored_of(self, n_total: int) -> int:
        """K."""
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
    """Say where so much of the posterior is spread evenly that little of MAPA is left."""
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
    """The points of a split as rows, on the CPU."""
    return all_points(split).flatten(1).cpu()
