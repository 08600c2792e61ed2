"""Results that an explorer computes once for a run, the most useful first, and caches on disk if that saves time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from gpvae_core.errors import UserError
from gpvae_core.gaps import default_sample_size, gaps_and_best
from gpvae_core.inspection.disk import DiskCache, fingerprint
from gpvae_core.inspection.embedding import MAX_POINTS, Embedding, seeded_sample
from gpvae_core.inspection.encodings import Encodings, encode
from gpvae_core.inspection.gap_sample import GapSample, named_truth, sample_from
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.reference import TrainingReference, build_reference, reference_index
from gpvae_core.inspection.uncertainty import correlations
from gpvae_core.inspection.uncertainty_views import UncertaintyCorrelation
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run

T = TypeVar("T")
STAGES = ("encodings", "atlas", "reference", "map", "gaps", "correlations")
"""Names of the stages in the order in which they are computed."""
AT_ONCE = 5_000_000
"""Number of training pixels up to which the reference is built on demand, without waiting for `prepare`."""


class Stages:
    """The results of STAGES for one run. Each is computed once, and threads may share the object."""

    def __init__(self, run: Run, gap_sample: int | None, seed: int) -> None:
        if gap_sample is not None and gap_sample < 1:
            raise UserError(f"wanted a sample of at least 1 instance for the gaps, got {gap_sample}")
        self.run, self.seed = run, seed
        self._gap_sample = gap_sample
        self._memo = Memo()

    @property
    def ready(self) -> frozenset[str]:
        """Names of the computed stages; "atlas" is always among them at d > 2, which does not need it."""
        decoded = {"atlas"} if self.run.truth.ready else set()
        return frozenset(name for name in STAGES if name in decoded or self._memo.peek(name) is not None)

    def compute(self, name: str, progress: Progress) -> None:
        """Compute one stage, or wait for the thread that computes it."""
        getters: dict[str, Callable[[Progress], object]] = {
            "encodings": self.encodings,
            "atlas": self.decode_latents,
            "reference": self.reference,
            "map": self.map,
            "gaps": self.gaps,
            "correlations": lambda _: self.correlations(),
        }
        getters[name](progress)

    def _stored(
        self,
        name: str,
        settings: Mapping[str, Any],
        compute: Callable[[], T],
        pack: Callable[[T], Mapping[str, np.ndarray]],
        unpack: Callable[[Mapping[str, np.ndarray]], T],
    ) -> T:
        """Return a result from the disk cache, or compute and cache it."""
        arrays = self._disk.read(name, settings)
        if arrays is not None:
            try:
                return unpack(arrays)
            except (KeyError, ValueError, IndexError):
                pass  # the file has this name but other arrays, as an older version wrote them: compute again
        value = compute()
        self._disk.write(name, settings, pack(value))
        return value

    @property
    def _disk(self) -> DiskCache:
        def make() -> DiskCache:
            depends_on = {"weights": fingerprint(self.run.model), "data": self.run.data.fingerprint, "seed": self.seed}
            return DiskCache(self.run.dir / "explore", depends_on)

        return self._memo.get("disk", make)

    # -- the stages -------------------------------------------------------------------------------------------------

    def encodings(self, progress: Progress = silent) -> Encodings:
        """Return the moments of q(z|x) of every test image."""
        test = self.run.data.test
        return self._memo.get(
            "encodings",
            lambda: self._stored(
                "encodings",
                {},
                lambda: encode(self.run.model, test, self.run.device, "encoding test images", progress=progress),
                Encodings.arrays,
                Encodings.from_arrays,
            ),
        )

    def decode_latents(self, progress: Progress = silent) -> None:
        """Decode the latents at which quadrature evaluates p(x|z), at d = 1 or 2."""
        # Not cached on disk: decoding is as fast as reading.
        self.run.truth.prepare(progress)

    def reference(self, progress: Progress = silent) -> TrainingReference:
        """Return the training images with their codes, which are cached on disk."""
        return self._memo.get("reference", lambda: self._build_reference(progress))

    def reference_if_quick(self) -> TrainingReference | None:
        """Return the reference if it is computed already or quick to compute; else None."""
        quick = self.run.data.train.images.size <= AT_ONCE
        return self.reference() if quick else self._memo.peek("reference")

    def _build_reference(self, progress: Progress) -> TrainingReference:
        train, model, device = self.run.data.train, self.run.model, self.run.device
        index = reference_index(train, self.seed)
        codes = self._stored(
            "codes",
            {"images": len(index)},
            lambda: encode(model, train, device, "encoding training images", index, progress).mean,
            lambda mean: {"mean": mean},
            lambda arrays: arrays["mean"],
        )
        return build_reference(model, train, index, codes, device, progress)

    def map_index(self) -> np.ndarray:
        """Return the test indices of the points of the map."""
        return seeded_sample(len(self.run.data.test), MAX_POINTS, self.seed)

    def map(self, progress: Progress = silent) -> Embedding:
        """Return the t-SNE map of the latent means, ready to place new points."""
        means = self.encodings(progress).mean[self.map_index()]

        def compute() -> Embedding:
            embedding = self._stored(
                "map",
                {"points": len(means)},
                lambda: Embedding(means, self.seed, progress=progress),
                lambda embedding: {"xy": embedding.xy},
                lambda arrays: Embedding(means, self.seed, arrays["xy"]),
            )
            embedding.prepare_placing()
            return embedding

        return self._memo.get("map", compute)

    def gap_index(self) -> np.ndarray:
        """Return the test indices of the instances whose gaps are computed by `prepare`."""
        n = len(self.run.data.test)
        return seeded_sample(n, self._gap_sample or default_sample_size(n), self.seed)

    def gaps(self, progress: Progress = silent) -> GapSample:
        """Return the gaps of the instances `gap_index`, which are cached on disk."""
        index = self.gap_index()
        return self._memo.get(
            "gaps",
            lambda: self._stored(
                "gaps",
                {"sample": len(index), **named_truth(self.run.truth)},
                lambda: self._compute_gaps(index, progress),
                GapSample.arrays,
                GapSample.from_arrays,
            ),
        )

    def gaps_if_ready(self) -> GapSample | None:
        """Return the gaps if they are computed already; else None."""
        return self._memo.peek("gaps")

    def _compute_gaps(self, index: np.ndarray, progress: Progress) -> GapSample:
        vae = self.run.model
        x = self.run.data.test.pixels(index).to(self.run.device)
        table, best = gaps_and_best(vae, x, self.run.truth, self.seed, progress)
        return sample_from(table, best, index)

    def correlations(self) -> tuple[UncertaintyCorrelation, ...]:
        """Return the correlation of the uncertainty with each gap; empty if the encoder reports no uncertainty."""
        uncertainty = self.encodings().total
        if uncertainty is None:
            return self._memo.get("correlations", lambda: ())
        sample = self.gaps()
        return self._memo.get(
            "correlations", lambda: correlations(uncertainty[sample.index], sample.quantities(), self.seed)
        )

    def correlations_if_ready(self) -> tuple[UncertaintyCorrelation, ...]:
        """Return the correlations if they are computed already; else an empty tuple."""
        return self._memo.peek("correlations") or ()
