"""What a run is worth on a split: bounds over all of it, truth and gaps on a seeded sample, as JSON-ready data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gpvae_core import bounds
from gpvae_core.collapse import collapse_report
from gpvae_core.data.base import Split
from gpvae_core.errors import unknown
from gpvae_core.evaluate_chains import SAMPLING, check_counts, encoder_and_chains, simulated_bounds
from gpvae_core.evaluate_density import density_report, passes_of
from gpvae_core.gaps import GapTable, default_sample_size, gaps_and_best
from gpvae_core.mapa.bandwidths import BANDWIDTHS
from gpvae_core.mapa.kernel import MAX_VALIDATION, choose_bandwidth
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.stats import mean_se, seeded_order, spearman
from gpvae_core.training_bound import training_bound
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.evidence import MIN_ESS, Array, Evidence
from gpvae_core.truth.importance import ImportanceEstimate, log_weights
from gpvae_core.truth.mixture_proposal import MixtureProposalSettings
from gpvae_core.truth.pareto import K_HAT_LIMIT
from gpvae_core.truth.posterior_samples import HMCSettings
from gpvae_core.truth.settings import ANNEALING, TruthSettings
from gpvae_core.truth.truth import Truth

GRID_SAMPLE = 1000
"""Instances whose true posterior is computed at d = 2: milliseconds each on digits, tenths of a second on MNIST."""
WEIGHTS_AT_ONCE = 4096
"""Importance weights held at a time."""
REFERENCE = {"reference": "best diagonal Gaussian"}
"""What approximation and amortization gap are measured against, whatever the encoder's family."""
MAX_KERNEL_FLOATS = 50_000_000
"""Training pixels from which MAPA's bandwidth is chosen (200 MB); a seeded sample stands for a larger training set."""


def evaluate(
    run: Run,
    split: str = "test",
    max_instances: int | None = None,
    k: int = 100,
    seed: int = 0,
    progress: Progress = silent,
    max_truths: int = GRID_SAMPLE,
    bandwidth: str = "sigma_x",
    truth: str = "auto",
    annealing: AISSettings = ANNEALING,
    simulated: int = 0,
    hmc: int = 0,
    sampling: HMCSettings = SAMPLING,
    mixture: MixtureProposalSettings | None = None,
) -> dict[str, Any]:
    """ELBO and IWAE-k over the whole split; truth, best Gaussians, gaps and correlations on a seeded sample of it.

    Args:
        max_instances: size of the sample for best Gaussians and gaps; by default all of at most 500, else 200.
        max_truths: size of the sample for log p(x), negentropy and modes at d = 2; it begins with the other one.
        bandwidth: of MAPA's kernel: 'sigma_x', the likelihood's, or 'validation', the best on validation images.
        truth: how log p(x) is found: 'line' (d = 1), 'grid' (d = 2), 'ais', 'iwae'; 'auto' is quadrature, else 'ais'.
        annealing: temperatures and chains of 'ais', and of the bounds on simulated images.
        simulated: on so many images drawn from the model, log p(x) is bounded from both sides.
        hmc: the posteriors of the first so many instances of the sample are sampled by Hamiltonian Monte Carlo.
        sampling: chains and draws of 'hmc'.
        mixture: log p(x) of the first sample also by a mixture proposal of these settings (Yacoby et al. 2024).

    All in nats; every mean with its standard error and the number of instances. What is not defined is None.

    Raises:
        UserError: the split is neither 'test' nor 'validation', the bandwidth is none of BANDWIDTHS, there is no such
            way to the truth, or not for so many latent dimensions, or a number of images that cannot be.
    """
    started = time.monotonic()
    if bandwidth not in BANDWIDTHS:
        raise unknown("bandwidth", bandwidth, BANDWIDTHS)
    splits = {"test": run.data.test, "validation": run.data.validation}
    if split not in splits:
        raise unknown("split", split, splits)
    asked = run.truth.by(TruthSettings(name=truth, annealing=annealing))
    size = min(max_instances or default_sample_size(len(splits[split])), len(splits[split]))
    check_counts(simulated, hmc, size)
    whole = _whole_split(run, splits[split], k, seed, progress)
    sample = _sample(run, splits[split], size, max_truths, seed, progress, asked)
    chosen, scale = splits[split].pixels(sample.index[:hmc]).to(run.device), sample.best.full_chol[:hmc]
    result = {
        **_about(run, split),
        **_bounds(whole, k),
        **_truth_and_gaps(sample),
        **collapse_report(torch.from_numpy(whole["mean"]), torch.from_numpy(whole["variance"])),
        "uncertainty": _uncertainty(whole),
        "correlations": _correlations(whole, sample, seed),
        "reconstruction_rmse": math.sqrt(whole["square_error"].mean()),
        "sigma_x": run.model.likelihood.noise_scale(),
        "mapa": _mapa(run, bandwidth, seed, progress),
        "sample": {
            "how": "seeded, without replacement",
            "seed": seed,
            "gaps": len(sample.index),
            "truth": len(sample.truth_index),
            "of": len(splits[split]),
        },
        "checks": _checks(sample.truth),
        **density_report(
            run, splits[split], _first(splits[split], max_truths, seed), sample.index, mixture, seed, progress
        ),
        "passes": passes_of(run, run.data),
        "bidirectional": simulated_bounds(run.model, simulated, annealing, seed, progress) if simulated else None,
        "hmc": encoder_and_chains(run.model, chosen, scale, sampling, seed, progress) if hmc else None,
        "seconds": round(time.monotonic() - started, 2),
    }
    return _json_ready(result)


def _about(run: Run, split: str) -> dict[str, Any]:
    metrics = run.metrics
    best = max(metrics, key=lambda row: row["validation_elbo"], default=None)
    return {
        "run": run.name,
        "dataset": run.config.data.name,
        "split": split,
        "method": run.config.method,
        "refiner": run.refiner,
        "latent_dim": run.config.latent_dim,
        "epochs": metrics[-1]["epoch"] if metrics else 0,
        "best_epoch": best["epoch"] if best else 0,
        "units": "nats",
    }


# -- the whole split ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def _whole_split(run: Run, split: Split, k: int, seed: int, progress: Progress) -> dict[str, Array]:
    """Per instance: elbo, iwae, training_bound (nats), ess, k_hat, square_error (a pixel's), the traces f, h if any.

    And mean and variance of q(z|x), (N, D).
    """
    vae, n_train = run.model, len(run.data.train)
    generator = torch.Generator(run.device).manual_seed(seed)
    columns: dict[str, list[torch.Tensor]] = {}
    at_once = max(1, WEIGHTS_AT_ONCE // k)
    for low in range(0, len(split), at_once):
        x = split.pixels(slice(low, low + at_once)).to(run.device)
        q = vae.infer(x)
        log_w = log_weights(vae, x, k, generator, proposal=q)
        weighted = ImportanceEstimate.of(log_w)
        shown = vae.likelihood.mean(vae.decode(q.mean))
        uncertainty = q.uncertainty()
        traces = {} if uncertainty is None else {"f": uncertainty.trace_f, "h": uncertainty.trace_h}
        found = {
            "elbo": bounds.elbo(log_w),
            "iwae": weighted.log_px,
            "ess": weighted.ess,
            "k_hat": weighted.k_hat,
            "training_bound": training_bound(vae, x, n_train, 1, generator).value,
            "square_error": (x - shown).square().mean((-3, -2, -1)),
            "mean": q.mean,
            "variance": q.variance,
            **traces,
        }
        for name, values in found.items():
            columns.setdefault(name, []).append(values.cpu().double())
        progress(min(low + at_once, len(split)), len(split), f"ELBO and IWAE-{k}")
    return {name: torch.cat(parts).numpy() for name, parts in columns.items()}


def _bounds(whole: Mapping[str, Array], k: int) -> dict[str, Any]:
    return {
        "elbo": mean_se(whole["elbo"]),
        "iwae": {
            **mean_se(whole["iwae"]),
            "k": k,
            "ess": float(np.median(whole["ess"])),
            "untrusted": None if np.isnan(whole["k_hat"]).all() else int((whole["k_hat"] > K_HAT_LIMIT).sum()),
        },
        "training_bound": mean_se(whole["training_bound"]),
    }


def _uncertainty(whole: Mapping[str, Array]) -> dict[str, Any] | None:
    """Tr V[f], Tr V[h] and their sum, in squared latent units; None for an encoder without."""
    return {name: mean_se(values) for name, values in _traces(whole).items()} or None


def _traces(whole: Mapping[str, Array]) -> dict[str, Array]:
    if "f" not in whole:
        return {}
    return {"f": whole["f"], "h": whole["h"], "total": whole["f"] + whole["h"]}


# -- the sample --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Gaps of the instances at `index`; truth of those at `truth_index`, which begins with `index`."""

    index: NDArray[np.int64]
    truth_index: NDArray[np.int64]
    gaps: GapTable
    truth: Evidence
    best: BestGaussians
    """Of the instances at `index`."""


def _sample(run: Run, split: Split, size: int, truths: int, seed: int, progress: Progress, asked: Truth) -> Sample:
    """At d = 2 quadrature takes milliseconds an image, so that more images have a truth than have gaps."""
    index = _first(split, size, seed)
    more = _first(split, max(size, truths), seed) if asked.name == "grid" else index
    x = split.pixels(more).to(run.device)
    known = asked.log_px(x, seed, progress) if asked.exact else None
    part = None if known is None else known.first(len(index))
    table, best = gaps_and_best(run.model, x[: len(index)], asked, seed, progress, index, part)
    return Sample(index, more, table, known or table.evidence, best)


def _first(split: Split, size: int, seed: int) -> NDArray[np.int64]:
    """The seeded sample of this size; a smaller one is its beginning."""
    return seeded_order(len(split), seed)[:size]


def _truth_and_gaps(sample: Sample) -> dict[str, Any]:
    gaps, truth = sample.gaps, sample.truth
    sure = {"truth": truth.kind, "estimator_se": truth.rms_error}
    return {
        "log_px": {**mean_se(truth.log_px), **sure, **_how(truth)},
        "best_gaussian_elbo": {"diagonal": mean_se(gaps.best_diagonal_elbo), "full": mean_se(gaps.best_full_elbo)},
        "gaps": {
            "inference": {**mean_se(gaps.inference), **sure},
            "approximation": {**mean_se(gaps.approximation), **sure, **REFERENCE},
            "approximation_full": {**mean_se(gaps.approximation_full), **sure, "reference": "best full Gaussian"},
            "amortization": {**mean_se(gaps.amortization), **REFERENCE},
        },
        "negentropy": None if truth.negentropy is None else mean_se(truth.negentropy),
        "n_modes": None if truth.n_modes is None else mean_se(truth.n_modes),
    }


def _how(truth: Evidence) -> dict[str, Any]:
    """What an estimate was made of, by its own names; nothing for quadrature."""
    counts = {
        "line": {},
        "grid": {},
        "ais": {"chains": truth.k, "temperatures": truth.steps, "bound": "lower"},
        "iwae": {"k": truth.k, "bound": "lower"},
    }
    return counts[truth.kind]


def _gap_columns(gaps: GapTable) -> dict[str, Array]:
    return {"inference": gaps.inference, "approximation": gaps.approximation, "amortization": gaps.amortization}


def _correlations(whole: Mapping[str, Array], sample: Sample, seed: int) -> dict[str, Any]:
    """Spearman's rho of each trace of the uncertainty with gaps, negentropy and modes; empty without uncertainty."""
    targets: dict[str, tuple[NDArray[np.int64], Any]] = {
        name: (sample.index, values) for name, values in _gap_columns(sample.gaps).items()
    }
    for name, values in {"negentropy": sample.truth.negentropy, "n_modes": sample.truth.n_modes}.items():
        if values is not None:
            targets[name] = (sample.truth_index, values)
    return {
        trace: {name: _correlation(u[index], values, seed) for name, (index, values) in targets.items()}
        for trace, u in _traces(whole).items()
    }


def _correlation(a: Array, b: Array, seed: int) -> dict[str, Any]:
    """rho with its 95 % bootstrap interval over the instances where both are known; None where one is constant."""
    rho, low, high = spearman(a, b, seed=seed)
    return {"rho": rho, "low": low, "high": high, "n": int((np.isfinite(a) & np.isfinite(b)).sum())}


def _checks(truth: Evidence) -> dict[str, Any]:
    """How many posteriors by quadrature failed a check, and how many the grid refined beyond the atlas; or how many
    estimates are not to be trusted, and why: too few effective samples, or too heavy a tail of the weights."""
    if truth.passed is not None:
        refined = {} if truth.refined is None else {"refined": int(truth.refined.sum())}
        return {truth.kind: {**refined, "failed": int((~truth.passed).sum()), "n": len(truth.passed)}}
    reasons: dict[str, Any] = {"untrusted": int(truth.untrusted.sum()), "n": len(truth.log_px)}
    if truth.ess is not None:
        reasons |= {"few_effective": int((~(truth.ess >= MIN_ESS)).sum()), "ess": float(np.median(truth.ess))}
    if truth.k_hat is not None:
        reasons |= {"k_hat_above_limit": int((truth.k_hat > K_HAT_LIMIT).sum())}
    return {truth.kind: reasons}


# -- the model ---------------------------------------------------------------------------------------------------------


def _mapa(run: Run, bandwidth: str, seed: int, progress: Progress) -> dict[str, Any]:
    """Width of MAPA's kernel in pixel units: sigma_x, or (also where there is none) the best on validation images."""
    sigma_x = run.model.likelihood.noise_scale()
    if bandwidth == "sigma_x" and sigma_x is not None:
        return {"bandwidth": sigma_x, "source": "sigma_x of the likelihood"}
    train, validation = run.data.train, run.data.validation
    at_most = max(1, MAX_KERNEL_FLOATS // math.prod(run.model.event_shape))
    index = np.sort(np.random.default_rng(seed).permutation(len(train))[:at_most])
    every = slice(None, None, -(-len(validation) // MAX_VALIDATION))
    x_train, x = (pixels.flatten(1).to(run.device) for pixels in (train.pixels(index), validation.pixels(every)))
    chosen = choose_bandwidth(x_train, x, progress=progress)
    return {"bandwidth": chosen, "source": "chosen on validation images", "train_images": len(index)}


def _json_ready(value: Any) -> Any:
    """Plain Python numbers; None where a number is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
