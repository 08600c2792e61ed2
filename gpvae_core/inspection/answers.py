"""Results for one instance: true posterior, best Gaussian, posterior view, traces, reconstructions and gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from gpvae_core.densities.base import Posterior
from gpvae_core.errors import UserError
from gpvae_core.gaps import encoder_elbos, gaps_and_best
from gpvae_core.inspection import contours, pictures
from gpvae_core.inspection.encoder_shape import encoder_shape
from gpvae_core.inspection.encodings import Encodings, encode_batch
from gpvae_core.inspection.gap_sample import BestGaussian, GapSample, gap_view, quick_gap_view, sample_from
from gpvae_core.inspection.line import line_view, thinned
from gpvae_core.inspection.line_views import LineView
from gpvae_core.inspection.local import LocalPosterior, local_posterior
from gpvae_core.inspection.mapa_answers import MapaAnswers
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.planes import choose_plane, latent_line, latent_plane, on_plane
from gpvae_core.inspection.stages import Stages
from gpvae_core.inspection.traces import Line, kl, profile_lines, slice_lines, traces
from gpvae_core.inspection.views import (
    Array,
    GapView,
    GaussianShape,
    Instance,
    Plane,
    PosteriorView,
    ReconstructionView,
    TracesView,
)
from gpvae_core.mapa import Bandwidth
from gpvae_core.refiners.none import NoRefiner
from gpvae_core.truth.evidence import Evidence
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.line_posterior import LinePosterior
from gpvae_core.truth.quadrature import TruePosterior
from gpvae_core.truth.resampling import PROPOSALS

T = TypeVar("T")

BASE_SAMPLES = 200
STARTS = 3
"""Samples of the encoder from which the search for the mode starts, besides its mean, its base's and the prior's."""
CACHED = 512
"""Number of cached results for single instances, of at most a few hundred kilobytes each."""


class InstanceAnswers:
    """Results for single instances, cached while in use; safe to use from several threads."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._run, self._vae, self._seed = stages.run, stages.run.model, stages.seed
        self._memo = Memo(CACHED)
        self._mapa = MapaAnswers(stages)

    @property
    def by_quadrature(self) -> bool:
        """Whether d is 1 or 2, where the true posterior is known by quadrature."""
        return self._vae.latent_dim <= 2

    @property
    def planar(self) -> bool:
        """Whether d = 2, where the displayed plane is the latent space itself."""
        return self._vae.latent_dim == 2

    def _once(self, what: str, instance: Instance, compute: Callable[[], T]) -> T:
        return self._memo.get((what, instance.key), compute)

    def _x(self, instance: Instance) -> Tensor:
        """Return the image as a batch (1, C, H, W) on the model's device."""
        return torch.as_tensor(instance.image, dtype=torch.float32, device=self._run.device)[None]

    def _generator(self, device: torch.device | None = None) -> torch.Generator:
        return torch.Generator(device or self._run.device).manual_seed(self._seed)

    # -- the encoder's posterior ------------------------------------------------------------------------------------

    @torch.no_grad()
    def _posterior(self, instance: Instance) -> Posterior:
        return self._vae.infer(self._x(instance))

    def encoding(self, instance: Instance) -> Encodings:
        """Return the moments of q(z|x), a batch of 1; those of a test image come from the stage `encodings`."""
        if instance.index is None:
            return self._once("encoding", instance, lambda: encode_batch(self._vae, self._x(instance)))
        everyone = self._stages.encodings().arrays()
        return Encodings.from_arrays({k: v[instance.index : instance.index + 1] for k, v in everyone.items()})

    def encoder_name(self, q: Posterior) -> str:
        """Return the displayed name of the encoder, with a mark if its posterior is refined."""
        name = "encoder" if q.uncertainty() is None else "GP encoder (marginalised)"
        return name if isinstance(self._vae.refiner, NoRefiner) else f"{name}, refined"

    def quadrature(self, instance: Instance) -> TruePosterior:
        """Return p(z|x) by quadrature, at d = 1 or 2."""
        return self._once("truth", instance, lambda: self._run.truth.posterior(self._x(instance))[0])

    def truth(self, instance: Instance) -> GridPosterior:
        """Return p(z|x) by quadrature on a grid over the latent plane, at d = 2."""
        return cast("GridPosterior", self.quadrature(instance))

    def line_truth(self, instance: Instance) -> LinePosterior:
        """Return p(z|x) by quadrature on the nodes of the latent line, at d = 1."""
        return cast("LinePosterior", self.quadrature(instance))

    def local(self, instance: Instance) -> LocalPosterior:
        """Return the mode and the Laplace approximation there.

        The search starts at the means of the encoder, its base and the prior, and at samples of the encoder.
        """

        def compute() -> LocalPosterior:
            encoding = self.encoding(instance)
            noise = np.random.default_rng(self._seed).standard_normal((STARTS, self._vae.latent_dim))
            samples = encoding.mean + noise * np.sqrt(encoding.variance)
            starts = np.concatenate([encoding.mean, encoding.base_mean, np.zeros_like(encoding.mean), samples])
            return local_posterior(self._vae, self._x(instance), starts)

        return self._once("local", instance, compute)

    def mode(self, instance: Instance) -> Array:
        """Return the posterior mode, (D,)."""
        return self.quadrature(instance).modes()[0] if self.by_quadrature else self.local(instance).mode

    def log_px(self, instance: Instance) -> float:
        """Return log p(x) in nats: by the run's estimator if it is exact or computed already, else a quick bound."""
        known = self._gaps_if_known(instance)
        if known is not None:
            return float(known[0].columns["log_px"][known[1]])
        return float(self._quick(instance).log_px[0])

    def _quick(self, instance: Instance) -> Evidence:
        """Return a quick estimate of log p(x): by quadrature, else a lower bound from the encoder's samples."""
        if self.by_quadrature:
            return Evidence.of_posteriors("grid" if self.planar else "line", [self.quadrature(instance)])
        return self._once("quick", instance, lambda: self._run.truth.quick(self._x(instance), self._seed))

    def _gaps_if_known(self, instance: Instance) -> tuple[GapSample, int] | None:
        """Return the table with this instance's gaps and best Gaussians, and its row; None if not computed yet."""
        sample = self._stages.gaps_if_ready()
        row = sample.row(instance.index) if sample is not None else None
        if sample is not None and row is not None:
            return sample, row
        single: GapSample | None = self._memo.peek(("gaps", instance.key))
        return None if single is None else (single, 0)

    def best_gaussian(self, instance: Instance) -> BestGaussian:
        """Return the best Gaussians; if they are not known yet, optimize them and estimate log p(x) with them."""

        def compute() -> GapSample:
            index = np.array([-1 if instance.index is None else instance.index])
            return sample_from(*gaps_and_best(self._vae, self._x(instance), self._run.truth, self._seed), index)

        known = self._gaps_if_known(instance)
        table, row = known or (self._once("gaps", instance, compute), 0)
        return table.best_gaussian(row)

    def best_if_known(self, instance: Instance) -> BestGaussian | None:
        """Return the best Gaussians if they are computed already; else None."""
        known = self._gaps_if_known(instance)
        return None if known is None else known[0].best_gaussian(known[1])

    # -- view 1 -----------------------------------------------------------------------------------------------------

    def plane(self, instance: Instance, kind: str, dims: tuple[int, int]) -> Plane:
        """Return the displayed plane, as `Explorer.plane` describes it. Raises UserError at d = 1."""
        if self._vae.latent_dim < 2:
            raise UserError("this run has one latent dimension: wanted at least two for a plane")
        return latent_plane() if self.planar else choose_plane(kind, self.local(instance), dims)

    @torch.no_grad()
    def line_view(self, instance: Instance) -> LineView:
        """Return view 1 along the latent line. Raises UserError unless d = 1."""
        if self._vae.latent_dim != 1:
            raise UserError(f"wanted a run with one latent dimension, got {self._vae.latent_dim}")
        q, best = self._posterior(instance), self.best_if_known(instance)
        moments = None if best is None else (float(best.diagonal_mean[0]), float(best.diagonal_std[0]))
        points, weights = self._mapa.points(self._x(instance), latent_line())
        base = self._base_samples(q)[:, 0]
        truth = self.line_truth(instance)
        return line_view(truth, q, self.encoder_name(q), moments, base, (points[:, 0], weights))

    def _base_samples(self, q: Posterior) -> Array:
        """Return samples (S, D) of the base encoder."""
        base, _ = q.base().rsample_and_log_prob(BASE_SAMPLES, self._generator())
        return base[:, 0].cpu().double().numpy()

    @torch.no_grad()
    def posterior_view(self, instance: Instance, plane: Plane) -> PosteriorView:
        """Return view 1 on this plane."""
        x, q = self._x(instance), self._posterior(instance)
        shapes = self._gaussians(instance, plane, q)
        if self.planar:
            truth = self.truth(instance)
            drawn = contours.latent_contours(self._vae, self._run.truth.atlas(), x, truth, shapes, plane)
            modes = np.asarray(truth.modes())
        else:
            local = self.local(instance)
            laplace = on_plane("", plane, local.mode, local.covariance)
            drawn = contours.slice_contours(self._vae, x, plane, laplace, shapes)
            modes = plane.coordinates(local.mode)[None]
        points, weights = self._mapa.points(x, plane)
        return PosteriorView(
            plane=plane,
            x=drawn.x,
            y=drawn.y,
            log_density=drawn.log_density,
            hpd_levels=drawn.levels,
            base_samples=plane.coordinates(self._base_samples(q)),
            gaussians=shapes,
            mapa_points=points,
            mapa_weights=weights,
            modes=modes,
            base_name=q.base_name,
        )

    def _gaussians(self, instance: Instance, plane: Plane, q: Posterior) -> tuple[GaussianShape, ...]:
        """Return the encoder's shape on the plane, and those of the best Gaussians if they are known."""
        best = self.best_if_known(instance)
        shapes = [encoder_shape(self.encoder_name(q), plane, q, self._generator())]
        if best is not None:
            diagonal, full = np.diag(best.diagonal_std**2), best.full_chol @ best.full_chol.T
            shapes.append(on_plane("best Gaussian (diagonal)", plane, best.diagonal_mean, diagonal))
            shapes.append(on_plane("best Gaussian (full)", plane, best.full_mean, full))
        return tuple(shapes)

    def traces_view(self, instance: Instance, bandwidth: Bandwidth) -> TracesView:
        """Return view 3 with this rule for the kernel's width."""
        reference, x = self._stages.reference(), self._x(instance)
        width, source = self._mapa.bandwidth(bandwidth)
        log_p = reference.model.log_index_posterior(x)[0].numpy()
        log_q = self._mapa.log_q(reference, x, width)
        shift = np.log(len(reference.index)) + reference.log_prior
        lines, note = self._lines(instance, x)
        coordinates = traces(lines, reference.codes, log_p + shift, log_q + shift)
        notes = " ".join(part for part in (note, reference.note) if part)
        uniform = np.full_like(log_p, -np.log(len(log_p)))
        return TracesView(coordinates, width, source, kl(log_p, log_q), notes, kl(log_p, uniform))

    @torch.no_grad()
    def _lines(self, instance: Instance, x: Tensor) -> tuple[tuple[Line, ...], str]:
        if self._vae.latent_dim == 1:
            return (thinned(self.line_truth(instance)),), "The line is log p(z|x), by quadrature."
        if self.planar:
            lines = profile_lines(self._run.truth.atlas(), x, self.truth(instance))
            return lines, "The line is the profile: the largest log p(z|x) over the other coordinate."
        lines = slice_lines(self._vae, x, self.local(instance), self.log_px(instance))
        return (
            lines,
            "The line is the slice through the posterior mode along this coordinate; the points lie off it.",
        )
        height = " Its height is provisional: a tighter bound on log p(x) is being computed."
        return lines, note + height * (self._gaps_if_known(instance) is None)

    # -- views 5 and 6 ----------------------------------------------------------------------------------------------

    def reconstruction_view(self, instance: Instance) -> ReconstructionView:
        """Return view 5."""
        x, q, encoding = self._x(instance), self._posterior(instance), self.encoding(instance)
        latents = {q.base_name.removeprefix("the "): encoding.base_mean[0]} if q.base() is not q else {}
        latents[self.encoder_name(q)] = encoding.mean[0]
        best = self.best_if_known(instance)
        if best is not None:
            latents["best Gaussian"] = best.full_mean
        latents["posterior mode"] = self.mode(instance)
        z, note = self._strip(instance, x, encoding, best)
        samples = pictures.decode_means(self._vae, z, x)
        return ReconstructionView(instance.image, pictures.reconstructions(self._vae, x, latents), samples, note)

    def _strip(
        self, instance: Instance, x: Tensor, encoding: Encodings, best: BestGaussian | None
    ) -> tuple[Array, str]:
        """Return posterior samples (K, D) to decode, and a sentence on how they were drawn."""
        generator = self._generator(torch.device("cpu"))
        n = pictures.STRIP
        if self.by_quadrature:
            z = np.asarray(self.quadrature(instance).sample(n, generator))
            return z, f"{n} samples of the true posterior, decoded."
        if best is not None:
            name, mean, chol = "best Gaussian", best.full_mean, best.full_chol
        else:
            name, mean, chol = "encoder", encoding.mean[0], np.diag(np.sqrt(encoding.variance[0]))
        drawn = self._run.truth.resampled(x, mean, chol, generator, n)
        note = (
            f"{n} samples, resampled by importance from {PROPOSALS:,} of the {name} "
            f"(effective number {drawn.effective:.0f}): approximately the true posterior."
        )
        return drawn.z, note

    def gap_view(self, instance: Instance) -> GapView:
        """Return view 6, with None for gaps that are not computed yet."""
        known = self._gaps_if_known(instance)
        if known is not None:
            table, row = known
            view = gap_view(self._run.name, table.truth, table.columns, row)
            # The table counts modes at d = 2 alone.
            return replace(view, modes=len(self.quadrature(instance).modes())) if self._vae.latent_dim == 1 else view
        elbo = self._once("elbo", instance, lambda: float(encoder_elbos(self._vae, self._x(instance), self._seed)))
        return quick_gap_view(self._run.name, self._quick(instance), elbo)
