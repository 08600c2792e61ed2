"""The error of a run as published: of the epoch that has the smallest one on the test set itself.

Jazbec et al. 2021 (Table 1) report the smallest mean square error on the test images over training, of one decoded
sample, and for Deep SVIGP of the decoded mean. Samples of GPPVAE leave out the noise alpha, as in their public code.
Such a figure is chosen on what it is measured on, and stands apart.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.evaluation.mean import EvaluationPart, Mean
from gpvae_core.evaluation.process import conditional_inference
from gpvae_core.inference.conditional import CHUNK, ConditionalInference, Published, columns_of, sample
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run, load_run
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit, pixel_mean


class AsPublished(EvaluationPart):
    """The smallest error on the test set over the epochs whose weights were kept.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "keep_every": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> gpvae.evaluate_conditional(run, k=2, published=True).as_published.label
    'as published: chosen on the test set'
    """

    label: str = "as published: chosen on the test set"
    mse: Mean
    """Mean square error of a pixel, in the epoch where it is smallest."""
    epoch: int
    decoded: Published
    """What was decoded: one 'sample' of the latents, or their 'mean' with a method whose bound decodes means."""
    by_epoch: dict[int, float]
    """The error of each epoch whose weights were kept."""


def check_kept(run: Run) -> None:
    """Raise UserError if no weights were kept over training, so that a figure as published cannot be computed."""
    if not run.kept_epochs:
        raise UserError(
            f"run '{run.name}' kept no weights over training, of which the best on the test set could be chosen: train "
            "it with --set keep_every=N"
        )


@torch.no_grad()
def as_published(run: Run, seed: int = 0, progress: Progress = silent) -> AsPublished:
    """Return the smallest error on the test set over the kept epochs, with the same noise in each.

    Raises:
        UserError: no weights were kept, or the run models images alone.
    """
    check_kept(run)
    test = DeviceSplit(run.data.test, run.device)
    errors: dict[int, np.ndarray] = {}
    decoded: Published = "sample"
    for epoch in run.kept_epochs:
        vae = load_run(run.dir, device=str(run.device), epoch=epoch).model
        engine = conditional_inference(run, seed, vae)
        q, decoded = engine.published(test)
        z = q.mean if decoded == "mean" else sample(q, torch.Generator(run.device).manual_seed(seed))
        errors[epoch] = np.concatenate(
            [_errors(vae, engine, test, z, index) for index in engine.scored(test).split(CHUNK)]
        )
        progress(len(errors), len(run.kept_epochs), "kept epochs")
    best = min(errors, key=lambda epoch: errors[epoch].mean())
    by_epoch = {epoch: float(values.mean()) for epoch, values in errors.items()}
    return AsPublished(mse=Mean.over(errors[best]), epoch=best, decoded=decoded, by_epoch=by_epoch)


def _errors(
    vae: VAE, engine: ConditionalInference, test: DeviceSplit, z: Float[Tensor, "N D"], index: Tensor
) -> Float[np.ndarray, " B"]:
    """Return the mean square error of the observed pixels of each of these images."""
    x = test.batch(index)
    shown = vae.likelihood.mean(engine.decode(z[index].to(x.dtype), columns_of(test, index)))
    return pixel_mean((x - shown).square(), test.observed(index)).cpu().double().numpy()
