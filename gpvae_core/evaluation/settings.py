"""Settings of an evaluation: what is computed, on which instances, and with which seed."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, SkipValidation

from gpvae_core.mapa import Bandwidth
from gpvae_core.part import MOST_COUNT, MOST_POINTS, Settings
from gpvae_core.truth.mixture_proposal import MixtureProposalSettings
from gpvae_core.truth.posterior_samples import HMCSettings
from gpvae_core.truth.settings import TruthSettings

HeldOutName = Literal["test", "validation"]
HELD_OUT: tuple[HeldOutName, ...] = get_args(HeldOutName)
SplitName = Literal[HeldOutName, "train"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
SAMPLING = HMCSettings(draws=1000)
"""Default settings of HMC. With 500 draws of 4 chains, the largest R-hat of 5 dimensions reaches the limit of 1.01 by
chance alone."""
GRID_SAMPLE = 1000
"""Default number of true posteriors at d = 2. Each takes milliseconds on digits and tenths of a second on MNIST."""


class EvaluationSettings(Settings):
    """The settings of `evaluate`, which checks the names in them.

    >>> import gpvae_core as gpvae
    >>> gpvae.EvaluationSettings(instances=20, truth=gpvae.TruthSettings(name="ais")).k
    100
    """

    split: SkipValidation[SplitName] = Field(
        default="test",
        description="images that are evaluated: test, validation or train (which also gives the generalization gap)",
    )
    k: int = Field(default=100, ge=1, le=MOST_COUNT, description="importance samples of the IWAE bound")
    instances: int | None = Field(
        default=None,
        ge=2,
        le=MOST_POINTS,
        description="size of the sample for log p(x) and gaps (default: all of up to 500 instances, else 200)",
    )
    truths: int = Field(
        default=GRID_SAMPLE,
        ge=2,
        le=MOST_POINTS,
        description="size of the sample for log p(x), negentropy and modes at d = 2; it begins with the gaps' sample",
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the sample and the noise")
    bandwidth: SkipValidation[Bandwidth] = Field(
        default="sigma_x",
        description="width of MAPA's kernel: sigma_x, or validation (the highest validation likelihood)",
    )
    truth: TruthSettings = Field(
        default=TruthSettings(), description="estimator of log p(x); its annealing also bounds simulated images"
    )
    simulated: int = Field(
        default=0,
        ge=0,
        le=MOST_COUNT,
        description="images drawn from the model, bounded from both sides (0, or at least 2)",
    )
    hmc: int = Field(
        default=0, ge=0, le=MOST_COUNT, description="instances of the sample whose posteriors are sampled by HMC"
    )
    sampling: HMCSettings = Field(default=SAMPLING, description="chains and draws of HMC")
    mixture: MixtureProposalSettings | None = Field(
        default=None, description="proposal of a further estimate of log p(x): a fitted mixture (Yacoby et al. 2024)"
    )
