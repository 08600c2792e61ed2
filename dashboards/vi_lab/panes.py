"""The panes of the VI Lab: q(z) of each inference over the posterior, bounds, divergences and the gradient's noise."""

from __future__ import annotations

import html
import json
from collections.abc import Hashable

import numpy as np

from dashboards.lab.asked import AskedPane
from dashboards.lab.pane import one_file
from dashboards.vi_lab.request import VILabPane, VILabRequest
from dashboards.vi_lab.state import A, B
from dashboards.widgets.card import Content, Select, as_json
from gpvae_core.inspection.vi_lab import export
from gpvae_core.inspection.vi_lab.views import InferencePath, NoiseView, PathView, SampledBoundsView, StepsView
from gpvae_core.plots import inference_steps
from gpvae_core.plots.gaps import nats
from gpvae_core.progress import Progress

NOT_FINITE = "not finite, or q lies outside of the grid"
NOISE_AT = (("start", "start"), ("end", "end"))
AGAINST = (("samples", "samples"), ("batch", "batch size"))
SIDES = ((A, A), (B, B))


class QOverPosterior(VILabPane):
    """q(z) of one inference over the contours of the true posterior."""

    to_csv = one_file(export.path)

    def __init__(self, side: str) -> None:
        self._side = side
        self.name = f"vi_{side.lower()}"
        self.title = f"{side}: q(z) over the posterior"

    def key(self, request: VILabRequest) -> Hashable:
        return request.settings[self._side], request.also

    def compute(self, request: VILabRequest, progress: Progress) -> PathView:
        return request.lab.path(request.settings[self._side], request.also, progress)

    def draw(self, view: PathView, request: VILabRequest) -> Content:
        what = (
            f"In colour: the region that holds 90 % of q(z) of {self._side} at the step of the film, and the path of "
            "its mean."
            if view.path.outlines
            else "In colour: the particles at the step of the film."
        )
        return Content(
            figure=as_json(inference_steps.contours(view, self._side, request.theme)),
            sub=view.path.settings,
            sentence=f"Lines: regions of the true posterior. {what}",
            alt=f"{self._side}, {view.path.settings}: {end_words(view.path)}",
        )


class StepsPane(VILabPane):
    """Both inferences against their steps."""

    to_csv = one_file(export.steps)

    def key(self, request: VILabRequest) -> Hashable:
        return tuple(request.settings.items()), request.divergence

    def compute(self, request: VILabRequest, progress: Progress) -> StepsView:
        return request.lab.steps(request.settings, request.divergence, progress)


class BoundsAgainstSteps(StepsPane):
    """ELBO and CUBO of both inferences against the step, with log p(x) between them."""

    name = "vi_bounds"
    title = "Bounds on log p(x), step by step"

    def draw(self, view: StepsView, request: VILabRequest) -> Content:
        return Content(
            figure=as_json(inference_steps.bounds(view, request.theme)),
            sub=f"log p(x) = {nats(round(view.log_px, 2) + 0.0)} nats",
            sentence="Thick: ELBO = log p(x) − KL(q ‖ p). Thin: CUBO, the upper bound of the chi divergence of order "
            "2. All by quadrature; where a bound is missing its integral is not finite, or q lies outside of the grid.",
            alt="; ".join(f"{side}: {end_words(path)}" for side, path in view.paths.items()),
        )

    def aside(self, view: StepsView, request: VILabRequest) -> str:
        over = {side: f"vi_{side.lower()}" for side in view.paths}
        return json.dumps(
            inference_steps.frames(view, request.theme, over, BoundsAgainstSteps.name, DivergenceAgainstSteps.name)
        )


class DivergenceAgainstSteps(StepsPane):
    """One divergence of both inferences' q(z) from the posterior against the step."""

    name = "vi_divergence"
    title = "Divergence of q from the posterior"

    def selects(self, request: VILabRequest) -> tuple[Select, ...]:
        options = tuple((name, name) for name in request.divergences)
        return (Select("divergence", "divergence", options, request.divergence),)

    def draw(self, view: StepsView, request: VILabRequest) -> Content:
        ends = {side: float(path.divergences[view.divergence][-1]) for side, path in view.paths.items()}
        said = "; ".join(f"{side} {nats(v) if np.isfinite(v) else NOT_FINITE}" for side, v in ends.items())
        return Content(
            figure=as_json(inference_steps.divergences(view, request.theme)),
            sub=view.divergence,
            sentence=f"At the last step: {said}. By quadrature, whatever each inference itself minimises.",
            alt=f"{view.divergence} at the last step: {said}",
        )

    def aside(self, view: StepsView, request: VILabRequest) -> str:
        """Return the line above the cards: what each inference has reached, in both directions of the KL."""
        return " ".join(
            f"<b>{side}</b> ({html.escape(path.settings)}) ends {end_words(path)}." for side, path in view.paths.items()
        )


class BoundsAgainstSamples(VILabPane):
    """The importance-weighted bound of each inference's last q(z) against the number of samples."""

    name = "vi_samples"
    title = "Importance-weighted bound against K"
    to_csv = one_file(export.sampled_bounds)

    def key(self, request: VILabRequest) -> Hashable:
        return tuple(request.settings.items())

    def compute(self, request: VILabRequest, progress: Progress) -> SampledBoundsView:
        return request.lab.sampled_bounds(request.settings, progress)

    def draw(self, view: SampledBoundsView, request: VILabRequest) -> Content:
        below = {side: [view.log_px - bound.mean for bound in each] for side, each in view.bounds.items()}
        said = "; ".join(
            f"{side} {nats(gaps[0])} nats at K = 1, {nats(gaps[-1])} at K = {view.sizes[-1]:.0f}"
            for side, gaps in below.items()
        )
        return Content(
            figure=as_json(inference_steps.sampled_bounds(view, request.theme)),
            sub="at the last step",
            sentence=f"IWAE with K samples of q(z); K = 1 is the ELBO. Below log p(x) by: {said}. For large K the bias "
            "falls as Var[w] / 2K, where q covers the posterior.",
            alt=f"IWAE below log p(x): {said}",
        )


class GradientNoise(VILabPane, AskedPane[VILabRequest]):
    """Variance of each estimator of the ELBO's gradient."""

    name = "vi_noise"
    title = "Noise of the ELBO's gradient"
    button = "Measure"
    to_csv = one_file(export.noise)

    def selects(self, request: VILabRequest) -> tuple[Select, ...]:
        return (
            Select("noise_of", "of", SIDES, request.noise_of),
            Select("noise_at", "at", NOISE_AT, request.noise_at),
            Select("against", "against", AGAINST, request.against),
        )

    def of(self, request: VILabRequest) -> Hashable:
        return request.settings[request.noise_of], request.noise_at, request.against

    def lacking(self, request: VILabRequest) -> Content | None:
        return None

    def offered(self, request: VILabRequest) -> str:
        return (
            "Measures the variance of every estimator of the ELBO's gradient at q(z) of "
            f"{request.noise_of}: score function and reparameterised, with their variants. It takes some seconds."
        )

    def compute(self, request: VILabRequest, progress: Progress) -> NoiseView:
        settings = request.settings[request.noise_of]
        return request.lab.noise(settings, request.against, request.noise_at == "end", progress)

    def draw(self, view: NoiseView, request: VILabRequest) -> Content:
        left_out = f" Left out, as they take a mean-field family alone: {', '.join(view.left_out)}."
        quietest = min(view.variances, key=lambda name: view.variances[name][-1])
        noisiest = max(view.variances, key=lambda name: view.variances[name][-1])
        ratio = view.variances[noisiest][-1] / max(view.variances[quietest][-1], 1e-300)
        return Content(
            figure=as_json(inference_steps.noise(view, request.theme)),
            sub=", ".join(filter(None, (f"{request.noise_of}: {view.settings}", f"step {view.step}", view.fixed))),
            sentence=f"Sum over the parameters of the variance of {view.repeats} estimates; less is better. At the "
            f"right end {noisiest} has {ratio:.3g} times the variance of {quietest}." + left_out * bool(view.left_out),
            alt="; ".join(f"{name}: {values[-1]:.3g} nats²" for name, values in view.variances.items()),
        )


def end_words(path: InferencePath) -> str:
    """Return how far q(z) is from the posterior after the last step, in both directions of the KL."""
    reverse, forward = (float(path.divergences[name][-1]) for name in ("reverse-kl", "forward-kl"))
    if not path.outlines:
        return f"with {path.particles.shape[1]} particles, which have no density and so no bound"
    if not np.isfinite(reverse):
        return "too wide, too narrow or too far from the posterior for quadrature"
    said = f"KL(q ‖ p) {nats(reverse)} nats"
    return f"at {said}, KL(p ‖ q) {nats(forward)} nats" if np.isfinite(forward) else f"at {said}"


PANES: tuple[VILabPane, ...] = (
    QOverPosterior(A), QOverPosterior(B), BoundsAgainstSteps(), DivergenceAgainstSteps(), BoundsAgainstSamples(),
    GradientNoise(),
)  # fmt: skip
