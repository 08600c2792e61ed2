"""How far an encoder's ELBO is from log p(x), instance by instance, and why (Cremer et al. 2018).

    inference gap     = log p(x) - ELBO(encoder)
    approximation gap = log p(x) - ELBO(best diagonal Gaussian)                 what a diagonal Gaussian cannot do
    amortization gap  = ELBO(best diagonal Gaussian) - ELBO(encoder)            how far the encoder is from that

The reference is the best diagonal Gaussian whatever the encoder's family, so that methods are comparable on one
decoder. A richer family (a full Gaussian, a flow, a mixture) can beat it; its amortization gap is then negative.
Beside it stands log p(x) - ELBO(best full Gaussian), what no Gaussian can do.

The encoder's ELBO is the ordinary one, with the exact log q(z|x) of the (marginalised) encoder: not the training bound.
"""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.densities.diagonal_gaussian import is_diagonal_gaussian
from gpvae_core.errors import UserError
from gpvae_core.files import replacing
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.estimators.base import AT_ONCE
from gpvae_core.truth.evidence import Array, Evidence
from gpvae_core.truth.importance import log_weights
from gpvae_core.truth.truth import Truth, truth_for
from gpvae_core.vae import VAE

ELBO_SAMPLES = 2000
FEW, SAMPLE = 500, 200


def default_sample_size(n: int) -> int:
    """Of how many of n instances the gaps are computed by default: of all where there are at most 500, else of 200."""
    return n if n <= FEW else SAMPLE


@dataclass(frozen=True)
class GapTable:
    """One row an instance, in nats (uncertainties in squared latent units).

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gaps = run.gaps(run.data.test.pixels([0, 1]))
    >>> bool((abs(gaps.inference - gaps.approximation - gaps.amortization) < 1e-6).all())
    True
    """

    index: NDArray[np.int64]
    elbo: Array
    best_diagonal_elbo: Array
    best_full_elbo: Array
    log_px: Array
    truth: str
    """'line', 'grid', 'ais' or 'iwae'; with the last two log_px is a lower bound, and so are the inference and the
    approximation gap."""
    k: int | None
    """Importance samples ('iwae') or chains ('ais')."""
    negentropy: Array | None
    n_modes: NDArray[np.int64] | None
    passed: NDArray[np.bool_] | None
    uncertainty_f: Array | None
    """(B, D), V[f_j(x)]."""
    uncertainty_h: Array | None
    """(B, D), V[h_j(x)]."""
    log_px_se: Array | None = None
    """Standard error of each log_px, and so of its inference and approximation gap, nats."""
    ess: Array | None = None
    """Effective sample size of each log_px, of k."""
    k_hat: Array | None = None
    """Pareto-k of each log_px ('iwae')."""
    steps: int | None = None
    """Temperatures ('ais')."""

    def __len__(self) -> int:
        return len(self.elbo)

    @property
    def evidence(self) -> Evidence:
        """What the table keeps of log p(x) and of how it was found."""
        kept = {"se": self.log_px_se, "ess": self.ess, "k_hat": self.k_hat}
        grid = {"negentropy": self.negentropy, "n_modes": self.n_modes, "passed": self.passed}
        return Evidence(self.truth, self.log_px, self.k, self.steps, **kept, **grid)

    @property
    def inference(self) -> Array:
        return self.log_px - self.elbo

    @property
    def approximation(self) -> Array:
        return self.log_px - self.best_diagonal_elbo

    @property
    def approximation_full(self) -> Array:
        return self.log_px - self.best_full_elbo

    @property
    def amortization(self) -> Array:
        return self.best_diagonal_elbo - self.elbo

    def save(self, path: Path) -> None:
        """As an .npz file: written under a temporary name, then renamed. Raises UserError on a full disk."""
        known = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        with replacing(path) as file:
            np.savez(file, **known)

    @staticmethod
    def load(path: Path) -> GapTable:
        """Raises UserError where the file is missing, damaged or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            truth, k, steps = str(found.pop("truth")), _count(found.pop("k", None)), _count(found.pop("steps", None))
            optional = dict.fromkeys(("negentropy", "n_modes", "passed", "uncertainty_f", "uncertainty_h"))
            return GapTable(**{**optional, **found}, truth=truth, k=k, steps=steps)
        except FileNotFoundError:
            raise UserError(f"there is no gap table '{path}'") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
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
        truth: what is asked for log p(x), such as a run's own; by default a new `truth_for(vae)`.
        indices: what the instances are called in `GapTable.index` (default: 0, 1, ...).
        evidence: what it says of these images, where it has been asked already.
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
    """Return the same as `instance_gaps`, with the best Gaussians that were found on the way."""
    asked = truth or truth_for(vae)
    if evidence is None and asked.exact:  # the modes that quadrature finds are starts of the best Gaussians
        evidence = asked.log_px(x, seed, progress)
    modes = None if evidence is None or evidence.modes is None else [torch.as_tensor(m) for m in evidence.modes]
    best = best_gaussians(vae, x, seed, modes, progress)
    known = evidence or asked.log_px(x, seed, progress, best)
    return _table(vae, x, known, best, seed, np.arange(len(x)) if indices is None else np.asarray(indices)), best


@torch.no_grad()
def encoder_elbos(vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int) -> Float[Tensor, " B"]:
    """ELBO of q(z|x) in nats. A diagonal Gaussian shares the best one's samples, so that noise cancels in the gap."""
    generator = torch.Generator(x.device).manual_seed(seed)
    if is_diagonal_gaussian(vae.infer(x), generator):
        return best.encoder_elbo
    return torch.cat([log_weights(vae, part, ELBO_SAMPLES, generator).mean(0) for part in x.split(AT_ONCE)])


def _table(
    vae: VAE, x: Tensor, evidence: Evidence, best: BestGaussians, seed: int, index: NDArray[np.int64]
) -> GapTable:
    with torch.no_grad():
        uncertainty = vae.infer(x).uncertainty()
    return GapTable(
        index=index,
        elbo=_numpy(encoder_elbos(vae, x, best, seed)),
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
    )


def _numpy(values: Tensor) -> Array:
    return values.cpu().double().numpy()
