"""Evaluation of a run on a split: bounds over the whole split, log p(x) and gaps on a seeded sample of it."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from gpvae_core.errors import UserError, unknown
from gpvae_core.evaluation.chains import check_counts, encoder_and_chains, simulated_bounds
from gpvae_core.evaluation.density import density_report, passes_per_point
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import KernelWidth, SampleSizes
from gpvae_core.evaluation.result import Evaluation
from gpvae_core.evaluation.sample import (
    best_gaussian_elbo,
    correlations,
    count_untrusted,
    evaluate_sample,
    log_px,
    mean_gaps,
    optional_mean,
    sample_index,
)
from gpvae_core.evaluation.settings import SPLITS, EvaluationSettings
from gpvae_core.evaluation.whole_split import (
    active_units,
    collapse,
    generalization,
    iwae_score,
    uncertainty_means,
    whole_split,
)
from gpvae_core.gaps import default_sample_size
from gpvae_core.mapa import BANDWIDTHS
from gpvae_core.mapa.bandwidth import MAX_VALIDATION, choose_bandwidth
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run

DEFAULT = EvaluationSettings()
MAX_KERNEL_FLOATS = 50_000_000
"""Limit on the training pixels with which MAPA's bandwidth is chosen (200 MB); above it a seeded sample is used."""


def evaluate(run: Run, settings: EvaluationSettings = DEFAULT, progress: Progress = silent) -> Evaluation:
    """Compute ELBO and IWAE over a whole split, and log p(x), best Gaussians, gaps and correlations on a sample of it.

    All bounds are in nats. Every mean has its standard error and the number of instances; undefined values are None.

    Raises:
        UserError: the split is none of 'test', 'validation' and 'train', the bandwidth is none of BANDWIDTHS, the
            estimator of log p(x) is unknown or does not support this latent dimension, a number of images is out of
            range, or the metrics of the run are damaged.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> result = gpvae.evaluate(run, gpvae.EvaluationSettings(instances=3, truths=3, k=5))
    >>> result.gaps.amortization.n
    3
    """
    started = time.monotonic()
    if not isinstance(run, Run):
        raise UserError(f"wanted a run, as load_run returns it, got {type(run).__name__}: evaluate(load_run(FOLDER))")
    if settings.bandwidth not in BANDWIDTHS:
        raise unknown("bandwidth", settings.bandwidth, BANDWIDTHS)
    if settings.split not in SPLITS:
        raise unknown("split", settings.split, SPLITS)
    metrics = run.metrics  # damaged ones end it before it computes
    split = {"test": run.data.test, "validation": run.data.validation, "train": run.data.train}[settings.split]
    truth = run.truth.by(settings.truth)
    size = min(settings.instances or default_sample_size(len(split)), len(split))
    check_counts(settings.simulated, settings.hmc, size)
    k, seed, hmc = settings.k, settings.seed, settings.hmc
    whole = whole_split(run, split, k, seed, progress)
    unseen = whole_split(run, run.data.test, k, seed, progress) if settings.split == "train" else None
    sample = evaluate_sample(run, split, size, settings.truths, seed, progress, truth)
    densities = density_report(
        run, split, sample_index(split, settings.truths, seed), sample.index, settings.mixture, seed, progress
    )
    chains = None
    if hmc:
        x, best_of_x = split.pixels(sample.index[:hmc]).to(run.device), sample.best.rows(slice(hmc))
        chains = encoder_and_chains(truth, run.model, x, best_of_x, settings.sampling, seed, progress)
    bidirectional = None
    if settings.simulated:
        bidirectional = simulated_bounds(truth, settings.simulated, seed, progress)
    best = max(metrics, key=lambda row: row["validation_elbo"], default=None)
    return Evaluation(
        run=run.name,
        dataset=run.config.data.name,
        split=settings.split,
        method=run.config.method,
        refiner=run.refiner,
        latent_dim=run.config.latent_dim,
        epochs=metrics[-1]["epoch"] if metrics else 0,
        best_epoch=best["epoch"] if best else 0,
        elbo=Mean.over(whole["elbo"]),
        iwae=iwae_score(whole, k),
        training_bound=Mean.over(whole["training_bound"]),
        log_px=log_px(sample.truth),
        best_gaussian_elbo=best_gaussian_elbo(sample.gaps),
        gaps=mean_gaps(sample.gaps, sample.truth),
        negentropy=optional_mean(sample.truth.negentropy),
        n_modes=optional_mean(sample.truth.n_modes),
        active_units=active_units(whole["mean"]),
        collapse=collapse(whole["mean"], whole["variance"], run.model.prior(torch.zeros(1, dtype=torch.float64))),
        uncertainty=uncertainty_means(whole),
        correlations=correlations(whole, sample, seed),
        reconstruction_rmse=math.sqrt(whole["square_error"].mean()),
        sigma_x=run.model.likelihood.noise_scale(),
        mapa=kernel_width(run, settings.bandwidth, seed, progress),
        sample=SampleSizes(seed=seed, gaps=len(sample.index), truth=len(sample.truth_index), of=len(split)),
        checks={sample.truth.kind: count_untrusted(sample.truth)},
        density=densities.density or None,
        test_kl=densities.test_kl or None,
        passes=passes_per_point(run, run.data),
        bidirectional=bidirectional,
        hmc=chains,
        generalization=None if unseen is None else generalization(whole, unseen),
        seconds=round(time.monotonic() - started, 2),
    )


def kernel_width(run: Run, bandwidth: str, seed: int, progress: Progress) -> KernelWidth:
    """Return the width of MAPA's kernel, in pixel units.

    It is the likelihood's sigma_x, or the width with the highest validation likelihood if `bandwidth` asks for that
    or the likelihood has no sigma_x.
    """
    sigma_x = run.model.likelihood.noise_scale()
    if bandwidth == "sigma_x" and sigma_x is not None:
        return KernelWidth(bandwidth=sigma_x, source="sigma_x of the likelihood")
    train, validation = run.data.train, run.data.validation
    max_images = max(1, MAX_KERNEL_FLOATS // math.prod(run.model.event_shape))
    index = np.sort(np.random.default_rng(seed).permutation(len(train))[:max_images])
    every_nth = slice(None, None, -(-len(validation) // MAX_VALIDATION))  # -(-a // b) rounds up
    x_train, x = (pixels.flatten(1).to(run.device) for pixels in (train.pixels(index), validation.pixels(every_nth)))
    width = choose_bandwidth(x_train, x, progress=progress)
    return KernelWidth(bandwidth=width, source="chosen on validation images", train_images=len(index))
