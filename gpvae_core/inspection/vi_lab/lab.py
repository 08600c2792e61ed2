"""The VI Lab: inferences on a target with two latents, their divergences by quadrature, and the noise of gradients."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from gpvae_core.bounds import iwae
from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.inspection.contours import IN_VIEW, MASSES, SIDE, Contours, region_box, window
from gpvae_core.inspection.gap_lab.outlines import outline_of
from gpvae_core.inspection.gap_lab.svi import SIDE as OUTLINE_SIDE
from gpvae_core.inspection.gap_lab.window import truth_alone
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.planes import latent_plane
from gpvae_core.inspection.vi_lab.views import InferencePath, NoiseView, PathView, SampledBoundsView, StepsView
from gpvae_core.inspection.views import Array, GaussianShape, PosteriorView, Value
from gpvae_core.part_text import parse_part, part_text
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.vi.divergences.base import DIVERGENCES, WeightDivergence
from gpvae_core.vi.families.gaussian import MeanFieldConfig
from gpvae_core.vi.gradients.base import GRADIENTS, gradient_variance
from gpvae_core.vi.inference import VISettings, VITrace, begin, infer
from gpvae_core.vi.methods.black_box import BlackBoxConfig

T = TypeVar("T")
KEPT = 24
"""Number of inferences that are kept in memory."""
NODES = 161
"""Largest number of nodes of the divergences' grid along a side."""
REACH, FARTHEST = 6.0, 2.0
"""The grid holds q up to so many standard deviations from its mean, and goes so many sides of its window beyond p's."""
MASS_ERROR = 1e-3
"""Largest error of the masses of q and of the posterior on the grid at which divergences are given."""
BORDER, SAME = 0.1, 0.02
"""Share of the grid at its border without which a divergence may change by at most this share of itself."""
LEAST_SHARE = 0.25
"""Smallest share of the window's longer side that the posterior's region spans."""
SAMPLE_COUNTS = (4, 8, 16, 32, 64, 128)
BATCHES, BATCH_SAMPLES = 6, 32
"""Number of sizes of a batch, and the number of samples of q for each of them."""
REPEATS = 100
SAMPLE_BOUNDS, BOUND_SETS = (1, 2, 4, 8, 16, 32, 64), 500
"""Numbers of samples of the importance-weighted bound, and the number of sets of the largest number."""


class VILab:
    """Inferences and what is drawn of them, each of which is computed once. Threads may share it."""

    def __init__(self) -> None:
        self._traces, self._paths, self._truths = Memo(KEPT), Memo(KEPT), Memo(KEPT)

    def trace(self, settings: VISettings, progress: Progress = silent) -> VITrace:
        """Return the inference of these settings.

        Raises:
            UserError: the method does not take the target or the family.
        """
        s = settings
        return self._traces.get(
            _key(settings), lambda: infer(s.target, s.method, s.family, s.steps, s.seed, s.start, s.start_sd, progress)
        )

    def path(self, settings: VISettings, also: Sequence[str] = (), progress: Progress = silent) -> PathView:
        """Return an inference over the contours of its target's posterior.

        Args:
            also: divergences of q from the posterior that are computed beside each kind with its defaults.

        Raises:
            UserError: the target has other than two latents, or the method does not take it.
        """
        return PathView(self._window(settings), self._path(settings, tuple(also), progress))

    def steps(self, settings: Mapping[str, VISettings], divergence: str, progress: Progress = silent) -> StepsView:
        """Return several inferences on one target, by the name of each, without those that their method refuses.

        Raises:
            UserError: there is no such divergence, or all are refused.
        """
        also = fitted(settings.values())
        paths = _taken(settings, lambda one: self._path(one, also, progress))
        first = next(iter(paths.values()))
        if divergence not in first.divergences:
            known = ", ".join(first.divergences)
            raise UserError(f"there is no divergence '{divergence}' by quadrature; known: {known}")
        return StepsView(paths, first.log_px, divergence)

    @torch.no_grad()
    def sampled_bounds(self, settings: Mapping[str, VISettings], progress: Progress = silent) -> SampledBoundsView:
        """Return the importance-weighted bound of each inference's last q(z), without those that have no density.

        Raises:
            UserError: no inference has a density, all are refused, or the target has other than two latents.
        """
        traces = _taken(settings, lambda one: self.trace(one, progress))
        last = {name: (trace, trace.snapshots[-1].density) for name, trace in traces.items()}
        found = {name: tuple(_importance_weighted(trace, q)) for name, (trace, q) in last.items() if q is not None}
        if not found:
            raise UserError("particles have no density and so no bound: wanted another method")
        log_px = next(iter(traces.values())).posterior.log_px
        return SampledBoundsView(np.array(SAMPLE_BOUNDS, dtype=float), found, log_px)

    def noise(
        self, settings: VISettings, against: str, at_end: bool, progress: Progress = silent, repeats: int = REPEATS
    ) -> NoiseView:
        """Return the variance of every estimator of the ELBO's gradient at the start or the end of an inference.

        Args:
            against: 'samples' (of q) or 'batch' (data points).
            repeats: number of estimates of which each variance is.

        Raises:
            UserError: the method moves no family, or the target has no data points to draw a batch from.
        """
        target, inference = begin(settings)
        steps = settings.steps if at_end else 0
        for step in range(steps):
            inference.step()
            progress(step + 1, steps, "variational inference")
        family = inference.family()
        if family is None:
            raise UserError(
                f"the method '{settings.method.kind}' has no parameters of q(z) whose gradient could be estimated"
            )
        if against == "batch" and target.n == 1:
            raise UserError(f"the target '{settings.target.kind}' has no data points from which batches could be drawn")
        sizes = SAMPLE_COUNTS if against == "samples" else _batches(target.n)
        plain = isinstance(settings.family, MeanFieldConfig)
        estimators = {kind: GRADIENTS.get(kind)() for kind in GRADIENTS.summaries()}
        taken = {kind: each for kind, each in estimators.items() if plain or not each.mean_field}
        variances = {kind: np.empty(len(sizes)) for kind in taken}
        for k, (kind, estimator) in enumerate(taken.items()):
            for j, size in enumerate(sizes):
                samples, batch = (size, 0) if against == "samples" else (BATCH_SAMPLES, size)
                found = gradient_variance(estimator, target, family, samples, batch, repeats, settings.seed)
                variances[kind][j] = float(found.sum())
                progress(k * len(sizes) + j + 1, len(taken) * len(sizes), "gradients")
        what = "samples of q(z)" if against == "samples" else "data points in a batch"
        all_data = f"all {target.n} data points" if target.n > 1 else ""
        fixed = all_data if against == "samples" else f"{BATCH_SAMPLES} samples"
        left_out = tuple(kind for kind in estimators if kind not in taken)
        return NoiseView(words(settings), np.array(sizes), what, fixed, variances, left_out, steps, repeats)

    def _path(self, settings: VISettings, also: tuple[str, ...], progress: Progress) -> InferencePath:
        def compute() -> InferencePath:
            trace, plane = self.trace(settings, progress), latent_plane()
            densities = [s.density for s in trace.snapshots if s.density is not None]
            clouds = [s.particles.numpy() for s in trace.snapshots if s.particles is not None]
            none = np.empty((len(trace.snapshots), 0, 2))
            return InferencePath(
                words(settings),
                tuple(outline_of(f"step {k}", q, plane, OUTLINE_SIDE) for k, q in enumerate(densities)),
                np.stack(clouds) if clouds else none,
                np.array([np.nan if s.bound is None else s.bound for s in trace.snapshots]),
                _divergences(trace, densities, also),
                trace.posterior.log_px,
            )

        return self._paths.get((_key(settings), also), compute)

    def _window(self, settings: VISettings) -> PosteriorView:
        """Return the posterior over a window with all its mass and the start of the inference."""
        key = part_text(settings.target), settings.start, settings.start_sd
        start = settings.model_copy(update={"steps": 0})
        return self._truths.get(key, lambda: _window(self.trace(start)))


def _key(settings: VISettings) -> Hashable:
    """Return all on which an inference depends."""
    s = settings
    return part_text(s.target), part_text(s.family), part_text(s.method), s.steps, s.start, s.start_sd, s.seed


def _taken(settings: Mapping[str, VISettings], compute: Callable[[VISettings], T]) -> dict[str, T]:
    """Return what is computed of each inference, without those that are refused. Raises UserError if all are."""
    found, refused = dict[str, T](), list[UserError]()
    for name, one in settings.items():
        try:
            found[name] = compute(one)
        except UserError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return found


def words(settings: VISettings) -> str:
    """Return the family, where there is one, and the method of an inference as their settings name them."""
    family = f"{part_text(settings.family)}, " if settings.method.takes_family else ""
    return family + part_text(settings.method)


def fitted(settings: Iterable[VISettings]) -> tuple[str, ...]:
    """Return the divergences that these inferences minimise, each once, as far as quadrature gives them."""
    methods = [one.method for one in settings]
    each = [method.divergence for method in methods if isinstance(method, BlackBoxConfig)]
    return tuple(dict.fromkeys(part_text(one) for one in each if isinstance(one, WeightDivergence)))


def measured(also: Sequence[str] = ()) -> dict[str, WeightDivergence]:
    """Return the divergences that are computed for an inference: each kind with its defaults, and these."""
    each = [DIVERGENCES.get(kind)() for kind in DIVERGENCES.summaries()]
    each += [parse_part(text, DIVERGENCES) for text in also]
    return {part_text(one): one for one in each if isinstance(one, WeightDivergence)}


@torch.no_grad()
def _window(trace: VITrace) -> PosteriorView:
    truth, q, target = trace.posterior, trace.settings, trace.target
    mean = np.array([q.start[0], q.start[-1]])
    levels = truth.hpd_levels((*MASSES, IN_VIEW))
    region = region_box(truth.x, truth.y, truth.log_density, levels[-1][1])
    x0, x1, y0, y1 = window(region, [GaussianShape("start", mean, q.start_sd**2 * np.eye(2))], LEAST_SHARE)
    xs, ys = np.linspace(x0, x1, SIDE), np.linspace(y0, y1, SIDE)
    values = target.log_density(_nodes(xs, ys)).numpy().reshape(SIDE, SIDE) - truth.log_px
    contours = Contours(xs, ys, values, levels[: len(MASSES)])
    return truth_alone(latent_plane(), contours, np.asarray(truth.modes()))


def _nodes(xs: Array, ys: Array) -> torch.Tensor:
    return torch.from_numpy(np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2))


@torch.no_grad()
def _divergences(trace: VITrace, densities: Sequence[Posterior], also: Sequence[str]) -> Mapping[str, Array]:
    """Return each divergence of q from the posterior after each step, NaN where quadrature cannot give it."""
    each = measured(also)
    found = {name: np.full(len(trace.snapshots), np.nan) for name in each}
    if not densities:
        return found
    xs, ys = _axes(trace.posterior, densities)
    z, cell = _nodes(xs, ys), float((xs[1] - xs[0]) * (ys[1] - ys[0]))
    log_p = trace.target.log_density(z) - trace.posterior.log_px
    p_mass = float(log_p.exp().sum()) * cell
    inner = torch.from_numpy(np.logical_and.outer(_inner(len(ys)), _inner(len(xs))).ravel())
    for step, q in enumerate(densities):
        log_q = q.log_prob(z[:, None])[:, 0]
        log_mass = log_q + np.log(cell)
        masses = float(log_mass.exp().sum()), p_mass
        if not all(abs(mass - 1.0) < MASS_ERROR for mass in masses):
            continue
        log_w = log_p - log_q
        for name, divergence in each.items():
            value = float(divergence.value(log_w, log_mass))
            # NOTE: an integral that has no finite value grows with the grid on which it is computed.
            within = float(divergence.value(log_w[inner], log_mass[inner]))
            if abs(value - within) <= SAME * max(abs(value), 1.0):
                found[name][step] = value
    return found


def _importance_weighted(trace: VITrace, q: Posterior) -> Iterator[Value]:
    """Yield the mean of the IWAE bound for each number of samples, over disjoint sets of the same samples."""
    generator = torch.Generator().manual_seed(trace.settings.seed)
    z, log_q = q.rsample_and_log_prob(BOUND_SETS * SAMPLE_BOUNDS[-1], generator)
    log_w = trace.target.log_density(z[:, 0]) - log_q[:, 0]
    for k in SAMPLE_BOUNDS:
        values = iwae(log_w.reshape(-1, k).T)
        yield Value(float(values.mean()), float(values.std() / len(values) ** 0.5))


def _inner(n: int) -> NDArray[np.bool_]:
    """Return whether each of n nodes along a side is not at the border."""
    k, border = np.arange(n), round(0.5 * BORDER * n)
    return (k >= border) & (k < n - border)


def _axes(truth: GridPosterior, densities: Sequence[Posterior]) -> tuple[Array, Array]:
    """Return the axes of a grid that holds the posterior and, as far as FARTHEST allows, each q."""
    means = torch.cat([q.mean for q in densities]).numpy()
    reach = REACH * torch.cat([q.variance for q in densities]).sqrt().numpy()
    finite = (np.isfinite(means) & np.isfinite(reach)).all(1)
    ends = []
    for k, known in enumerate((truth.x, truth.y)):
        low, high = float(known[0]), float(known[-1])
        farthest = FARTHEST * (high - low)
        first = (means - reach)[finite, k].min(initial=low)
        last = (means + reach)[finite, k].max(initial=high)
        ends.append((max(first, low - farthest), min(last, high + farthest)))
    # The rectangle rule is exact to many digits as long as a step is not longer than a standard deviation.
    step = float(truth.x[1] - truth.x[0])
    step *= max(1.0, *((high - low) / step / (NODES - 1) for low, high in ends))
    x, y = (low + step * np.arange(int(np.ceil((high - low) / step)) + 1) for low, high in ends)
    return x, y


def _batches(n: int) -> tuple[int, ...]:
    """Return sizes of a batch from 1 to all n data points, at about equal ratios."""
    return tuple(dict.fromkeys(round(size) for size in np.geomspace(1, n, BATCHES)))
