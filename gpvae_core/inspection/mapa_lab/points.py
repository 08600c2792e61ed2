"""MAPA over synthetic points whose model is known, without training. One lab serves all pages and threads."""

from __future__ import annotations

import numpy as np
import torch

from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.data.synthetic.examples import EXAMPLES, decode, draw, get_example
from gpvae_core.data.synthetic.sets import COUNT
from gpvae_core.errors import UserError
from gpvae_core.inspection.disk import fingerprint
from gpvae_core.inspection.mapa_lab.bounds import bound_view, passes_view
from gpvae_core.inspection.mapa_lab.curve_views import BoundView, PassesView
from gpvae_core.inspection.mapa_lab.density import density_view, grid_log_px, window
from gpvae_core.inspection.mapa_lab.models import PointModel, fits, learned_model, truth_model
from gpvae_core.inspection.mapa_lab.posteriors import PointMapa, check_settings, mapa_of, trace_of
from gpvae_core.inspection.mapa_lab.process import MOST_DRAWS, LatentCurve, ProcessDraw, check, describe
from gpvae_core.inspection.mapa_lab.views import (
    FEWEST_POINTS,
    MOST_POINTS,
    ChosenPoint,
    DensityView,
    MapaSettings,
    PlaneView,
    ProcessView,
    TraceView,
    Variant,
    VariantsView,
)
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.views import Array
from gpvae_core.mapa.bandwidth import choose_bandwidth
from gpvae_core.progress import Progress, silent
from gpvae_core.runs import Run

__all__ = ["ABOUT", "MOST_DRAWS", "MOST_POINTS", "SETS", "PointLab", "fits"]

ABOUT = {
    "figure-8": "Figure-8: points on a lemniscate, whose crossing belongs to two latents",
    "circle": "Circle: points on a closed curve with a cut",
    "absolute-value": "Absolute-Value: points on a line segment",
    "clusters": "Clusters: four on a circle, with wide noise and steep ways between",
    "spiral-dots": "Spiral-Dots: seven dots along a spiral",
    "circle-fold": "Circle, second variant: the same points by a decoder that goes round twice",
    "absolute-value-fold": "Absolute-Value, second variant: the same points by a decoder that goes there and back",
    "linear-gaussian": "Linear-Gaussian: everything known in closed form",
}
SETS = tuple(ABOUT)
CACHED = 256
"""Number of cached results per lab."""
VALIDATION = 1
"""Number of the validation split of a draw."""
REACH = 10
"""Largest extent of the places that can be chosen, in extents of the plane shown; log densities of places much farther
away underflow, or are so large that they do not differ any more."""
PROCESS_REACH = 3.5
"""Largest |z| of the displayed generative process, in prior standard deviations."""

_shared = Memo(24)


class PointLab:
    """N points of one draw of a set, the model that generated them, and MAPA over them."""

    def __init__(self, name: str, size: int, draw_seed: int) -> None:
        self.example = get_example(name)
        if not FEWEST_POINTS <= size <= MOST_POINTS:
            raise UserError(f"wanted {FEWEST_POINTS} to {MOST_POINTS:,} points, got {size:,}")
        self.name, self.size, self.draw = name, size, draw_seed
        self.sigma = self.example.sigma
        drawn = draw(name, max(size, COUNT), draw_seed)
        self.points = drawn.points.reshape(-1, 2)[:size].astype(np.float64)
        self._latents = drawn.latents[:size]
        self._memo = Memo(CACHED)

    @staticmethod
    def open(name: str, size: int = COUNT, draw: int = 0) -> PointLab:
        """Return the lab of `size` points, which is shared by all callers with equal arguments.

        Up to 1,000 points are the first training points of the data set with `split_seed` = draw; a larger number of
        points is a different draw.

        Raises:
            UserError: there is no such set, the size is not from 2 to MOST_POINTS, or the draw is negative.
        """
        return _shared.get((name, size, draw), lambda: PointLab(name, size, draw))

    # -- the chosen point -------------------------------------------------------------------------------------------

    def chosen(self, index: int) -> ChosenPoint:
        """Return a training point. Raises UserError if the index is out of range."""
        if not 0 <= index < self.size:
            raise UserError(f"wanted a training point from 0 to {self.size - 1:,}, got {index:,}")
        return ChosenPoint(self.points[index], index)

    def chosen_at(self, x1: float, x2: float) -> ChosenPoint:
        """Return any point in the plane at which log p(x) is known.

        Raises:
            UserError: the point is farther from the data than REACH times their extent, or the quadrature of log p(x)
                fails its checks there.
        """
        x, ends = np.array([x1, x2], dtype=np.float64), np.array([(axis[0], axis[-1]) for axis in self._window()])
        if not np.isfinite(x).all():
            raise UserError(f"wanted two finite coordinates, got {x1:g} and {x2:g}")
        low, high = (ends.mean(1) + side * REACH * np.ptp(ends, axis=1) / 2 for side in (-1, 1))
        within = f"x₁ from {low[0]:.3g} to {high[0]:.3g} and x₂ from {low[1]:.3g} to {high[1]:.3g}"
        if not ((low <= x) & (x <= high)).all():
            raise UserError(f"x: wanted {within}, {REACH} times the extent of {self.name}, got {x1:g} and {x2:g}")
        if not self.truth.passed(x[None])[0]:
            raise UserError(
                f"x: log p(x) of {self.name} cannot be computed at {x1:g} and {x2:g}, as the checks of its quadrature "
                "fail so far from the data: wanted a point nearer to them"
            )
        return ChosenPoint(x, None)

    def nearest(self, x1: float, x2: float) -> int:
        """Return the index of the training point nearest to a point in the plane."""
        return int(((self.points - self.chosen_at(x1, x2).x) ** 2).sum(1).argmin())

    # -- posteriors -------------------------------------------------------------------------------------------------

    def check(self, settings: MapaSettings) -> None:
        """Raise UserError if the bandwidth is not positive, or if k, S and N do not define a bound."""
        check_settings(settings, self.size)

    def best_bandwidth(self, progress: Progress = silent) -> float:
        """Return the bandwidth with the highest kernel density of validation points, which needs no model."""

        def compute() -> float:
            validation = draw(self.name, COUNT, self.draw, VALIDATION).points.reshape(-1, 2)
            train = torch.from_numpy(self.points).float()
            return choose_bandwidth(train, torch.from_numpy(validation), progress=progress)

        return self._memo.get("bandwidth", compute)

    @property
    def truth(self) -> PointModel:
        """The model that generated the points."""
        return self._model(self.name)

    def _model(self, name: str) -> PointModel:
        """Return the true model of a variant, with the latents that generate these points under it."""

        def compute() -> PointModel:
            example = get_example(name)
            latents = self._latents if name == self.name else draw(name, max(self.size, COUNT), self.draw).latents
            train = latents[: self.size]
            return truth_model(name, KnownTruth(example.decoder(), example.sigma, 1, train, train[:0], train[:0]))

        return self._memo.get(("model", name), compute)

    def _mapa(self, chosen: ChosenPoint, settings: MapaSettings) -> PointMapa:
        key = ("mapa", tuple(chosen.x.tolist()), settings)
        return self._memo.get(key, lambda: mapa_of(self.points, chosen.x, settings))

    def traces(self, chosen: ChosenPoint, settings: MapaSettings) -> TraceView:
        """Return the true, empiricalized and MAPA posterior of the point against the ground-truth latents."""
        return trace_of(self.truth, chosen, self._mapa(chosen, settings))

    def plane(self, chosen: ChosenPoint, settings: MapaSettings) -> PlaneView:
        """Return the points over the true density, with MAPA of the chosen point."""
        mapa = self._mapa(chosen, settings)
        x, y = self._window()
        head, drawn = mapa.draw.head[0].numpy(), mapa.draw.tail[0].numpy()
        return PlaneView(
            x=x,
            y=y,
            log_density=self._true_density(),
            head=head,
            drawn=drawn,
            points=self.points,
            z=self.truth.codes,
            log_q=mapa.log_q,
            chosen=chosen,
        )

    def _window(self) -> tuple[Array, Array]:
        return self._memo.get("window", lambda: window(self.truth, self.sigma))

    def _true_density(self) -> Array:
        return self._memo.get("true density", lambda: grid_log_px(self.truth, *self._window()))

    def variants(
        self, chosen: ChosenPoint, settings: MapaSettings, learned: Run | None = None, progress: Progress = silent
    ) -> VariantsView:
        """Return the set's own model, its second variant if it has one, and a trained run on the same points.

        Raises:
            UserError: the run is on other points, or has more than one latent dimension.
        """
        names = [self.name, *(name for name in self.siblings() if name != self.name)]
        models = []
        for number, name in enumerate(names):
            progress(number, len(names) + 1, "variants")
            models.append(self._model(name))
        if learned is not None:
            models.append(self._learned(learned))
        mapa = self._mapa(chosen, settings)
        variants = tuple(_variant(model, trace_of(model, chosen, mapa)) for model in models)
        progress(1, 1, "variants")
        return VariantsView(variants, self.points, chosen, self._variants_note(variants, learned))

    def siblings(self) -> list[str]:
        """Return the names of the sets with the same points, including this one."""
        root = (self.example.points_of or self.example).name
        return [name for name, example in EXAMPLES.items() if (example.points_of or example).name == root]

    def _learned(self, run: Run) -> PointModel:
        if fits(run) and run.config.data.name not in self.siblings():
            raise UserError(
                f"wanted a run on the points of {self.name}, got '{run.name}', which is on {run.config.data.name}"
            )
        return self._memo.get(("learned", run.name, fingerprint(run.model)), lambda: learned_model(run, self.points))

    def _variants_note(self, variants: tuple[Variant, ...], learned: Run | None) -> str:
        if len(variants) == 1:
            return (
                f"{self.name} has no second decoder here; circle and absolute-value have one. Or choose a trained run "
                "with one latent as the other variant."
            )
        note = "MAPA is computed once, from the points alone, and is the same in every panel."
        if learned is not None and learned.config.data.split_seed != self.draw:
            note += f" {learned.name} was trained on draw {learned.config.data.split_seed}, not on these points."
        return note

    # -- the generative process -------------------------------------------------------------------------------------

    def process(self, coordinate: int = 0, seed: int = 0, draws: int = 4, noise: float | None = None) -> ProcessView:
        """Return Fig. 1 for this set: z against x_1 (coordinate 0) or x_2 (1).

        Args:
            noise: standard deviation of the noise, in place of the set's own.

        Raises:
            UserError: the coordinate is neither 0 nor 1, the number of draws is not from 1 to MOST_DRAWS, or the noise
                is not positive.
        """
        sigma = self.sigma if noise is None else noise
        check(draws, sigma)
        if coordinate not in (0, 1):
            raise UserError(f"wanted coordinate 0 (x₁) or 1 (x₂), got {coordinate}")
        curve = self._memo.get("process", self._process_curve)
        generator = np.random.default_rng(seed)
        z, eps = generator.standard_normal(draws), sigma * generator.standard_normal((draws, 2))
        drawn = ProcessDraw(z, decode(self.example.decoder(), z), eps)
        label = "x₁" if coordinate == 0 else "x₂"
        return describe(curve, drawn, coordinate, sigma, title=self.name, label=label, unit="prior sd")

    def _process_curve(self) -> LatentCurve:
        z = np.linspace(-PROCESS_REACH, PROCESS_REACH, 801)
        return LatentCurve(z, -0.5 * z**2 - 0.5 * np.log(2 * np.pi), decode(self.example.decoder(), z))

    # -- bound, passes, density -------------------------------------------------------------------------------------

    def bound(self, settings: MapaSettings, progress: Progress = silent) -> BoundView:
        """Return the bound against S with k = 10 % and 90 % of S and k as set, for MAPA, MAPA-GT and MAPA-naive."""
        self.check(settings)
        key = ("bound", settings.bandwidth, settings.k, settings.seed)
        return self._memo.get(key, lambda: bound_view(self.truth, self.points, settings, progress))

    def passes(self, bandwidth: float, seed: int = 0, progress: Progress = silent) -> PassesView:
        """Return the network passes per point against S. Raises UserError if the bandwidth is not positive."""
        key = ("passes", bandwidth, seed)
        return self._memo.get(key, lambda: passes_view(self.points, bandwidth, seed, progress))

    def density(self, run: Run, progress: Progress = silent) -> DensityView:
        """Return p_model(x) of a run on these points and p_GT(x), and the test KL on the run's test points.

        Raises:
            UserError: the run is on other points, has more than one latent dimension, or its data cannot be read.
        """

        def compute() -> DensityView:
            progress(0, 2, "reading the run's data")
            test = run.data.test.images.reshape(-1, 2).astype(np.float64)
            progress(1, 2, "densities")
            view = density_view(self.truth, self._learned(run), self._window(), self._true_density(), test)
            progress(2, 2, "densities")
            return view

        return self._memo.get(("density", run.name, fingerprint(run.model)), compute)


def _variant(model: PointModel, trace: TraceView) -> Variant:
    z, curve = model.curve()
    return Variant(model.name, z, curve, trace)
