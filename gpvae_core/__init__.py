"""gpvae_core: variational autoencoders whose amortized inference can be examined image by image.

The names below are the public interface; each is imported at its first use. Everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gpvae_core.threads import sleep_while_waiting

if TYPE_CHECKING:
    from gpvae_core.api import list_datasets as list_datasets
    from gpvae_core.api import list_methods as list_methods
    from gpvae_core.api import load_dataset as load_dataset
    from gpvae_core.api import resume as resume
    from gpvae_core.api import train as train
    from gpvae_core.data.auxiliary import Auxiliary as Auxiliary
    from gpvae_core.data.auxiliary import Column as Column
    from gpvae_core.data.base import DataConfig as DataConfig
    from gpvae_core.data.base import Dataset as Dataset
    from gpvae_core.data.known_truth import KnownTruth as KnownTruth
    from gpvae_core.data.split import Split as Split
    from gpvae_core.densities.base import Gaussian as Gaussian
    from gpvae_core.densities.base import Posterior as Posterior
    from gpvae_core.densities.base import Uncertainty as Uncertainty
    from gpvae_core.errors import UserError as UserError
    from gpvae_core.evaluation.as_published import AsPublished as AsPublished
    from gpvae_core.evaluation.conditional import ConditionalEvaluation as ConditionalEvaluation
    from gpvae_core.evaluation.conditional import TrainingCost as TrainingCost
    from gpvae_core.evaluation.conditional import evaluate_conditional as evaluate_conditional
    from gpvae_core.evaluation.estimates import BidirectionalMeans as BidirectionalMeans
    from gpvae_core.evaluation.estimates import ChainsReport as ChainsReport
    from gpvae_core.evaluation.estimates import Check as Check
    from gpvae_core.evaluation.estimates import DensityMean as DensityMean
    from gpvae_core.evaluation.estimates import IwaeScore as IwaeScore
    from gpvae_core.evaluation.estimates import LogPx as LogPx
    from gpvae_core.evaluation.evaluate import evaluate as evaluate
    from gpvae_core.evaluation.instances import BatchBiasReport as BatchBiasReport
    from gpvae_core.evaluation.instances import InstanceMeasures as InstanceMeasures
    from gpvae_core.evaluation.instances import PseudoGapReport as PseudoGapReport
    from gpvae_core.evaluation.instances import ViewsBehindPredictions as ViewsBehindPredictions
    from gpvae_core.evaluation.kernel_parameters import KernelParameter as KernelParameter
    from gpvae_core.evaluation.mean import EvaluationPart as EvaluationPart
    from gpvae_core.evaluation.mean import LargestMean as LargestMean
    from gpvae_core.evaluation.mean import Mean as Mean
    from gpvae_core.evaluation.mean import SmallestMean as SmallestMean
    from gpvae_core.evaluation.parts import ActiveUnits as ActiveUnits
    from gpvae_core.evaluation.parts import AmortizationGap as AmortizationGap
    from gpvae_core.evaluation.parts import ApproximationGap as ApproximationGap
    from gpvae_core.evaluation.parts import BestGaussianElbo as BestGaussianElbo
    from gpvae_core.evaluation.parts import Collapse as Collapse
    from gpvae_core.evaluation.parts import Correlation as Correlation
    from gpvae_core.evaluation.parts import Gaps as Gaps
    from gpvae_core.evaluation.parts import Generalization as Generalization
    from gpvae_core.evaluation.parts import InferenceGap as InferenceGap
    from gpvae_core.evaluation.parts import KernelWidth as KernelWidth
    from gpvae_core.evaluation.parts import PassesPerPoint as PassesPerPoint
    from gpvae_core.evaluation.parts import SampleSizes as SampleSizes
    from gpvae_core.evaluation.parts import UncertaintyMeans as UncertaintyMeans
    from gpvae_core.evaluation.prediction import Imputation as Imputation
    from gpvae_core.evaluation.prediction import Prediction as Prediction
    from gpvae_core.evaluation.prediction import impute as impute
    from gpvae_core.evaluation.prediction import predict as predict
    from gpvae_core.evaluation.result import Evaluation as Evaluation
    from gpvae_core.evaluation.settings import EvaluationSettings as EvaluationSettings
    from gpvae_core.evaluation.yardsticks import Yardsticks as Yardsticks
    from gpvae_core.gaps import GapTable as GapTable
    from gpvae_core.pages import explore as explore
    from gpvae_core.progress import Cancelled as Cancelled
    from gpvae_core.progress import Progress as Progress
    from gpvae_core.progress import silent as silent
    from gpvae_core.run_config import RunConfig as RunConfig
    from gpvae_core.run_config import TrainConfig as TrainConfig
    from gpvae_core.run_records import EpochMetrics as EpochMetrics
    from gpvae_core.run_records import RunMetadata as RunMetadata
    from gpvae_core.run_summaries import RunSummary as RunSummary
    from gpvae_core.run_summaries import list_runs as list_runs
    from gpvae_core.runs import Run as Run
    from gpvae_core.runs import load_run as load_run
    from gpvae_core.truth.ais import AISSettings as AISSettings
    from gpvae_core.truth.best_gaussian import BestGaussians as BestGaussians
    from gpvae_core.truth.best_gaussian import best_gaussians as best_gaussians
    from gpvae_core.truth.evidence import Evidence as Evidence
    from gpvae_core.truth.grid import GridPosterior as GridPosterior
    from gpvae_core.truth.line_posterior import LinePosterior as LinePosterior
    from gpvae_core.truth.mixture_proposal import MixtureProposalSettings as MixtureProposalSettings
    from gpvae_core.truth.posterior_samples import HMCSettings as HMCSettings
    from gpvae_core.truth.posterior_samples import PosteriorSamples as PosteriorSamples
    from gpvae_core.truth.settings import TruthSettings as TruthSettings
    from gpvae_core.truth.truth import Truth as Truth
    from gpvae_core.truth.truth import truth_for as truth_for
    from gpvae_core.vae import VAE as VAE
    from gpvae_core.vae import GenerativeModel as GenerativeModel
    from gpvae_core.vi.identities import FisherInformation as FisherInformation
    from gpvae_core.vi.identities import ToyGPEncoder as ToyGPEncoder
    from gpvae_core.vi.identities import fisher_information as fisher_information
    from gpvae_core.vi.inference import VISettings as VISettings
    from gpvae_core.vi.inference import VISnapshot as VISnapshot
    from gpvae_core.vi.inference import VITrace as VITrace
    from gpvae_core.vi.inference import infer as infer
    from gpvae_core.vi.targets.base import VITarget as VITarget

__version__ = "0.1.0"

# NOTE: here, because every start of the program imports the package before it imports torch.
sleep_while_waiting()

_MODULES = {
    "api": ("train", "resume", "load_dataset", "list_methods", "list_datasets"),
    "data.auxiliary": ("Auxiliary", "Column"),
    "data.base": ("DataConfig", "Dataset"),
    "data.known_truth": ("KnownTruth",),
    "data.split": ("Split",),
    "densities.base": ("Gaussian", "Posterior", "Uncertainty"),
    "errors": ("UserError",),
    "evaluation.as_published": ("AsPublished",),
    "evaluation.conditional": ("ConditionalEvaluation", "TrainingCost", "evaluate_conditional"),
    "evaluation.instances": ("BatchBiasReport", "InstanceMeasures", "PseudoGapReport", "ViewsBehindPredictions"),
    "evaluation.kernel_parameters": ("KernelParameter",),
    "evaluation.estimates": (
        "BidirectionalMeans",
        "ChainsReport",
        "Check",
        "DensityMean",
        "IwaeScore",
        "LogPx",
    ),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.mean": ("EvaluationPart", "LargestMean", "Mean", "SmallestMean"),
    "evaluation.parts": (
        "ActiveUnits",
        "AmortizationGap",
        "ApproximationGap",
        "BestGaussianElbo",
        "Collapse",
        "Correlation",
        "Gaps",
        "Generalization",
        "InferenceGap",
        "KernelWidth",
        "PassesPerPoint",
        "SampleSizes",
        "UncertaintyMeans",
    ),
    "evaluation.prediction": ("Imputation", "Prediction", "impute", "predict"),
    "evaluation.result": ("Evaluation",),
    "evaluation.settings": ("EvaluationSettings",),
    "evaluation.yardsticks": ("Yardsticks",),
    "gaps": ("GapTable",),
    "pages": ("explore",),
    "progress": ("Cancelled", "Progress", "silent"),
    "run_config": ("RunConfig", "TrainConfig"),
    "run_records": ("EpochMetrics", "RunMetadata"),
    "run_summaries": ("RunSummary", "list_runs"),
    "runs": ("Run", "load_run"),
    "truth.ais": ("AISSettings",),
    "truth.best_gaussian": ("BestGaussians", "best_gaussians"),
    "truth.evidence": ("Evidence",),
    "truth.grid": ("GridPosterior",),
    "truth.line_posterior": ("LinePosterior",),
    "truth.mixture_proposal": ("MixtureProposalSettings",),
    "truth.posterior_samples": ("HMCSettings", "PosteriorSamples"),
    "truth.settings": ("TruthSettings",),
    "truth.truth": ("Truth", "truth_for"),
    "vae": ("VAE", "GenerativeModel"),
    "vi.identities": ("FisherInformation", "ToyGPEncoder", "fisher_information"),
    "vi.inference": ("VISettings", "VISnapshot", "VITrace", "infer"),
    "vi.targets.base": ("VITarget",),
}
_HOME = {name: f"gpvae_core.{module}" for module, names in _MODULES.items() for name in names}
__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that the plots and the command line's help do not import torch."""
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gpvae_core' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
