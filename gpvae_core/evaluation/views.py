"""Which views a prediction of a GP-prior VAE rests on: the weights of the kernel smoother, view by view.

The predicted mean of a latent channel is linear in the encoder's pseudo-observations y~ of the images that it is given,
m_s = sum_i w_si y~_i, as in GP regression (Jazbec et al. 2021, eq. 1 and 3; Rasmussen & Williams 2006, sec. 2.6). With
`gppvae` it is linear in the means of the encoder's own posteriors, and the weights are those of its prior alone (B.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary
from gpvae_core.data.split import Split
from gpvae_core.errors import UserError
from gpvae_core.evaluation.process import inference_of
from gpvae_core.inference.gp_prior.model import GPModel, LinearPredictor
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit

AT_ONCE = 64
"""Predictions whose weights are computed in one batch, (D, S, N) in float64."""


@dataclass(frozen=True)
class ViewsBehind:
    """The views behind one prediction, that of the largest share first."""

    index: NDArray[np.int64]
    """Index of each view among the images that the prediction is given, (top,)."""
    share: Float[np.ndarray, " top"]
    """Share of each view, sum_l |w_i^l| / sum_l sum_j |w_j^l| over latent channels l; those of all views sum to 1."""
    weight: Float[np.ndarray, "top D"]
    """Signed weight w_i^l of each view in the mean of each latent channel."""
    effective: float
    """Effective number of views, 1 / sum_i share_i^2 over all of them; 0 where all weights are."""


class Smoother:
    """The smoother of a run, given its training images or others, from which the views behind predictions are read.

    It encodes the images once, and can be asked any number of times.
    """

    def __init__(self, run: Run, given: Split | None = None) -> None:
        """Encode the images that predictions are given.

        Args:
            given: the images (default: the training images of the run). Where the run has groups, such as videos, a
                prediction is given the images of its own group alone.

        Raises:
            UserError: the run has no GP prior.
        """
        self._run, self._engine = run, inference_of(run)
        assert isinstance(run.model.extra, GPModel)
        self._prior = run.model.extra.prior
        self._given = DeviceSplit(run.data.train if given is None else given, run.device)
        self._predictors: dict[int, tuple[LinearPredictor, Tensor]] = {}

    @torch.no_grad()
    def weights(self, at: Auxiliary) -> list[tuple[Float[Tensor, "D N"], Tensor]]:
        """Return for each row of `at` the weights of the views it is given, and their indices (N,).

        Raises:
            UserError: the columns are not those of the run's data, the group of a row has no images, or the method has
                no pseudo-observations.
        """
        values = self._columns(at)
        group = values[self._prior.group] if self._prior.group else torch.zeros(len(at), dtype=torch.int64)
        inputs = self._prior.at(values)
        out: dict[int, tuple[Tensor, Tensor]] = {}
        for code in group.unique().tolist():
            predictor, index = self._predictor(int(code))
            for rows in (group == code).nonzero().flatten().split(AT_ONCE):
                found = predictor.weights(inputs[rows.to(inputs.device)]).transpose(0, 1)
                out.update({row: (w, index) for row, w in zip(rows.tolist(), found, strict=True)})
        return [out[row] for row in range(len(at))]

    def views(self, at: Auxiliary, top: int = 8) -> list[ViewsBehind]:
        """Return the `top` views behind the prediction at each row of `at`. Raises UserError as `weights` does."""
        if top < 1:
            raise UserError(f"wanted at least 1 view, got top={top}")
        return [heaviest(w, index, top) for w, index in self.weights(at)]

    def _columns(self, at: Auxiliary) -> dict[str, Tensor]:
        """Return the columns that the kernel and the groups take. Raises UserError if one is not that of the data."""
        names = [*self._prior.inputs.features, *([self._prior.group] if self._prior.group else [])]
        own = {column.name: column for column in self._run.meta.columns}
        for name in names:
            if at.column(name) != own[name]:
                raise UserError(f"column '{name}' is not that of the data of run '{self._run.name}'")
        return {name: torch.from_numpy(at[name]).to(self._run.device) for name in dict.fromkeys(names)}

    def _predictor(self, code: int) -> tuple[LinearPredictor, Tensor]:
        """Return the process given the images of a group, or all images without groups, and their indices."""
        if code not in self._predictors:
            group = self._given.columns[self._prior.group] == code if self._prior.group else None
            everything = torch.arange(len(self._given), device=self._run.device)
            index = everything if group is None else everything[group]
            if len(index) == 0:
                names = next(c.names for c in self._run.meta.columns if c.name == self._prior.group)
                raise UserError(
                    f"none of the images that predictions are given is of {self._prior.group} {names[code]}"
                )
            predictor = self._engine.predictor(self._given, index)
            if not isinstance(predictor, LinearPredictor):
                raise UserError(
                    f"method '{self._run.config.method}' has no pseudo-observations: its predictions rest on a free "
                    "q(f_m), and not on views"
                )
            self._predictors[code] = predictor, index
        return self._predictors[code]


def views_behind(run: Run, at: Auxiliary, top: int = 8, given: Split | None = None) -> list[ViewsBehind]:
    """Return the views behind the prediction at each row of `at`, such as `run.data.test.auxiliary`.

    Args:
        top: number of views of each prediction.
        given: see `Smoother`, which serves where there are many calls.

    Raises:
        UserError: see `Smoother` and `Smoother.weights`.
    """
    return Smoother(run, given).views(at, top)


def heaviest(weights: Float[Tensor, "D N"], index: Tensor, top: int) -> ViewsBehind:
    """Return the `top` views, which are at `index` in their split, that have the largest weights in a prediction."""
    size = weights.abs().sum(0)
    share = size / size.sum().clamp_min(torch.finfo(size.dtype).tiny)
    order = share.argsort(descending=True, stable=True)[:top]
    square = float(share.square().sum())
    return ViewsBehind(
        index[order].cpu().numpy(),
        share[order].cpu().numpy(),
        weights[:, order].mT.cpu().numpy(),
        1 / square if square else 0.0,
    )
