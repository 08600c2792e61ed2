"""The affine fit of latents to a known path, as of the ball in a video (Pearce 2020; Jazbec et al. 2021, sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gpvae_core.data.auxiliary import Auxiliary, Column


def path_column(auxiliary: Auxiliary | None) -> Column | None:
    """Return the column of the known path, the first that is a vector; None if there is none."""
    columns = () if auxiliary is None else auxiliary.columns
    return next((column for column in columns if column.role == "vector"), None)


@dataclass(frozen=True)
class AffineFit:
    """The map z -> z A + b that is nearest to a path in squares, as latents are known only up to such a map."""

    coefficients: Float[np.ndarray, "D+1 E"]
    """A, and b in the last row."""

    @classmethod
    def of(cls, mean: Float[np.ndarray, "N D"], path: Float[np.ndarray, "N E"]) -> AffineFit:
        """Return the fit of latents to a path at the same instants."""
        fit, *_ = np.linalg.lstsq(np.column_stack([mean, np.ones(len(mean))]), path, rcond=None)
        return cls(fit)

    def path(self, mean: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N E"]:
        """Return the path at latents, in the units of the known one."""
        return mean @ self.coefficients[:-1] + self.coefficients[-1]

    def deviation(self, variance: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N E"]:
        """Return the standard deviation of the path, whose latents' channels are independent of one another."""
        return np.sqrt(variance @ np.square(self.coefficients[:-1]))

    def rmse(self, mean: Float[np.ndarray, "N D"], path: Float[np.ndarray, "N E"]) -> float:
        """Return the root mean square error of the fitted latents' coordinates."""
        return float(np.sqrt(np.square(self.path(mean) - path).mean()))
