"""How far an encoder's ELBO is from log p(x), instance by instance, and why (Cremer et al. 2018).

    inference gap     = log p(x) - ELBO(encoder)
    approximation gap = log p(x) - ELBO(best diagonal Gaussian)                 what the family cannot do
    amortization gap  = ELBO(best diagonal Gaussian) - ELBO(encoder)            what the encoder misses within it

The encoder's ELBO is the ordinary one, with the exact log q(z|x) of the (marginalised) encoder: not the training bound.
"""

from __future__ import annotations

import dataclasses
import os
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

from gpvae_core.encoders.gaussian import is_diagonal_gaussian
from gpvae_core.errors import UserError
from gpvae_core.progress import Progress, silent
from gpvae_core.run_files import disk_errors
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.grid import Atlas, true_posteriors
from gpvae_core.truth.importance import iwae_log_px, log_weights
from gpvae_core.truth.proposal import DefensiveMixture
from gpvae_core.vae import VAE

Array = NDArray[np.float64]
IWAE_SAMPLES = 5000
ELBO_SAMPLES = 2000
GRIDS_AT_ONCE = 32
"""Posteriors, or importance weights of so many images, held at a time."""


FEW, SAMPLE = 500, 200


def default_sample_size(n: int) -> int:
    """Of how many of n instances the gaps are computed by default: of all where there are at most 500, else of 200."""
    return n if n <= FEW else SAMPLE


@dataclass(frozen=True)
class Truth:
    """log p(x) of B instances in nats and how it was found; what follows `log_px` is known on a grid alone (d = 2)."""

    kind: str
    """'grid' (quadrature) or 'iwae' (a lower bound by importance sampling)."""
    log_px: Array
    negentropy: Array | None = None
    """Entropy of the Gaussian with the posterior's moments minus the posterior's, nats."""
    n_modes: NDArray[np.int64] | None = None
    passed: NDArray[np.bool_] | None = None
    """Whether the grid's checks (mass outside, halving the step, cells spanned) passed."""
    refined: NDArray[np.bool_] | None = None
    """Whether the atlas did not do, and a grid was decoded for this instance."""
    modes: tuple[Array, ...] | None = None
    """Modes (J, 2) of each instance, highest first."""

    def first(self, n: int) -> Truth:
        """The first n instances."""
        parts = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "kind"}
        return dataclasses.replace(self, **{name: None if v is None else v[:n] for name, v in parts.items()})


@dataclass(frozen=True)
class GapTable:
    """One row an instance, in nats (uncertainties in squared latent units)."""

    index: NDArray[np.int64]
    elbo: Array
    best_diagonal_elbo: Array
    best_full_elbo: Array
    log_px: Array
    truth: str
    """'grid', or 'iwae': then log_px is a lower bound and so are the inference and the approximation gap."""
    k: int | None
    """Importance samples where truth is 'iwae'."""
    negentropy: Array | None
    n_modes: NDArray[np.int64] | None
    passed: NDArray[np.bool_] | None
    uncertainty_f: Array | None
    """(B, D), V[f_j(x)]."""
    uncertainty_h: Array | None
    """(B, D), V[h_j(x)]."""

    def __len__(self) -> int:
        return len(self.elbo)

    @property
    def inference(self) -> Array:
        return self.log_px - self.elbo

    @property
    def approximation(self) -> Array:
        return self.log_px - self.best_diagonal_elbo

    @property
    def amortization(self) -> Array:
        return self.best_diagonal_elbo - self.elbo

    def save(self, path: Path) -> None:
        """As an .npz file: written under a temporary name, then renamed. Raises UserError on a full disk."""
        known = {k: v for k, v in dataclasses.asdict(self).items() if v is not None}
        temporary = path.with_name(f".{path.name}.tmp")
        with disk_errors(str(path)):
            with temporary.open("wb") as file:
                np.savez(file, **known)
            os.replace(temporary, path)

    @staticmethod
    def load(path: Path) -> GapTable:
        """Raises UserError where the file is missing, damaged or something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            truth, k = str(found.pop("truth")), found.pop("k", None)
            optional = dict.fromkeys(("negentropy", "n_modes", "passed", "uncertainty_f", "uncertainty_h"))
            return GapTable(**{**optional, **found}, truth=truth, k=None if k is None else int(k))
        except FileNotFoundError:
            raise UserError(f"there is no gap table '{path}'") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"'{path}' is damaged, or not a gap table ({error}): compute the gaps again") from None


def instance_gaps(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    atlas: Atlas | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    truth: Truth | None = None,
) -> GapTable:
    """Gaps of each image. d = 2: log p(x) by quadrature; else by IWAE_SAMPLES importance samples, a lower bound.

    Args:
        atlas: the decoded grid of this model (d = 2), built where it is not given.
        indices: what the instances are called in `GapTable.index` (default: 0, 1, ...).
        truth: what `grid_truth` found for these images, where that has been asked already (d = 2).
    """
    return gaps_and_best(vae, x, atlas, seed, progress, indices, truth)[0]


def gaps_and_best(
    vae: VAE,
    x: Float[Tensor, "B C H W"],
    atlas: Atlas | None = None,
    seed: int = 0,
    progress: Progress = silent,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    truth: Truth | None = None,
) -> tuple[GapTable, BestGaussians]:
    """As `instance_gaps`, with the best Gaussians that were found on the way."""
    if vae.latent_dim == 2:
        truth = truth or grid_truth(vae, x, atlas, progress)
        best = best_gaussians(vae, x, seed, [torch.as_tensor(m) for m in truth.modes or ()], progress)
    else:
        best = best_gaussians(vae, x, seed, None, progress)
        truth = sampled_truth(vae, x, best, seed, progress)
    return _table(vae, x, truth, best, seed, np.arange(len(x)) if indices is None else np.asarray(indices)), best


def grid_truth(vae: VAE, x: Float[Tensor, "B C H W"], atlas: Atlas | None = None, progress: Progress = silent) -> Truth:
    """log p(x), negentropy and modes by quadrature, few posteriors in memory. Raises UserError if d != 2."""
    plane = Atlas.build(vae, progress=progress) if atlas is None else atlas
    rows: list[tuple[float, float, bool, bool, Array]] = []
    for low in range(0, len(x), GRIDS_AT_ONCE):
        for grid in true_posteriors(vae, plane, x[low : low + GRIDS_AT_ONCE]):
            refined = not np.array_equal(grid.x, plane.axis.numpy())
            rows.append((grid.log_px, grid.negentropy(), grid.passed, refined, grid.modes()))
        progress(len(rows), len(x), "true posteriors")
    log_px, negentropy, passed, refined, modes = zip(*rows, strict=True)
    return Truth(
        kind="grid",
        log_px=np.array(log_px),
        negentropy=np.array(negentropy),
        n_modes=np.array([len(m) for m in modes]),
        passed=np.array(passed),
        refined=np.array(refined),
        modes=tuple(modes),
    )


@torch.no_grad()
def sampled_truth(
    vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int = 0, progress: Progress = silent
) -> Truth:
    """A lower bound on log p(x), tight where the best full Gaussian (mixed with the encoder) covers the posterior."""
    generator = torch.Generator(x.device).manual_seed(seed)
    found = []
    for low in range(0, len(x), GRIDS_AT_ONCE):
        part = slice(low, low + GRIDS_AT_ONCE)
        proposal = DefensiveMixture(best.full_mean[part], best.full_chol[part], vae.infer(x[part]))
        found.append(iwae_log_px(vae, x[part], IWAE_SAMPLES, generator, proposal))
        progress(min(low + GRIDS_AT_ONCE, len(x)), len(x), f"log p(x) by {IWAE_SAMPLES} importance samples")
    return Truth("iwae", _numpy(torch.cat(found)))


@torch.no_grad()
def encoder_elbos(vae: VAE, x: Float[Tensor, "B C H W"], best: BestGaussians, seed: int) -> Float[Tensor, " B"]:
    """ELBO of q(z|x) in nats. A diagonal Gaussian shares the best one's samples, so that noise cancels in the gap."""
    generator = torch.Generator(x.device).manual_seed(seed)
    if is_diagonal_gaussian(vae.infer(x), generator):
        return best.encoder_elbo
    return torch.cat([log_weights(vae, part, ELBO_SAMPLES, generator).mean(0) for part in x.split(GRIDS_AT_ONCE)])


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
        k=None if truth.kind == "grid" else IWAE_SAMPLES,
        negentropy=truth.negentropy,
        n_modes=truth.n_modes,
        passed=truth.passed,
        uncertainty_f=None if uncertainty is None else _numpy(uncertainty.f),
        uncertainty_h=None if uncertainty is None else _numpy(uncertainty.h),
    )


def _numpy(values: Tensor) -> Array:
    return values.cpu().double().numpy()
