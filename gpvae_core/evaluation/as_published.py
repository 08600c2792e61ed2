"""The figure that papers on GP-prior VAEs print: the smallest test error over training (Jazbec et al. 2021, Table 1).

It is chosen on the test images, so that it is too small; it stands beside published figures alone. The error of the
epoch chosen on held-out images is that of `evaluate_conditional`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import Progress, silent
from gpvae_core.run_files import EPOCHS, load_weights
from gpvae_core.runs import Run


@dataclass(frozen=True)
class PublishedError:
    """The smallest test error of a run's kept epochs."""

    mse: float
    """Mean square error of a pixel."""
    epoch: int
    epochs: int
    """Number of kept epochs of which it is the smallest."""
    decoded: str
    """What was decoded: 'sample', one of the latents' posterior, or 'mean' where the method decodes means."""


def as_published(run: Run, seed: int = 0, progress: Progress = silent) -> PublishedError | None:
    """Return the smallest test error of the run's kept epochs (train.keep_every); None if none was kept.

    As in the public code of Jazbec et al. 2021, the SVGP-VAE decodes one sample, and deep SVIGP, whose bound decodes
    means, the mean.
    """
    extra = run.model.extra
    decoded = "mean" if isinstance(extra, GPModel) and extra.family.decodes_means else "sample"
    weights = {name: value.detach().clone() for name, value in run.model.state_dict().items()}
    errors: list[tuple[float, int]] = []
    epochs = run.kept_epochs
    try:
        for done, epoch in enumerate(epochs, 1):
            load_weights(run.model, run.dir / EPOCHS / str(epoch))
            result = evaluate_conditional(run, k=1, seed=seed)
            mean = (result.mse if decoded == "mean" else result.mse_sample).mean
            errors += [] if mean is None else [(mean, epoch)]
            progress(done, len(epochs), "test error of the kept epochs")
    finally:
        run.model.load_state_dict(weights)
    if not errors:
        return None
    mse, epoch = min(errors)
    return PublishedError(mse, epoch, len(errors), decoded)
