"""The inference of a trained run with a GP prior, by which its latents are predicted."""

from __future__ import annotations

from gpvae_core.errors import UserError
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.inference.gp_prior.config import GPPriorInferenceConfig
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.progress import silent
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit


def inference_of(run: Run, seed: int = 0) -> GPPriorInference:
    """Return the inference of a run with its data. Raises UserError if its prior is no GP over instances."""
    config = run.config.inference
    if not isinstance(config, GPPriorInferenceConfig):
        raise UserError(f"run '{run.name}' has no GP prior: its images are independent, use evaluate(run)")
    train, validation = (DeviceSplit(split, run.device) for split in (run.data.train, run.data.validation))
    return config.begin(TrainingSetup(run.model, train, validation, run.config.likelihood.kind, 1, seed, None), silent)
