"""The balance of reconstruction and KL: a factor beta, or GECO (Rezende & Viola 2018; Jazbec et al. 2021, A.4)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

MOST_LOG_MULTIPLIER = math.log(1e8)
"""Bound of |log lambda|, as exp(C) multiplies lambda at every step and a constraint can stay unmet for ever."""


def unmet_constraint(epochs: Sequence[float], constraint: Sequence[float], multiplier: Sequence[float]) -> str:
    """Return a sentence where GECO ended with its constraint unmet and its multiplier at the bound; '' elsewhere.

    Args:
        epochs, constraint, multiplier: of each epoch; NaN without GECO.
    """
    bound = math.exp(MOST_LOG_MULTIPLIER)
    below = [number for number, value in enumerate(multiplier) if not value >= bound * (1 - 1e-9)]
    first = below[-1] + 1 if below else 0
    if first >= len(multiplier) or not constraint[-1] > 0:
        return ""
    return (
        f"GECO's constraint is not met: C = {constraint[-1]:.2g} pixel² is above 0, and the multiplier has stood at "
        f"its bound of {bound:.0e} since epoch {epochs[first]:.0f}"
    )


@dataclass(frozen=True)
class Terms:
    """The terms of the bound of a batch of B instances."""

    log_likelihood: Float[Tensor, " B"]
    """log p(y_i|z_i) in nats at a sample z_i, with gradients."""
    square_error: Float[Tensor, " B"]
    """Mean over an image's observed pixels of (y - mu(z))^2."""
    kl: Float[Tensor, ""]
    """The batch's share of the KL term, summed over channels, in nats."""
    noise_fit: Callable[[], Float[Tensor, ""]]
    """Returns mean log p(y_i|z_i) in nats as a function of the likelihood's own parameters alone, such as sigma_x."""


class Constraint(nn.Module, ABC):
    """Turns the terms of a batch into the scalar to be maximised."""

    @abstractmethod
    def surrogate(self, terms: Terms, kl_weight: float) -> Float[Tensor, ""]:
        """Return the scalar to maximise, in training; what the constraint remembers is updated."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Return what stands in the metrics of an epoch, by name."""


class FixedBeta(Constraint):
    """E log p(y|z) - beta KL, per instance; beta = 1 is the evidence lower bound."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self._beta = beta

    def surrogate(self, terms: Terms, kl_weight: float) -> Float[Tensor, ""]:
        return terms.log_likelihood.mean() - self._beta * kl_weight * terms.kl / len(terms.log_likelihood)

    def figures(self) -> dict[str, float]:
        return {}


class Geco(Constraint):
    """GECO: minimise the KL subject to a mean square error of at most kappa^2 a pixel, by a Lagrange multiplier.

    With C = mean square error - kappa^2 of the batch and its moving average C_ma, of which only C has a gradient, the
    loss is KL + lambda C_ma, and after the step lambda becomes lambda exp(C_ma). As in the public code of Jazbec et
    al., the KL is summed over the batch's share, and lambda starts at 1 and is used before it is updated; here
    |log lambda| is bounded by log 1e8. The paper says kappa = 0.020 where its code has kappa^2 = 0.020.
    """

    def __init__(self, tolerance: float, momentum: float) -> None:
        super().__init__()
        self._tolerance, self._momentum = tolerance, momentum
        self.average = nn.Buffer(torch.zeros((), dtype=torch.float64))
        self.log_multiplier = nn.Buffer(torch.zeros((), dtype=torch.float64))
        self.begun = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def surrogate(self, terms: Terms, kl_weight: float) -> Float[Tensor, ""]:
        constraint = terms.square_error.double().mean() - self._tolerance
        with torch.no_grad():
            # The average begins with the first constraint, not with 0.
            momentum = self._momentum * self.begun
            self.average.copy_(momentum * self.average + (1 - momentum) * constraint)
            self.begun.fill_(1.0)
        carried = constraint + (self.average - constraint).detach()
        loss = kl_weight * terms.kl + self.log_multiplier.exp() * carried
        with torch.no_grad():
            bounded = (self.log_multiplier + self.average).clamp(-MOST_LOG_MULTIPLIER, MOST_LOG_MULTIPLIER)
            self.log_multiplier.copy_(bounded)
        # sigma_x is no part of GECO's loss: it is fitted to the reconstructions as they are.
        return terms.noise_fit() - loss

    def figures(self) -> dict[str, float]:
        return {"constraint": float(self.average), "multiplier": float(self.log_multiplier.exp())}
