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
import functools
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
from gpvae_core.errors import UserError, unknown
from gpvae_core.files import replacing
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.grid import Atlas
from gpvae_core.truth.importance import log_weights
from gpvae_core.truth.instances import (
    ANNEALING,
    AT_ONCE,
    Array,
    Estimator,
    Truth,
    ais_truth,
    grid_truth,
    line_truth,
    sampled_truth,
)
from gpvae_core.vae import VAE

ELBO_SAMPLES = 2000
FEW, SAMPLE = 500, 200


def default_sample_size(n: int) -> int:
    """Of how many of n instances the gaps are computed by default: of all where there are at most 500, else of 200."""
    return n if n <= FEW else SAMPLE


@dataclass(frozen=True)
class GapTable:
    """One row an instance, in nats (uncertainties in squared latent units)."""

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
    def known_truth(self) -> Truth:
        """What the table keeps of the truth."""
        kept = {"se": self.log_px_se, "ess": self.ess, "k_hat": self.k_hat}
        grid = {"negentropy": self.negentropy, "n_modes": self.n_modes, "passed": self.passed}
        return Truth(self.truth, self.log_px, self.k, self.steps, **kept, **grid)

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


QUADRATURE = {"line": 1, "grid": 2}
"""Ways to the truth by quadrature, and the latent dimensions that each needs."""


def default_truth(latent_dim: int) -> str:
    """Quadrature where it can be, else annealing."""
    return next((name for name, d in QUADRATURE.items() if d == latent_dim), "ais")


def truth_estimator(name: str, latent_dim: int, annealing: AISSettings = ANNEALING) -> Estimator | None:
    """The way to log p(x) called `name`; None stands for the grid. 'auto' is the line at d = 1, the grid at d = 2,
    else 'ais'.

    Raises:
        UserError: no such way, or quadrature where it needs another number of latent dimensions.
    """
    known: dict[str, Estimator | None] = {
        "line": line_truth,
        "grid": None,
        "ais": functools.partial(ais_truth, how=annealing),
        "iwae": sampled_truth,
    }
    known["auto"] = known[default_truth(latent_dim)]
    if name not in known:
        raise unknown("truth", name, known)
    if latent_dim != QUADRATURE.get(name, latent_dim):
        raise UserError(
            f"wanted truth 'auto', 'ais' or 'iwae' for a run with {latent_dim} latent dimension"
            f"{'' if latent_dim == 1 else 's'}, got '{name}': quadrature needs exactly {QUADRATURE[name]}"
        )
    return known[name]


def instance_gaps(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    atlas: Atlas | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    truth: Truth | None = None,
    estimate: Estimator | None = None,
) -> GapTable:
    """Gaps of each image. d = 2: log p(x) by quadrature; else by IWAE_SAMPLES importance samples, a lower bound.

    Args:
        atlas: the decoded grid of this model (d = 2), built where it is not given.
        indices: what the instances are called in `GapTable.index` (default: 0, 1, ...).
        truth: what `grid_truth` found for these images, where that has been asked already (d = 2).
        estimate: another way to log p(x), such as `ais_truth`.
    """
    return gaps_and_best(vae, x, atlas, seed, progress, indices, truth, estimate)[0]


def gaps_and_best(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    atlas: Atlas | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    truth: Truth | None = None,
    estimate: Estimator | None = None,
) -> tuple[GapTable, BestGaussians]:
    """As `instance_gaps`, with the best Gaussians that were found on the way."""
    if truth is None and estimate is None and vae.latent_dim == 2:
        truth = grid_truth(vae, x, atlas, progress)
    modes = None if truth is None or truth.modes is None else [torch.as_tensor(m) for m in truth.modes]
    best = best_gaussians(vae, x, seed, modes, progress)
    if truth is None:
        truth = (estimate or sampled_truth)(vae, x, best, seed, progress)
    return _table(vae, x, truth, best, seed, np.arange(len(x)) if indices is None else np.asarray(indices)), best


@torch.no_grad()
def encoder_elbos(vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int) -> Float[Tensor, " B"]:
    """ELBO of q(z|x) in nats. A diagonal Gaussian shares the best one's samples, so that noise cancels in the gap."""
    generator = torch.Generator(x.device).manual_seed(seed)
    if is_diagonal_gaussian(vae.infer(x), generator):
        return best.encoder_elbo
    return torch.cat([log_weights(vae, part, ELBO_SAMPLES, generator).mean(0) for part in x.split(AT_ONCE)])


def _table(vae: VAE, x: Tensor, truth: Truth, best: BestGaussians, seed: int, index: NDArray[np.int64]) -> GapTable:
    with torch.no_grad():
        uncertainty = vae.infer(x).uncertainty()
    return GapTable(
        index=index,
        elbo=_numpy(encoder_elbos(vae, x, best, seed)),
        best_diagonal_elbo=_numpy(best.diagonal_elbo),
        best_full_elbo=_numpy(best.full_elbo),
        log_px=truth.log_px,
        truth=truth.kind,
        k=truth.k,
        negentropy=truth.negentropy,
        n_modes=truth.n_modes,
        passed=truth.passed,
        uncertainty_f=None if uncertainty is None else _numpy(uncertainty.f),
        uncertainty_h=None if uncertainty is None else _numpy(uncertainty.h),
        log_px_se=truth.se,
        ess=truth.ess,
        k_hat=truth.k_hat,
        steps=truth.steps,
    )


def _numpy(values: Tensor) -> Array:
    return values.cpu().double().numpy()
