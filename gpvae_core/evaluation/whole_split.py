"""Evaluation of a whole split: bounds, reconstruction error, moments and uncertainty of q(z|x)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from gpvae_core import bounds
from gpvae_core.collapse import ACTIVE, activity, moment_kl
from gpvae_core.data.base import Split
from gpvae_core.densities.base import Posterior
from gpvae_core.evaluation.estimates import IwaeScore
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import ActiveUnits, Collapse, Generalization, UncertaintyMeans
from gpvae_core.progress import Progress
from gpvae_core.runs import Run
from gpvae_core.training_bound import BoundSettings, reported_bound
from gpvae_core.truth.evidence import Array
from gpvae_core.truth.importance import ImportanceEstimate, log_weights
from gpvae_core.truth.pareto import K_HAT_LIMIT

WEIGHTS_AT_ONCE = 4096
"""Importance weights that are computed in one batch."""


@torch.no_grad()
def whole_split(run: Run, split: Split, k: int, seed: int, progress: Progress) -> dict[str, Array]:
    """Return elbo, iwae, training_bound (nats), ess, k_hat, square_error (mean over pixels), mean and variance.

    Each has one row per instance: (N,), or (N, D) for mean and variance of q(z|x). A Bayesian encoder adds the traces
    f and h, (N,), in squared latent units.
    """
    vae, n_train = run.model, len(run.data.train)
    generator = torch.Generator(run.device).manual_seed(seed)
    settings = BoundSettings(run.config.objective, run.config.regulariser)
    columns: dict[str, list[torch.Tensor]] = {}
    at_once = max(1, WEIGHTS_AT_ONCE // k)
    for low in range(0, len(split), at_once):
        x = split.pixels(slice(low, low + at_once)).to(run.device)
        q = vae.infer(x)
        log_w = log_weights(vae, x, k, generator, proposal=q)
        weighted = ImportanceEstimate.from_log_weights(log_w)
        shown = vae.likelihood.mean(vae.decode(q.mean))
        uncertainty = q.uncertainty()
        traces = {} if uncertainty is None else {"f": uncertainty.trace_f, "h": uncertainty.trace_h}
        values = {
            "elbo": bounds.elbo(log_w),
            "iwae": weighted.log_px,
            "ess": weighted.ess,
            "k_hat": weighted.k_hat,
            "training_bound": reported_bound(vae, x, n_train, run.config.train.samples, generator, settings),
            "square_error": (x - shown).square().mean((-3, -2, -1)),
            "mean": q.mean,
            "variance": q.variance,
            **traces,
        }
        for name, column in values.items():
            columns.setdefault(name, []).append(column.cpu().double())
        progress(min(low + at_once, len(split)), len(split), f"ELBO and IWAE-{k}")
    return {name: torch.cat(parts).numpy() for name, parts in columns.items()}


def iwae_score(whole: Mapping[str, Array], k: int) -> IwaeScore:
    """Return the IWAE-k score of the split, and the number of instances for which it is unreliable as log p(x).

    As the mean, the others are over the instances whose score is finite.
    """
    finite, has_k_hat = np.isfinite(whole["iwae"]), not np.isnan(whole["k_hat"]).all()  # all NaN if k is too small
    untrusted = int((whole["k_hat"][finite] > K_HAT_LIMIT).sum()) if has_k_hat else None
    ess = float(np.median(whole["ess"][finite])) if finite.any() else None
    return IwaeScore.over(whole["iwae"], k=k, ess=ess, untrusted=untrusted)


def generalization(train: Mapping[str, Array], test: Mapping[str, Array]) -> Generalization:
    """Return the generalization gap of the ELBO between two whole splits."""
    return Generalization.between(train["elbo"], test["elbo"])


def active_units(mean: Array) -> ActiveUnits:
    """Count the dimensions whose posterior `mean` (N, D) varies over the images; not known if a mean is no number."""
    variance = activity(torch.from_numpy(mean))
    count = int((variance > ACTIVE).sum()) if bool(variance.isfinite().all()) else None
    return ActiveUnits(count=count, of=len(variance), variance=tuple(variance.tolist()))


def collapse(mean: Array, variance: Array, prior: Posterior) -> Collapse:
    """Return the share of inactive dimensions, and each dimension's KL to the prior, of moments (N, D) of q(z|x)."""
    active = active_units(mean)
    kl = moment_kl(torch.from_numpy(mean), torch.from_numpy(variance), prior).mean(0)
    fraction = None if active.count is None else 1.0 - active.count / active.of
    return Collapse(fraction=fraction, moment_kl=tuple(kl.tolist()))


def traces(whole: Mapping[str, Array]) -> dict[str, Array]:
    """Return Tr V[f], Tr V[h] and their sum, (N,) each; empty for an encoder that reports no uncertainty."""
    if "f" not in whole:
        return {}
    return {"f": whole["f"], "h": whole["h"], "total": whole["f"] + whole["h"]}


def uncertainty_means(whole: Mapping[str, Array]) -> UncertaintyMeans | None:
    """Return the mean of each trace; None for an encoder that reports no uncertainty."""
    means = {name: Mean.over(values) for name, values in traces(whole).items()}
    return UncertaintyMeans(**means) if means else None
