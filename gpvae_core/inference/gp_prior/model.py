"""What a GP-prior VAE has beside encoder, decoder and likelihood: the process, its approximation, the constraint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.gp_prior.constraint import Constraint
from gpvae_core.inference.gp_prior.representation import Representation
from gpvae_core.priors.gp import GPPrior


@dataclass(frozen=True)
class Approximation:
    """q(z_i) of each instance, and the KL term of each group."""

    marginals: Marginals
    """Of shape (G, D, T)."""
    kl: Float[Tensor, " G"]
    """The group's KL term in nats, summed over channels; times the batch's share where a group is in many batches."""


class Predictor(ABC):
    """The process given all observations: it predicts latents at any inputs."""

    @abstractmethod
    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        """Return the marginals (D, S) at these inputs."""

    def process(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        """Return the marginals (D, S) of the process alone, where latents are the process and noise; else of both."""
        return self.predict(inputs)


class LinearPredictor(Predictor):
    """A predictor whose means are linear in what the encoder says of N instances, y~: m_s = sum_i w_si y~_i."""

    @abstractmethod
    def weights(self, inputs: Float[Tensor, "S F"]) -> Float[Tensor, "D S N"]:
        """Return the weights w of each instance at these inputs, those of the kernel smoother of each channel."""


class Family(nn.Module, ABC):
    """How the posterior of the process is approximated; with the parameters that this takes, all in float64."""

    decodes_means: ClassVar[bool] = False
    """Whether the bound decodes the mean of q(z_i), with a penalty for its variance, and not a sample."""

    rests_on_observations: ClassVar[bool] = False
    """Whether q(z) is the posterior given the encoder's pseudo-observations, and has no parameters of its own."""

    is_smoother: ClassVar[bool] = False
    """Whether `given` returns a `LinearPredictor`."""

    def check(self, prior: GPPrior) -> None:
        """Raise UserError if the approximation does not suit the prior."""
        return

    def start(self, prior: GPPrior, inputs: Float[Tensor, "N F"], seed: int) -> None:
        """Set the parameters to their start at the training instances' inputs, before the first step.

        Raises:
            UserError: the approximation does not suit the prior at these inputs.
        """
        return

    def takes_all(self) -> bool:
        """Return whether `approximate` takes all training instances at each step, and not those of the batch alone.

        The pseudo-observations of those outside of the batch are then constants, without gradients.
        """
        return False

    @abstractmethod
    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        """Return q(z) of the instances of G groups, in training.

        Args:
            share: b / N, the share of a batch of b in a group of N; 1 where each group is a row.
        """

    @abstractmethod
    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        """Return the process given the pseudo-observations (D, N) of all instances of one group."""


class GPModel(nn.Module):
    """The GP prior of a model, the family by which its posterior is approximated, and the constraint of training."""

    def __init__(self, prior: GPPrior, family: Family, constraint: Constraint) -> None:
        super().__init__()
        self.prior, self.family, self.constraint = prior, family, constraint
        self.representation: Representation | None = None
        """The network that finds the vectors of a represented category; None where all are learned."""
