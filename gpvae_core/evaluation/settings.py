"""EvaluationSettings: what an evaluation computes, on which instances, and with which seed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gpvae_core.truth.mixture_proposal import MixtureProposalSettings
from gpvae_core.truth.posterior_samples import HMCSettings
from gpvae_core.truth.settings import TruthSettings

SPLITS = ("test", "validation")
SAMPLING = HMCSettings(draws=1000)
"""With 500 draws of 4 chains the largest R-hat of 5 dimensions is about 1.01 by chance alone, which is the limit."""
GRID_SAMPLE = 1000
"""Instances whose true posterior is computed at d = 2: milliseconds each on digits, tenths of a second on MNIST."""


class EvaluationSettings(BaseModel):
    """The settings of `evaluate`.

    >>> from gpvae_core.evaluation.settings import EvaluationSettings
    >>> EvaluationSettings(instances=20).k
    100
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    split: str = Field(default="test", description="which images are evaluated: test or validation")
    k: int = Field(default=100, ge=1, description="importance samples of the IWAE bound")
    instances: int | None = Field(
        default=None, ge=1, description="size of the sample for truth and gaps; by default all of at most 500, else 200"
    )
    truths: int = Field(
        default=GRID_SAMPLE,
        ge=1,
        description="size of the sample for log p(x), negentropy and modes at d = 2; it begins with the other one",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the sample and the noise")
    bandwidth: str = Field(
        default="sigma_x", description="width of MAPA's kernel: sigma_x, or validation (the best on validation images)"
    )
    truth: TruthSettings = Field(
        default=TruthSettings(), description="how log p(x) is found; its annealing bounds simulated images too"
    )
    simulated: int = Field(default=0, description="images drawn from the model, bounded from both sides (2 or more)")
    hmc: int = Field(default=0, description="instances of the sample whose posteriors are sampled by HMC")
    sampling: HMCSettings = Field(default=SAMPLING, description="chains and draws of HMC")
    mixture: MixtureProposalSettings | None = Field(
        default=None, description="also estimate log p(x) of the sample by a fitted mixture (Yacoby et al. 2024)"
    )
