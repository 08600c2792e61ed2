"""The content of the Gap Lab for one decoder, as plain data. One lab serves all pages and threads.

All sums over images are of the validation split: methods are compared and tuned here, which must not use the test
images. One test image may be looked at by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.inspection.disk import DiskCache
from gpvae_core.inspection.embedding import seeded_sample
from gpvae_core.inspection.gap_lab import curves, window
from gpvae_core.inspection.gap_lab.methods import Decoder, model_of, split_method
from gpvae_core.inspection.gap_lab.outlines import drawable, outline_of
from gpvae_core.inspection.gap_lab.scores import GapReference, bound_words, stacks_view, stored_reference, value
from gpvae_core.inspection.gap_lab.svi import SviSettings, path_elbos, path_outlines, svi_path
from gpvae_core.inspection.gap_lab.timing import BATCH, batch_times
from gpvae_core.inspection.gap_lab.views import (
    ContoursView,
    CurveView,
    ImageOfTest,
    LabImage,
    ReconstructedImage,
    StacksView,
    SviView,
    TimedMethod,
    TimesView,
)
from gpvae_core.inspection.local import LocalPosterior, local_posterior
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.outline import MASS
from gpvae_core.inspection.pictures import decode_means
from gpvae_core.inspection.planes import choose_plane, latent_plane
from gpvae_core.inspection.views import USUAL, Array, GaussianShape, Plane, PosteriorView
from gpvae_core.methods import parse_refiner
from gpvae_core.part_text import part_text
from gpvae_core.progress import Progress, renamed, silent
from gpvae_core.runs import Run
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.quadrature import TruePosterior
from gpvae_core.vae import VAE

SAMPLE = 64
"""Number of validation images over which means are taken."""
ONE_DIMENSION = "With one latent dimension there is no plane to draw posteriors in: the Explorer shows the line."
CACHED = 512
"""Number of cached results."""


class GapLab:
    """Methods of inference under one decoder; results are cached while they are in use.

    Args:
        decoder: the decoder with the names of its runs.
        runs: runs by name, among them all of `decoder`.
        sample: number of validation images, a seeded sample, over which means are taken.
        partial: names of runs whose training has not ended.
    """

    def __init__(
        self,
        decoder: Decoder,
        runs: Mapping[str, Run],
        seed: int = 0,
        sample: int = SAMPLE,
        memo: Memo | None = None,
        partial: Collection[str] = (),
    ) -> None:
        self.decoder, self.seed = decoder, seed
        self.partial = frozenset(partial) & frozenset(decoder.runs)
        self.runs = {name: runs[name] for name in decoder.runs}
        self.origin = self.runs[decoder.runs[0]]
        self._sample = sample
        self._memo = memo or Memo(CACHED)

    def with_runs(self, decoder: Decoder, runs: Mapping[str, Run], partial: Collection[str] = ()) -> GapLab:
        """Return a lab of the same decoder with other runs; it shares this one's results unless one of its runs
        is gone or was loaded again, as one that was retrained.
        """
        same = all(runs.get(name) is run for name, run in self.runs.items())
        if same and (decoder, frozenset(partial) & {*decoder.runs}) == (self.decoder, self.partial):
            return self
        return GapLab(decoder, runs, self.seed, self._sample, self._memo if same else None, partial)

    @property
    def results(self) -> Memo:
        """The cached results: another object once one of the runs has other weights."""
        return self._memo

    # -- images and methods -----------------------------------------------------------------------------------------

    @property
    def planar(self) -> bool:
        """Whether d = 2, where the displayed plane is the latent space itself."""
        return self.origin.model.latent_dim == 2

    @property
    def size(self) -> int:
        """Number of validation images."""
        return len(self.origin.data.validation)

    @property
    def test_size(self) -> int:
        """Number of test images."""
        return len(self.origin.data.test)

    def title(self, index: LabImage) -> str:
        """Return the image in words, such as 'validation image 3, class 7'."""
        data = self.origin.data
        if isinstance(index, ImageOfTest):
            name, number, label = "test", index.index, int(data.test.labels[index.index])
        else:
            name, number, label = "validation", index, int(data.validation.labels[index])
        known = f", class {data.class_names[label]}" if 0 <= label < len(data.class_names) else ""
        return f"{name} image {number}{known}"

    def _one(self, index: LabImage) -> Tensor:
        if not isinstance(index, ImageOfTest):
            return self._x([index])
        if not 0 <= index.index < self.test_size:
            raise UserError(f"wanted a test image from 0 to {self.test_size - 1}, got {index.index}")
        return self.origin.data.test.pixels([index.index]).to(self.origin.device)

    def _x(self, index: Sequence[int] | np.ndarray) -> Tensor:
        invalid = [int(k) for k in index if not 0 <= k < self.size]
        if invalid:
            raise UserError(f"wanted a validation image from 0 to {self.size - 1}, got {invalid[0]}")
        return self.origin.data.validation.pixels(np.asarray(index)).to(self.origin.device)

    def words(self, method: str) -> str:
        """Return the family of a method's posterior in words, with the refiner that is applied at test time."""
        run, refiner = split_method(method, list(self.runs))
        return f"{self.runs[run].config.encoder.family}{f', refined by {refiner}' if refiner else ''}"

    def model(self, method: str) -> VAE:
        """Return the model of a method. Raises UserError if its run or refiner does not exist or does not fit."""
        run, refiner = split_method(method, list(self.runs))
        return self._memo.get(("model", method), lambda: model_of(self.runs[run], refiner))

    def canonical(self, method: str) -> str:
        """Return the one name of a method: 'run+svi:8' for 'run+svi', and 'run' for 'run+none'. Raises as `model`."""
        run, refiner = split_method(method, list(self.runs))
        name = part_text(parse_refiner(refiner)) if refiner else "none"
        return run if name == "none" else f"{run}+{name}"

    @torch.no_grad()
    def _posterior(self, method: str, index: LabImage) -> Posterior:
        return self._memo.get(("posterior", method, index), lambda: self.model(method).infer(self._one(index)))

    def picture(self, methods: Sequence[str], index: LabImage) -> ReconstructedImage:
        """Return the image, and its reconstruction from the mean of each method's q(z|x)."""
        x = self._one(index)
        decoded = {}
        for method in methods:
            mean = self._posterior(method, index).mean.cpu().double().numpy()
            decoded[method] = decode_means(self.model(method), mean, x)[0]
        return ReconstructedImage(self.title(index), x[0].cpu().numpy(), decoded)

    # -- truth ------------------------------------------------------------------------------------------------------

    def _truth(self, index: LabImage) -> TruePosterior:
        """Return p(z|x) by quadrature, at d = 1 or 2."""
        return self._memo.get(("truth", index), lambda: self.origin.truth.posterior(self._one(index))[0])

    def _local(self, index: LabImage) -> LocalPosterior:
        def compute() -> LocalPosterior:
            starts = [self._posterior(name, index).mean[0].cpu().double().numpy() for name in self.runs]
            return local_posterior(
                self.origin.model, self._one(index), np.stack([*starts, np.zeros(self.origin.model.latent_dim)])
            )

        return self._memo.get(("local", index), compute)

    def reference(self, index: LabImage, progress: Progress = silent) -> GapReference:
        """Return log p(x) and the best Gaussians of one image."""

        def compute() -> GapReference:
            return GapReference.from_model(self.origin.model, self._one(index), self.origin.truth, self.seed, progress)

        return self._memo.get(("reference", index), compute)

    @cached_property
    def sample(self) -> np.ndarray:
        """Indices of the validation images over which means are taken."""
        return seeded_sample(self.size, self._sample, self.seed)

    def sample_reference(self, progress: Progress = silent) -> GapReference:
        """Return log p(x) and the best Gaussians of the sample, which are cached on disk."""

        def compute() -> GapReference:
            model, truth = self.origin.model, self.origin.truth
            return stored_reference(self._disk, model, self._x(self.sample), truth, self.seed, progress)

        return self._memo.get("sample", compute)

    @property
    def _disk(self) -> DiskCache:
        depends_on = {"decoder": self.decoder.fingerprint, "data": self.origin.data.fingerprint, "seed": self.seed}
        return DiskCache(self.origin.dir / "explore", depends_on)

    # -- gaps -------------------------------------------------------------------------------------------------------

    def stacks(self, methods: Sequence[str], index: LabImage) -> StacksView:
        """Return the gaps of one image under each method."""
        reference = self.reference(index)
        elbos = {
            name: self._memo.get(("elbo", name, index), lambda name=name: reference.elbos(self.model(name)))
            for name in methods
        }
        words = self._truth_words(index, reference)
        return stacks_view(self.title(index), reference, elbos, words, self.usual_gaps(methods))

    def usual_gaps(self, methods: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Return the percentiles USUAL of the inference gap over the sample, of the methods for which they are known.

        They are unknown until the sample's ELBOs are computed, and where one of these is not finite.
        """
        reference: GapReference | None = self._memo.peek("sample")
        known: dict[str, tuple[float, float]] = {}
        for name in methods:
            elbos = self._memo.peek(("elbos", name))
            if reference is not None and elbos is not None and np.isfinite(elbos).all():
                low, high = np.percentile(reference.table.log_px - elbos, USUAL)
                known[name] = (float(low), float(high))
        return known

    def mean_stacks(self, methods: Sequence[str], progress: Progress = silent) -> StacksView:
        """Return the mean gaps over the sample under each method."""
        reference = self.sample_reference(progress)
        elbos = {name: self.sample_elbos(name, progress) for name in methods}
        what = f"mean of {len(self.sample)} validation images"
        return stacks_view(what, reference, elbos, self._sample_words(reference))

    def sample_elbos(self, method: str, progress: Progress = silent) -> Array:
        """Return the ELBOs of the sample under one method, (M,) nats."""

        def compute() -> Array:
            return self.sample_reference(progress).elbos(self.model(method), renamed(progress, f"{{}} of {method}"))

        return self._memo.get(("elbos", method), compute)

    def largest_gap(self, method: str, progress: Progress = silent) -> int:
        """Return the validation image of the sample with the largest inference gap under the method."""
        reference = self.sample_reference(progress)
        return int(self.sample[np.argmax(reference.table.log_px - self.sample_elbos(method, progress))])

    def _truth_words(self, index: LabImage, reference: GapReference) -> str:
        if not reference.exact:
            return bound_words(reference)
        truth = self._truth(index)
        checks = "" if truth.passed else ", though its checks failed"
        return f"log p(x) by quadrature: {truth.error_words}{checks}."

    def _sample_words(self, reference: GapReference) -> str:
        passed = reference.table.passed
        if not reference.exact or passed is None:
            return bound_words(reference)
        return f"log p(x) by quadrature ({int(passed.sum())} of {len(passed)} grids pass their checks)."

    # -- contours ---------------------------------------------------------------------------------------------------

    def plane(self, index: LabImage) -> Plane:
        """Return the latent plane, or for d > 2 the two widest directions through the posterior mode."""
        if self.origin.model.latent_dim == 1:
            raise UserError(ONE_DIMENSION)
        return latent_plane() if self.planar else choose_plane("auto", self._local(index), (0, 1))

    def contours(self, methods: Sequence[str], index: LabImage, start: str = "") -> ContoursView:
        """Return the true posterior and the outline of each method's; the window always contains that of `start`."""
        plane = self.plane(index)
        every = {name: self._posterior(name, index) for name in methods}
        posteriors = {name: q for name, q in every.items() if drawable(q)}
        outlines = tuple(outline_of(name, q, plane) for name, q in posteriors.items())
        shapes = [window.shape(name, q, plane) for name, q in posteriors.items()]
        first = [window.shape(start, self._posterior(start, index), plane)] if start else []
        return ContoursView(self._true_posterior(index, plane, first, shapes), outlines, MASS)

    def _true_posterior(
        self, index: LabImage, plane: Plane, must: Sequence[GaussianShape], may: Sequence[GaussianShape]
    ) -> PosteriorView:
        x, vae = self._one(index), self.origin.model
        if not self.planar:
            return window.on_slice(vae, x, self._local(index), plane, must, may)
        truth = self._truth(index)
        assert isinstance(truth, GridPosterior)
        return window.on_latent_plane(vae, self.origin.truth.atlas(), x, truth, plane, must, may)

    # -- refinement, step by step -----------------------------------------------------------------------------------

    def svi(self, start: str, settings: SviSettings, index: LabImage, progress: Progress = silent) -> SviView:
        """Return the path of SVI from q(z|x) of the encoder of run `start`, and its ELBO after each step."""

        def compute() -> SviView:
            run, x = self.runs[split_method(start, list(self.runs))[0]], self._one(index)
            path = svi_path(run, x, settings)
            reference = self.reference(index)
            table = reference.table
            return SviView(
                start=start,
                settings=settings.text,
                elbo=path_elbos(path, reference, progress),
                outlines=path_outlines(path, self.plane(index), progress) if self.origin.model.latent_dim > 1 else (),
                log_px=float(table.log_px[0]),
                best_diagonal_elbo=float(table.best_diagonal_elbo[0]),
                best_full_elbo=float(table.best_full_elbo[0]),
                exact=reference.exact,
                full_is_diagonal=reference.full_is_diagonal,
            )

        return self._memo.get(("svi", start, settings, index), compute)

    # -- accuracy against time --------------------------------------------------------------------------------------

    def times(self, methods: Sequence[str], progress: Progress = silent) -> TimesView:
        """Measure the time of each method, side by side, and return it with the accuracy on the sample."""
        reference = self.sample_reference(progress)
        elbos = {name: self.sample_elbos(name, progress) for name in methods}
        batch = self._x(np.arange(BATCH) % self.size)
        milliseconds = batch_times({name: self.model(name) for name in methods}, batch, progress)
        points = []
        for name in methods:
            low, median, high = np.percentile(milliseconds[name], (25, 50, 75))
            gap = value(reference.table.log_px - elbos[name])
            points.append(TimedMethod(name, float(median), float(low), float(high), value(elbos[name]), gap))
        repeats = min((len(times) for times in milliseconds.values()), default=0)
        return TimesView(
            tuple(points), BATCH, repeats, len(self.sample), self.origin.device.type.upper(), reference.exact
        )

    # -- teaching curves --------------------------------------------------------------------------------------------

    def size_series(self) -> list[str]:
        """Return the runs on this decoder that differ only in the size of their encoder, trained to their end."""
        return curves.size_series({name: run for name, run in self.runs.items() if name not in self.partial})

    def size_curve(self, progress: Progress = silent) -> CurveView | None:
        """Return the gaps against the encoder's size; None if there is no such series of runs."""
        names = self.size_series()
        if not names:
            return None
        elbos = {name: self.sample_elbos(name, progress) for name in names}
        return curves.size_view(self.runs, names, self.sample_reference(progress), elbos)
