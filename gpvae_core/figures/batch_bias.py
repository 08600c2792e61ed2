"""How far mini-batches move the posteriors of the SVGP-VAE over training (Jazbec et al. 2021, C.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpvae_core.evaluation.batch_bias import batch_bias
from gpvae_core.figures.base import FIGURES, SpreadFigure
from gpvae_core.figures.runs import RunOnDisk, grouped, spread
from gpvae_core.plots.spread_curves import SpreadCurve, SpreadPanel, SpreadView
from gpvae_core.progress import Progress, share_of
from gpvae_core.runs import load_run
from gpvae_core.stats import seeded_order
from gpvae_core.validation import DeviceSplit

INSTANCES = 200
"""Seeded training images of which the mean is drawn."""
BATCHES = 5
"""Batches of each image."""
WORK = "mini-batches of kept epochs: epoch"


@FIGURES.register("batch-bias")
class BatchBiasOverTraining(SpreadFigure):
    """KL(q_b(z) || q(z)) of posteriors from mini-batches to those from all images, over the kept epochs (Fig. C.4)."""

    def lacking(self, run: RunOnDisk) -> str:
        if run.family != "svgp" or run.settings.get("prior.group"):
            return (
                f"run '{run.name}': the bias of mini-batches is that of method 'svgp' without groups, as eq. 9 has it"
            )
        if not run.kept_epochs:
            return f"run '{run.name}' kept no weights over training: train it with --set train.keep_every=N"
        return ""

    def view(self, runs: Sequence[RunOnDisk], progress: Progress) -> SpreadView:
        total, done = sum(len(run.kept_epochs) for run in runs), 0
        found: dict[object, dict[int, float]] = {}
        for run in runs:
            found[run.path] = {}
            for epoch in run.kept_epochs:
                found[run.path][epoch] = _mean_kl(run, epoch, share_of(progress, done, 1, total, WORK))
                done += 1
        curves = []
        for group in grouped(runs):
            epochs = sorted(set.intersection(*(set(found[run.path]) for run in group.runs)))
            means = [spread([found[run.path][epoch] for run in group.runs]) for epoch in epochs]
            curves.append(
                SpreadCurve(
                    name=group.name,
                    x=epochs,
                    y=[mean.mean for mean in means],
                    sd=[mean.sd for mean in means],
                    runs=[mean.runs for mean in means],
                )
            )
        progress(total, total, WORK)
        panel = SpreadPanel(curves, [], "KL(q from a batch || q from all images), nats", "nats")
        title = (
            f"posteriors of {INSTANCES} training images from {BATCHES} mini-batches each; mean ± standard deviation "
            "over seeds"
        )
        return SpreadView([panel], "epoch", title)


def _mean_kl(run: RunOnDisk, epoch: int, progress: Progress) -> float:
    """Return the mean KL at the weights of an epoch."""
    loaded = load_run(run.path, epoch=epoch)
    seen = DeviceSplit(loaded.data.train, loaded.device).seen.cpu().numpy()
    index = seen[seeded_order(len(seen), 0)[:INSTANCES]]
    return float(np.mean(batch_bias(loaded, index, batches=BATCHES, progress=progress).kl))
