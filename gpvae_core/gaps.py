"""The inference gap of each image, split into approximation and amortization gap (Cremer et al. 2018).

    inference gap     = log p(x) - ELBO(encoder)
    approximation gap = log p(x) - ELBO(best diagonal Gaussian)             due to the family of diagonal Gaussians
    amortization gap  = ELBO(best diagonal Gaussian) - ELBO(encoder)        due to the encoder

The reference is the best diagonal Gaussian whatever the encoder's family, so that methods are comparable on one
decoder. A richer family (a full Gaussian, a flow, a mixture) can have a larger ELBO; its amortization gap is then
negative. The table also has log p(x) - ELBO(best full Gaussian), the approximation gap of all Gaussians.

The encoder's ELBO is the ordinary one, with the exact log q(z|x) of the (marginalised) encoder: not the training bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import is_diagonal_gaussian
from gpvae_core.densities.movable import MovableDiagonal
from gpvae_core.densities.noise import sobol_noise
from gpvae_core.errors import UserError
from gpvae_core.files import replacing
from gpvae_core.progress import Progress, silent
from gpvae_core.reading import DAMAGE, read_arrays
from gpvae_core.truth.best_gaussian import SCORE_SAMPLES, BestGaussians, best_gaussians, elbos
from gpvae_core.truth.evidence import Array, Evidence, EvidenceKind
from gpvae_core.truth.importance import log_weights
from gpvae_core.truth.noise import image_generators
from gpvae_core.truth.truth import Truth, truth_for
from gpvae_core.vae import VAE

ELBO_SAMPLES = 2000
"""Number of samples of the encoder's ELBO where q is not a diagonal Gaussian."""
MAX_BYTES = 1_000_000_000
"""Most bytes of a table that are read."""
MAX_COMPLETE, SAMPLE = 500, 200
"""Largest number of images of which all are used by default, and the size of the sample from more."""


def default_sample_size(n: int) -> int:
    """Return the default number of images for which gaps are computed: all n up to 500, else 200."""
    return n if n <= MAX_COMPLETE else SAMPLE


@dataclass(frozen=True)
class GapTable:
    """Gaps of B images, one row for each, in nats (uncertainties in squared latent units).

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gaps = run.gaps(run.data.test.pixels([0, 1]))
    >>> bool((abs(gaps.inference - gaps.approximation - gaps.amortization) < 1e-6).all())
    True
    """

    index: NDArray[np.int64]
    """(B,) numbers of the images."""
    elbo: Array
    """(B,) ELBO of the encoder."""
    best_diagonal_elbo: Array
    """(B,) ELBO of the best diagonal Gaussian."""
    best_full_elbo: Array
    """(B,) ELBO of the best full Gaussian."""
    log_px: Array
    """(B,) log p(x)."""
    truth: EvidenceKind
    """Estimator of log p(x): 'line', 'grid', 'ais' or 'iwae'. With the last two log_px, the inference gap and the
    approximation gap are lower bounds in expectation."""
    k: int | None
    """Number of importance samples ('iwae') or chains ('ais')."""
    negentropy: Array | None
    """(B,) negentropy of the true posterior ('line', 'grid')."""
    n_modes: NDArray[np.int64] | None
    """(B,) number of modes of the true posterior ('grid')."""
    passed: NDArray[np.bool_] | None
    """(B,) whether the checks of the quadrature passed ('line', 'grid')."""
    uncertainty_f: Array | None
    """(B, D) V[f_j(x)] of a Bayesian encoder."""
    uncertainty_h: Array | None
    """(B, D) V[h_j(x)] of a Bayesian encoder."""
    log_px_se: Array | None = None
    """(B,) standard error of log_px, and so of the inference and the approximation gap."""
    ess: Array | None = None
    """(B,) effective sample size of log_px, at most k."""
    k_hat: Array | None = None
    """(B,) Pareto-k of log_px ('iwae')."""
    steps: int | None = None
    """Number of temperatures ('ais')."""
    prior_log_px: Array | None = None
    """(B,) log p(x) by samples of the prior alone, which shows where log_px lacks a mode ('ais', 'iwae')."""
    prior_se: Array | None = None
    """(B,) standard error of prior_log_px in nats ('ais', 'iwae')."""

    def __len__(self) -> int:
        return len(self.elbo)

    @property
    def evidence(self) -> Evidence:
        """log p(x) with those of its diagnostics that the table contains."""
        prior = {"prior_log_px": self.prior_log_px, "prior_se": self.prior_se}
        sampling = {"se": self.log_px_se, "ess": self.ess, "k_hat": self.k_hat, **prior}
        quadrature = {"negentropy": self.negentropy, "n_modes": self.n_modes, "passed": self.passed}
        return Evidence(self.truth, self.log_px, self.k, self.steps, **sampling, **quadrature)

    @property
    def inference(self) -> Array:
        """(B,) inference gap, log p(x) - ELBO(encoder)."""
        return self.log_px - self.elbo

    @property
    def approximation(self) -> Array:
        """(B,) approximation gap, log p(x) - ELBO(best diagonal Gaussian)."""
        return self.log_px - self.best_diagonal_elbo

    @property
    def approximation_full(self) -> Array:
        """(B,) approximation gap of all Gaussians, log p(x) - ELBO(best full Gaussian)."""
        return self.log_px - self.best_full_elbo

    @property
    def amortization(self) -> Array:
        """(B,) amortization gap, ELBO(best diagonal Gaussian) - ELBO(encoder)."""
        return self.best_diagonal_elbo - self.elbo

    def save(self, path: Path) -> None:
        """Write the table as an .npz file, under a temporary name that is then replaced.

        Raises:
            UserError: the disk is full.
        """
        columns = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        with replacing(path) as file:
            np.savez(file, **columns)

    @staticmethod
    def load(path: Path) -> GapTable:
        """Return the table that `save` wrote.

        Raises:
            UserError: the file is missing, damaged or not a gap table.
        """
        try:
            columns: dict[str, Any] = dict(read_arrays(path, MAX_BYTES))
            truth = str(columns.pop("truth"))
            if truth not in get_args(EvidenceKind):
                raise ValueError(f"unknown estimator '{truth}'")
            k, steps = _count(columns.pop("k", None)), _count(columns.pop("steps", None))
            # Fields without a default that are None are not in the file; neither are fields added since it was written.
            optional = dict.fromkeys(("negentropy", "n_modes", "passed", "uncertainty_f", "uncertainty_h"))
            return GapTable(**{**optional, **columns, "truth": truth}, k=k, steps=steps)
        except FileNotFoundError:
            raise UserError(f"there is no gap table '{path}'") from None
        except DAMAGE as error:
            raise UserError(f"'{path}' is damaged, or not a gap table ({error}): compute the gaps again") from None


def _count(value: NDArray[np.int64] | None) -> int | None:
    return None if value is None else int(value)


def instance_gaps(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    truth: Truth | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    evidence: Evidence | None = None,
) -> GapTable:
    """Return the gaps of each image.

    Args:
        truth: the truth about the model, such as a run's; by default a new `truth_for(vae)`.
        indices: numbers of the images for `GapTable.index` (default: 0, 1, ...).
        evidence: log p(x) of these images, where it is already known.
    """
    return gaps_and_best(vae, x, truth, seed, progress, indices, evidence)[0]


def gaps_and_best(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    truth: Truth | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    evidence: Evidence | None = None,
) -> tuple[GapTable, BestGaussians]:
    """Return the gaps of each image as `instance_gaps`, and the best Gaussians computed for them."""
    model_truth = truth or truth_for(vae)
    if evidence is None and model_truth.exact:  # quadrature comes first: its modes are starts of the best Gaussians
        evidence = model_truth.log_px(x, seed, progress)
    modes = None if evidence is None or evidence.modes is None else [torch.as_tensor(m) for m in evidence.modes]
    best = best_gaussians(vae, x, seed, modes, progress)
    # Sampling comes second: it starts from the best Gaussians.
    evidence = evidence or model_truth.log_px(x, seed, progress, best)
    return _table(vae, x, evidence, best, seed, np.arange(len(x)) if indices is None else np.asarray(indices)), best


@torch.no_grad()
def encoder_elbos(
    vae: VAE, x: Float[Tensor, "B C H W"], seed: int, progress: Progress = silent, best: BestGaussians | None = None
) -> Float[Tensor, " B"]:
    """Return the ELBO of q(z|x) in nats; it does not depend on the other images of the batch.

    A diagonal Gaussian shares the noise of the best one, which then cancels in the amortization gap; its ELBO is read
    from `best` where that is given. Any other q has ELBO_SAMPLES samples and each image noise of its own.
    """
    q = vae.infer(x)
    if not is_diagonal_gaussian(q, torch.Generator(x.device).manual_seed(seed)):
        own = zip(x.split(1), image_generators(x, seed, x.device), strict=True)
        return torch.cat([log_weights(vae, image, ELBO_SAMPLES, generator).mean(0) for image, generator in own])
    if best is not None:
        return best.encoder_elbo
    noise = sobol_noise(SCORE_SAMPLES, vae.latent_dim, seed).to(x)
    return elbos(vae, x, MovableDiagonal.matching(q), noise, progress)


def _table(
    vae: VAE, x: Tensor, evidence: Evidence, best: BestGaussians, seed: int, index: NDArray[np.int64]
) -> GapTable:
    with torch.no_grad():
        uncertainty = vae.infer(x).uncertainty()
    return GapTable(
        index=index,
        elbo=_numpy(encoder_elbos(vae, x, seed, best=best)),
        best_diagonal_elbo=_numpy(best.diagonal_elbo),
        best_full_elbo=_numpy(best.full_elbo),
        log_px=evidence.log_px,
        truth=evidence.kind,
        k=evidence.k,
        negentropy=evidence.negentropy,
        n_modes=evidence.n_modes,
        passed=evidence.passed,
        uncertainty_f=None if uncertainty is None else _numpy(uncertainty.f),
        uncertainty_h=None if uncertainty is None else _numpy(uncertainty.h),
        log_px_se=evidence.se,
        ess=evidence.ess,
        k_hat=evidence.k_hat,
        steps=evidence.steps,
        prior_log_px=evidence.prior_log_px,
        prior_se=evidence.prior_se,
    )


def _numpy(values: Tensor) -> Array:
    return values.cpu().double().numpy()
