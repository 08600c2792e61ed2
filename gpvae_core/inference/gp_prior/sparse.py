"""Inducing points in the inputs of a GP prior, and the prediction from the posterior of their outputs."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.gp_prior.sparse import InducingPoints, InducingPosterior, InducingProjection, Statistics
from gpvae_core.inference.gp_prior.inducing_starts import PointsStart, starting_points
from gpvae_core.inference.gp_prior.model import Family, LinearPredictor, Predictor
from gpvae_core.priors.gp import GPPrior


class Inducing(nn.Module):
    """The m inducing inputs U, learned with the model or fixed."""

    def __init__(self, m: int, width: int, learn: bool, start: PointsStart) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.zeros(m, width, dtype=torch.float64), requires_grad=learn)
        self._start: PointsStart = start

    @torch.no_grad()
    def start(self, prior: GPPrior, inputs: Float[Tensor, "N F"], seed: int) -> None:
        """Set U to its start at the training instances' inputs."""
        found = starting_points(self._start, len(self.inputs), inputs.cpu(), prior.inputs.learned(), seed)
        self.inputs.copy_(found)

    def points(self, prior: GPPrior) -> InducingPoints:
        """Return the factor of K_mm."""
        return InducingPoints(prior.kernel.matrix(self.inputs, self.inputs), prior.config.jitter)

    def project(
        self, prior: GPPrior, points: InducingPoints, inputs: Float[Tensor, "*batch N F"]
    ) -> InducingProjection:
        """Return what instances at these inputs have to do with the inducing points."""
        own = self.inputs.expand(*inputs.shape[:-2], *self.inputs.shape)
        return points.project(prior.kernel.matrix(own, inputs), prior.kernel.diagonal(inputs))


class SparsePredictor(Predictor):
    """Predicts from q(f_m) of one group (eq. 3)."""

    def __init__(self, inducing: Inducing, prior: GPPrior, points: InducingPoints, q: InducingPosterior) -> None:
        self._inducing, self._prior, self._points, self.q = inducing, prior, points, q

    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        return self.q.marginals(self.at(inputs))

    def at(self, inputs: Float[Tensor, "S F"]) -> InducingProjection:
        """Return what these inputs have to do with the inducing points."""
        return self._inducing.project(self._prior, self._points, inputs)


class PooledPredictor(LinearPredictor):
    """Predicts from the optimal sparse posterior given the pseudo-observations of one group (eq. 3, 4 and 5)."""

    def __init__(
        self, inducing: Inducing, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations
    ) -> None:
        points = inducing.points(prior)
        q = pooled(inducing, prior, points, inputs, pseudo)
        self.sparse, self._inputs, self._precision = (
            SparsePredictor(inducing, prior, points, q),
            inputs,
            pseudo.precision,
        )

    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        return self.sparse.predict(inputs)

    def weights(self, inputs: Float[Tensor, "S F"]) -> Float[Tensor, "D S N"]:
        return self.sparse.q.weights(self.sparse.at(inputs), self.sparse.at(self._inputs), self._precision)


def pooled(
    inducing: Inducing,
    prior: GPPrior,
    points: InducingPoints,
    inputs: Float[Tensor, "N F"],
    pseudo: PseudoObservations,
    chunk: int = 4096,
) -> InducingPosterior:
    """Return the optimal sparse posterior given all pseudo-observations, whose sums are taken in pieces (eq. 4, 5)."""
    parts = zip(inputs.split(chunk), pseudo.mean.split(chunk, -1), pseudo.precision.split(chunk, -1), strict=True)
    sums = [
        Statistics.of(inducing.project(prior, points, x), PseudoObservations(mean, precision))
        for x, mean, precision in parts
    ]
    total = sums[0]
    for other in sums[1:]:
        total = total + other
    return total.posterior()


class OptimalPosterior(Family, ABC):
    """A family whose q(f_m) follows from the pseudo-observations as their optimum (eq. 4, 5), and has no parameters."""

    rests_on_observations: ClassVar[bool] = True
    is_smoother: ClassVar[bool] = True

    def __init__(self, inducing: Inducing) -> None:
        super().__init__()
        self.inducing = inducing

    def start(self, prior: GPPrior, inputs: Float[Tensor, "N F"], seed: int) -> None:
        self.inducing.start(prior, inputs, seed)

    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        return PooledPredictor(self.inducing, prior, inputs, pseudo)
