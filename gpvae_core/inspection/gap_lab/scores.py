"""ELBOs of any method compared with log p(x) and the best Gaussians, which are computed once per decoder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.gaps import GapTable, encoder_elbos, gaps_and_best
from gpvae_core.inspection.disk import DiskCache
from gpvae_core.inspection.gap_lab.views import GapStack, StacksView
from gpvae_core.inspection.gap_sample import named_truth
from gpvae_core.inspection.views import Array, Value
from gpvae_core.progress import Progress, silent
from gpvae_core.stats import mean_se
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.truth import Truth
from gpvae_core.vae import VAE


class GapReference:
    """log p(x) and best Gaussians of M images under one decoder, and the seed of the noise in every method's ELBO."""

    def __init__(self, x: Float[Tensor, "M C H W"], table: GapTable, best: BestGaussians, seed: int) -> None:
        self.x, self.table, self.best, self.seed = x, table, best, seed

    @staticmethod
    def from_model(vae: VAE, x: Float[Tensor, "M C H W"], truth: Truth, seed: int, progress: Progress) -> GapReference:
        """Compute log p(x) and the best Gaussians; one start of their optimization is the posterior of `vae` itself."""
        return GapReference(x, *gaps_and_best(vae, x, truth, seed, progress), seed)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the content without the images as named arrays, for a file."""
        table = {f"table_{f.name}": getattr(self.table, f.name) for f in fields(self.table)}
        known = {name: np.asarray(values) for name, values in table.items() if values is not None}
        return {**known, **{f"best_{f.name}": getattr(self.best, f.name).cpu().numpy() for f in fields(self.best)}}

    @staticmethod
    def from_arrays(x: Float[Tensor, "M C H W"], arrays: Mapping[str, np.ndarray], seed: int) -> GapReference:
        """Return the reference that `arrays` describes. Raises KeyError or TypeError if an array is missing."""
        table: dict[str, Any] = {f.name: arrays.get(f"table_{f.name}") for f in fields(GapTable)}
        whole = {name: None if table[name] is None else int(table[name]) for name in ("k", "steps")}
        best = {f.name: torch.from_numpy(arrays[f"best_{f.name}"]).to(x) for f in fields(BestGaussians)}
        return GapReference(
            x, GapTable(**{**table, **whole, "truth": str(table["truth"])}), BestGaussians(**best), seed
        )

    @property
    def exact(self) -> bool:
        """Whether log p(x) is by quadrature."""
        return self.table.evidence.exact

    @property
    def full_is_diagonal(self) -> bool:
        """Whether d = 1, where the best Gaussian with full covariance is the best diagonal one."""
        return self.best.full_mean.shape[-1] == 1

    def elbos(self, vae: VAE, progress: Progress = silent) -> Array:
        """Return the ELBO of vae.infer(x), (M,) nats."""
        return encoder_elbos(vae, self.x, self.seed, progress).cpu().double().numpy()


def stored_reference(
    disk: DiskCache, vae: VAE, x: Float[Tensor, "M C H W"], truth: Truth, seed: int, progress: Progress = silent
) -> GapReference:
    """Return the reference of these images from the disk cache, or compute and cache it."""
    settings = {"sample": len(x), **named_truth(truth)}
    stored = disk.read("labtruth", settings)
    if stored is not None:
        # NOTE: a file of this name may contain other arrays, written by an older version; then compute again.
        with suppress(KeyError, ValueError, TypeError):
            return GapReference.from_arrays(x, stored, seed)
    reference = GapReference.from_model(vae, x, truth, seed, progress)
    disk.write("labtruth", settings, reference.arrays())
    return reference


def value(values: Array) -> Value:
    """Return the mean of `values` with its standard error, which is None for a single value."""
    summary = mean_se(values)
    return Value(np.nan if summary["mean"] is None else summary["mean"], summary["se"])


def stacks_view(
    what: str,
    reference: GapReference,
    elbos: dict[str, Array],
    truth: str,
    usual: Mapping[str, tuple[float, float]] | None = None,
) -> StacksView:
    """Return the mean gaps over the M images of the reference, from the ELBOs (M,) of each method.

    Args:
        usual: `GapStack.usual` of the methods for which it is known.
    """
    table = reference.table
    return StacksView(
        what=what,
        log_px=value(table.log_px),
        approximation=value(table.log_px - table.best_diagonal_elbo),
        full=value(table.log_px - table.best_full_elbo),
        stacks=tuple(
            GapStack(
                name,
                value(table.log_px - elbo),
                value(table.best_diagonal_elbo - elbo),
                (usual or {}).get(name),
            )
            for name, elbo in elbos.items()
        ),
        exact=reference.exact,
        truth=truth,
        full_is_diagonal=reference.full_is_diagonal,
    )


def bound_words(reference: GapReference) -> str:
    """Describe the lower bound on log p(x) and its reliability."""
    evidence = reference.table.evidence
    words = f"log p(x) is a lower bound here, by {evidence.how_words}"
    if evidence.se is not None:
        words += f" (standard error {np.median(evidence.se):.1g} nats{' in the median' * (len(evidence.se) > 1)})"
    bad = int(evidence.untrusted.sum())
    doubt = f" Of {len(evidence.untrusted)} estimates {bad} should not be trusted." if bad else ""
    return f"{words}: inference and approximation gaps are at least so large.{doubt}"
