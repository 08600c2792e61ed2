"""Scores of a run's generative model as a density, and the network passes of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gpvae_core.data.base import Dataset, Split
from gpvae_core.evaluation.estimates import DensityMean
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import PassesPerPoint
from gpvae_core.mapa.density import Density, kl_from_truth, line_density, mixture_density, true_log_px
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run
from gpvae_core.training_bound import BoundSettings, training_bound
from gpvae_core.truth.mixture_proposal import MixtureProposalSettings

PASSES_BATCH = 100
"""Number of points in the batch on which passes are counted, as in D.2 of Yacoby et al. 2024."""


@dataclass(frozen=True)
class DensityReport:
    """Mean log p(x) and KL from the true distribution, in nats, by estimator ('line', 'mixture')."""

    density: Mapping[str, DensityMean]
    test_kl: Mapping[str, Mean]
    """Over the instances at which no quadrature failed a check; empty if the true distribution is unknown."""


def density_report(
    run: Run,
    split: Split,
    index: NDArray[np.int64],
    mixture_index: NDArray[np.int64],
    mixture: MixtureProposalSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> DensityReport:
    """Compute log p(x) as a density, and the KL from the true distribution if that is known.

    Args:
        index: the instances for quadrature, which is used at d = 1.
        mixture_index: the instances for the mixture proposal, which is used if `mixture` is given.
    """
    estimates: dict[str, tuple[NDArray[np.int64], Density]] = {}
    if run.model.latent_dim == 1:
        estimates["line"] = index, line_density(run.truth, split.pixels(index))
    if mixture is not None:
        x = split.pixels(mixture_index).to(run.device)
        estimates["mixture"] = mixture_index, mixture_density(run.truth, x, run.config.net, mixture, seed, progress)
    true = {name: true_log_px(run.data, split.pixels(rows)) for name, (rows, _) in estimates.items()}
    return DensityReport(
        {name: DensityMean.over(d.log_px, how=d.estimator, **d.trust()) for name, (_, d) in estimates.items()},
        {
            name: Mean(**kl_from_truth(p, estimates[name][1].checked_log_px))
            for name, p in true.items()
            if p is not None
        },
    )


def density_scores(run: Run, data: Dataset) -> dict[str, float | None]:
    """Return a run's scores by quadrature, in nats; empty if the true distribution is unknown, or d > 1.

    `failed_checks` counts the points at which the quadrature failed its checks, as it may for a barely trained model;
    `test_kl` leaves them out.
    """
    true = true_log_px(data, data.test.pixels()) if run.model.latent_dim == 1 else None
    if true is None:
        return {}
    x = torch.cat([data.validation.pixels(), data.test.pixels()]).to(run.device)
    density = line_density(run.truth, x)
    validation, test = np.split(density.log_px, [len(data.validation)])
    kl = kl_from_truth(true, density.checked_log_px[len(data.validation) :])
    return {
        "validation_log_px": float(validation.mean()),
        "test_log_px": float(test.mean()),
        "test_kl": kl["mean"],
        "test_kl_se": kl["se"],
        "failed_checks": float(density.failed),
    }


def passes_per_point(run: Run, data: Dataset) -> PassesPerPoint | None:
    """Return the decoder and encoder passes per point of a training step; None for a run with a refiner.

    They are read from the metrics if inference counted them (MAPA encodes and decodes each distinct code of a batch
    once). Otherwise they are the rows in the forward passes of one step on a batch of training points.
    """
    counted = [row["passes"] for row in run.metrics if "passes" in row]
    if counted:
        mean = float(np.mean(counted))
        return PassesPerPoint(decoder=mean, encoder=mean)
    if run.config.refiner.kind != "none":
        return None
    x = data.train.pixels(slice(PASSES_BATCH)).to(run.device)
    with RowCounter(run.model.decoder) as decoder, RowCounter(run.model.encoder) as encoder:
        _compute_bound(run, x)
    return PassesPerPoint(decoder=decoder.rows / len(x), encoder=encoder.rows / len(x))


def _compute_bound(run: Run, x: Tensor) -> None:
    """Compute the bound of a batch as training does, but without the terms of an encoder's training stage."""
    c = run.config
    settings = BoundSettings(c.objective, c.regulariser)
    training_bound(run.model, x, len(x), c.train.samples, torch.Generator(run.device).manual_seed(0), settings)


class RowCounter:
    """Context manager that counts the rows passing forward through a module."""

    def __init__(self, module: nn.Module) -> None:
        self.rows = 0
        self._module = module

    def __enter__(self) -> RowCounter:
        self._hook = self._module.register_forward_pre_hook(self._count)
        return self

    def _count(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self.rows += len(arguments[0])

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
