"""Which score a result of a sweep has, in which unit, and whether more of it is better; torch is not imported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A score of a trained model on the test images."""

    field: str
    """Name of the field of `Result` with its mean over the test images."""
    name: str
    """Its name along an axis."""
    plural: str
    """Its name in the title of a table."""
    quantity: str
    """What exactly it is."""
    unit: str
    digits: int
    """Number of decimals that are shown."""
    smaller_is_better: bool
    prefix: str
    """Beginning of the keys of tables of it that are not in the paper."""

    def words(self, value: float, sd: float | None = None) -> str:
        """Return '-91.2±0.5 nats', or without a standard deviation '-91.2 nats'."""
        spread = "" if sd is None else f"±{sd:.{self.digits}f}"
        return f"{value:.{self.digits}f}{spread} {self.unit}"


LOG_LIKELIHOOD = Score(
    field="test_iwae",
    name="test log-likelihood",
    plural="test log-likelihood scores",
    quantity="test log-likelihood, IWAE",
    unit="nats",
    digits=1,
    smaller_is_better=False,
    prefix="data-",
)
SQUARE_ERROR = Score(
    field="test_mse",
    name="test square error of a pixel",
    plural="test square errors of a pixel",
    quantity="mean square error of a pixel of the test images at their columns, mean of the latents decoded",
    unit="pixel²",
    digits=4,
    smaller_is_better=True,
    prefix="mse-",
)
SCORES = {score.unit: score for score in (LOG_LIKELIHOOD, SQUARE_ERROR)}
"""The scores by their units."""


def decimals(unit: str) -> int:
    """Return the number of decimals with which values in a unit are shown; 1 in a unit of no score."""
    return SCORES[unit].digits if unit in SCORES else 1


CONDITIONAL = frozenset({"cvae", "deep-svigp", "gp-vae", "gppvae", "hensman", "markov", "svgp", "titsias"})
"""Kinds of inference in models of images given their columns (`InferenceConfig.conditional`)."""


def score_of(inference: str) -> Score:
    """Return the score of a run with this kind of inference.

    Single images have no log p(x) where images are modelled given their columns: predictions of them are scored.
    """
    return SQUARE_ERROR if inference in CONDITIONAL else LOG_LIKELIHOOD
