"""The inference of a trained run, by which latents of images given their columns are predicted."""

from __future__ import annotations

from gpvae_core.errors import UserError
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.inference.conditional import ConditionalInference
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.progress import silent
from gpvae_core.runs import Run
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


def conditional_inference(run: Run, seed: int = 0, vae: VAE | None = None) -> ConditionalInference:
    """Return the inference of a run on its data. Raises UserError if the run models images alone.

    Args:
        vae: the model (default: that of the run), such as one with the weights of another epoch.
    """
    config, data = run.config, run.data
    if not config.inference.conditional:
        raise UserError(
            f"run '{run.name}' has no GP prior and no columns: its images are independent, use evaluate(run)"
        )
    parts = DeviceSplit(data.train, run.device), DeviceSplit(data.validation, run.device)
    setup = TrainingSetup(vae or run.model, *parts, config.likelihood.kind, 1, seed, None)
    engine = config.inference.begin(setup, silent)
    assert isinstance(engine, ConditionalInference)
    engine.ready(parts[1], DeviceSplit(data.test, run.device))
    return engine


def inference_of(run: Run, seed: int = 0) -> GPPriorInference:
    """Return the inference of a run with its data. Raises UserError if its prior is no GP over instances."""
    engine = conditional_inference(run, seed)
    if not isinstance(engine, GPPriorInference):
        raise UserError(f"run '{run.name}' has no GP prior: wanted a run of a method with one, such as svgp")
    return engine
