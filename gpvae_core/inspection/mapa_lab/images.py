"""MAPA compared with a trained image model: their most probable training images, and the map of the codes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.data.base import Split
from gpvae_core.errors import UserError
from gpvae_core.inspection.embedding import MAX_POINTS, seeded_sample
from gpvae_core.inspection.encodings import encode_batch
from gpvae_core.inspection.mapa_lab.image_views import CodesView, Neighbour, NeighboursView, Slider
from gpvae_core.inspection.mapa_lab.kernel_controls import candidates, checked, controls_of
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.pictures import decode_means
from gpvae_core.inspection.reference import TrainingReference
from gpvae_core.inspection.stages import Stages
from gpvae_core.inspection.views import Array
from gpvae_core.mapa.kernels.base import Kernel
from gpvae_core.mapa.neighbours import NeighbourTable, find_neighbours
from gpvae_core.mapa.trend import compare
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run

STORED = 2000
"""Number of neighbours stored per image; the mass of all others is estimated from a sample."""
MOST_SHOWN = 50
"""Largest number of displayed neighbours."""
VALIDATION = 64
"""Number of validation images on which the kernel is chosen."""
CACHED = 64
"""Number of cached results."""


@dataclass(frozen=True)
class Pair:
    """Both index posteriors of one image over the N training images, as log probabilities (N,) in nats."""

    mapa: Array
    empirical: Array
    tail: float
    """MAPA's mass on the images that are not among the stored neighbours."""
    stored: int
    """Number of stored neighbours."""


class ImageLab:
    """MAPA for one trained run on images; results are cached, codes also in the run's folder.

    Raises:
        UserError: the run is not on images, or its likelihood has no kernel.
    """

    def __init__(self, run: Run, seed: int = 0) -> None:
        self.run, self.seed = run, seed
        if not run.is_images:
            raise UserError(f"wanted a run on images, got '{run.name}' on {run.config.data.name}")
        self._controls = controls_of(run.config.likelihood.kind)
        self._stages = Stages(run, None, seed)
        self._memo = Memo(CACHED)

    @property
    def size(self) -> int:
        """Number of test images."""
        return len(self.run.data.test)

    @cached_property
    def sliders(self) -> tuple[Slider, ...]:
        """Controls of the kernel's hyper-parameters; `best` chooses the first of them."""
        return self._controls.sliders(self.run.model.likelihood)

    @property
    def defaults(self) -> dict[str, float]:
        """The default value of each slider."""
        return {slider.name: slider.default for slider in self.sliders}

    def check(self, values: Mapping[str, float]) -> None:
        """Raise UserError if a value of the kernel's hyper-parameters is missing, unknown or out of range."""
        self._controls.kernel(checked(self.sliders, values))

    def prepare(self, progress: Progress = silent) -> None:
        """Encode and decode the training images, which takes seconds for thousands of images."""
        self._reference(progress)

    def _reference(self, progress: Progress = silent) -> TrainingReference:
        return self._stages.reference(progress)

    def _x(self, split: Split, index: Sequence[int] | np.ndarray) -> Float[Tensor, "B C H W"]:
        return split.pixels(np.asarray(index)).to(self.run.device)

    def _test(self, index: int) -> Float[Tensor, "1 C H W"]:
        if not 0 <= index < self.size:
            raise UserError(f"wanted a test image from 0 to {self.size - 1:,}, got {index:,}")
        return self._x(self.run.data.test, [index])

    def _table(
        self, key: object, x: Float[Tensor, "B C H W"], kernel: Kernel, progress: Progress = silent
    ) -> NeighbourTable:
        """Return the neighbours of images, cached by the settings on which the kernel's search depends."""

        def compute() -> NeighbourTable:
            train = self._reference(progress).pixels
            k = min(STORED, len(train))
            return find_neighbours(train, kernel, k, x.flatten(1), seed=self.seed, progress=progress)

        return self._memo.get(("table", key, tuple(sorted(kernel.settings().items()))), compute)

    # -- the two posteriors -----------------------------------------------------------------------------------------

    def pair(self, index: int, values: Mapping[str, float], progress: Progress = silent) -> Pair:
        """Return MAPA and the empiricalized posterior of a test image.

        Raises:
            UserError: the image does not exist, or a value is missing or out of the kernel's range.
        """
        x, kernel = self._test(index), self._controls.kernel(checked(self.sliders, values))
        reference = self._reference(progress)
        sparse = self._table(index, x, kernel, progress).posterior(kernel)
        log_p = self._memo.get(("empirical", index), lambda: reference.model.log_index_posterior(x)[0].numpy())
        return Pair(sparse.dense()[0].numpy(), log_p, math.exp(float(sparse.log_tail[0])), sparse.index.shape[1])

    def best(self, progress: Progress = silent) -> dict[str, float]:
        """Return the defaults with the first slider at the smallest mean KL(empiricalized || MAPA).

        The mean is over a seeded sample of validation images.
        """
        return self._memo.get("best", lambda: self._best(progress))

    def best_if_known(self) -> dict[str, float] | None:
        """Return the result of `best` if it is computed already; else None."""
        return self._memo.peek("best")

    def _best(self, progress: Progress) -> dict[str, float]:
        validation = self.run.data.validation
        x = self._x(validation, seeded_sample(len(validation), VALIDATION, self.seed))
        first = self.sliders[0]
        values = candidates(first)
        reference = self._reference(progress)
        p = reference.model.log_index_posterior(x).exp()
        table = self._table("validation", x, self._controls.kernel(self.defaults), progress)
        costs = []
        for number, value in enumerate(values):
            progress(number, len(values), "choosing the kernel")
            kernel = self._controls.kernel({**self.defaults, first.name: float(value)})
            log_q = table.posterior(kernel).dense()
            # Cross-entropy: KL(p || q) without the entropy of p, which does not depend on the kernel; 0 log 0 = 0.
            costs.append(-float(torch.where(p > 0, p * log_q, 0.0).sum(1).mean()))
        progress(len(values), len(values), "choosing the kernel")
        return {**self.defaults, first.name: float(values[int(np.argmin(costs))])}

    # -- lists of neighbours ----------------------------------------------------------------------------------------

    def neighbours(
        self, index: int, values: Mapping[str, float], k: int, progress: Progress = silent
    ) -> NeighboursView:
        """Return the k most probable training images under MAPA and under the empiricalized posterior.

        Raises:
            UserError: k is below 1 or above MOST_SHOWN or N, or as in `pair`.
        """
        pair, reference = self.pair(index, values, progress), self._reference()
        n = len(reference.index)
        most = min(MOST_SHOWN, n)
        if not 1 <= k <= most:
            raise UserError(f"wanted from 1 to {most} neighbours to show, got {k:,}")
        x = self._test(index)
        code = encode_batch(self.run.model, x).mean[0]
        lists = [np.argsort(-log_p, kind="stable")[:k] for log_p in (pair.mapa, pair.empirical)]
        shared = set(lists[0].tolist()) & set(lists[1].tolist())
        mapa, empirical = (
            tuple(self._neighbour(row, float(log_p[row]), x, code, row in shared) for row in rows.tolist())
            for rows, log_p in zip(lists, (pair.mapa, pair.empirical), strict=True)
        )
        trend = compare(torch.from_numpy(pair.empirical)[None], torch.from_numpy(pair.mapa)[None])
        label = self._label(self.run.data.test, index)
        return NeighboursView(
            title=f"test image {index}" + (f", class {label}" if label is not None else ""),
            image=x[0].cpu().numpy(),
            label=label,
            reconstruction=decode_means(self.run.model, code[None], x)[0],
            mapa=mapa,
            empirical=empirical,
            overlap=len(shared),
            kl=float(trend.kl[0]),
            kl_uniform=float(trend.uniform_kl[0]),
            effective=float(trend.effective_p[0]),
            effective_mapa=float(trend.effective_q[0]),
            n_total=n,
            kernel=self._controls.words(values),
            note=self._note(pair, n, reference.note),
        )

    def _note(self, pair: Pair, n: int, sample: str) -> str:
        if pair.stored == n:
            return sample
        stored = (
            f"MAPA keeps the {pair.stored:,} nearest of {n:,} training images; the others share "
            f"{pair.tail:.2g} of its mass evenly."
        )
        return f"{stored} {sample}".strip()

    def _label(self, split: Split, index: int) -> str | None:
        label, names = int(split.labels[index]), self.run.data.class_names
        return names[label] if 0 <= label < len(names) else None

    def _neighbour(self, row: int, log_p: float, x: Tensor, code: Array, shared: bool) -> Neighbour:
        reference, train = self._reference(), self.run.data.train
        index = int(reference.index[row])
        image = train.pixels([index])[0]
        return Neighbour(
            index=index,
            label=self._label(train, index),
            image=image.numpy(),
            probability=float(np.exp(log_p)),
            distance=float((image - x[0].cpu()).double().square().mean().sqrt()),
            latent_distance=float(np.linalg.norm(reference.codes[row] - code)),
            shared=shared,
        )

    # -- the map ----------------------------------------------------------------------------------------------------

    def codes(self, view: NeighboursView, index: int, progress: Progress = silent) -> CodesView:
        """Return the map of the training codes with the neighbours: latents at d <= 2, else principal components."""
        reference = self._reference(progress)
        plane = self._memo.get("plane", lambda: _code_plane(reference.codes))
        row_of = {int(i): row for row, i in enumerate(reference.index)}
        mapa, empirical = (
            np.array([row_of[neighbour.index] for neighbour in neighbours], dtype=np.int64)
            for neighbours in (view.mapa, view.empirical)
        )
        sample = seeded_sample(len(reference.index), MAX_POINTS, self.seed)
        shown = np.union1d(sample, np.concatenate([mapa, empirical]))
        code = encode_batch(self.run.model, self._test(index)).mean
        n = len(reference.index)
        words = f"all {n:,}" if len(shown) == n else f"a seeded sample of {len(sample):,} of {n:,}"
        return CodesView(
            index=reference.index[shown],
            xy=plane.place(reference.codes[shown]),
            class_index=self.run.data.train.labels[reference.index[shown]],
            class_names=self.run.data.class_names,
            place=plane.place(code)[0],
            mapa=np.searchsorted(shown, mapa),
            empirical=np.searchsorted(shown, empirical),
            x_label=plane.labels[0],
            y_label=plane.labels[1],
            note=f"{plane.note} of {words} training images.",
        )


@dataclass(frozen=True)
class CodePlane:
    """The map z -> (z - centre) @ axes.T of codes (..., D) to the plane (..., 2)."""

    centre: Array
    axes: Array
    labels: tuple[str, str]
    note: str

    def place(self, z: Array) -> Array:
        """Return the position of codes (..., D) on the plane, (..., 2)."""
        return (z - self.centre) @ self.axes.T


def _code_plane(codes: Array) -> CodePlane:
    """Return the latent plane itself at d <= 2, else that of the first two principal components."""
    d = codes.shape[1]
    if d <= 2:
        names = ("z₁ (prior sd)", "z₂ (prior sd)" if d == 2 else "")
        return CodePlane(np.zeros(d), np.eye(2, d), names, "Codes")
    centre = codes.mean(0)
    values, vectors = np.linalg.eigh(np.cov(codes.T))  # in ascending order
    share = values[::-1][:2].sum() / values.sum() if values.sum() > 0.0 else 1.0  # equal codes have no variance
    names = ("first principal component (prior sd)", "second principal component (prior sd)")
    return CodePlane(centre, vectors.T[::-1][:2], names, f"Two principal components ({share:.0%} of the variance)")
