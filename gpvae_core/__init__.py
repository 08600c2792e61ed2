"""gpvae_core: variational autoencoders whose amortized inference can be examined image by image.

The names below are the public interface; each is imported at its first use. Everything else may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpvae_core.api import list_datasets as list_datasets
    from gpvae_core.api import list_methods as list_methods
    from gpvae_core.api import load_dataset as load_dataset
    from gpvae_core.api import resume as resume
    from gpvae_core.api import train as train
    from gpvae_core.data.base import Dataset as Dataset
    from gpvae_core.data.split import Split as Split
    from gpvae_core.densities.base import Posterior as Posterior
    from gpvae_core.densities.base import Uncertainty as Uncertainty
    from gpvae_core.errors import UserError as UserError
    from gpvae_core.evaluation.evaluate import evaluate as evaluate
    from gpvae_core.evaluation.result import Evaluation as Evaluation
    from gpvae_core.evaluation.settings import EvaluationSettings as EvaluationSettings
    from gpvae_core.gaps import GapTable as GapTable
    from gpvae_core.pages import explore as explore
    from gpvae_core.progress import Cancelled as Cancelled
    from gpvae_core.progress import silent as silent
    from gpvae_core.runs import Run as Run
    from gpvae_core.runs import RunSummary as RunSummary
    from gpvae_core.runs import list_runs as list_runs
    from gpvae_core.runs import load_run as load_run
    from gpvae_core.truth.evidence import Evidence as Evidence
    from gpvae_core.truth.grid import GridPosterior as GridPosterior
    from gpvae_core.truth.line_posterior import LinePosterior as LinePosterior
    from gpvae_core.truth.posterior_samples import HMCSettings as HMCSettings
    from gpvae_core.truth.posterior_samples import PosteriorSamples as PosteriorSamples
    from gpvae_core.truth.settings import TruthSettings as TruthSettings
    from gpvae_core.truth.truth import Truth as Truth

__version__ = "0.1.0"

_MODULES = {
    "api": ("train", "resume", "load_dataset", "list_methods", "list_datasets"),
    "data.base": ("Dataset",),
    "data.split": ("Split",),
    "densities.base": ("Posterior", "Uncertainty"),
    "errors": ("UserError",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.result": ("Evaluation",),
    "evaluation.settings": ("EvaluationSettings",),
    "gaps": ("GapTable",),
    "pages": ("explore",),
    "progress": ("Cancelled", "silent"),
    "runs": ("Run", "RunSummary", "list_runs", "load_run"),
    "truth.evidence": ("Evidence",),
    "truth.grid": ("GridPosterior",),
    "truth.line_posterior": ("LinePosterior",),
    "truth.posterior_samples": ("HMCSettings", "PosteriorSamples"),
    "truth.settings": ("TruthSettings",),
    "truth.truth": ("Truth",),
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
