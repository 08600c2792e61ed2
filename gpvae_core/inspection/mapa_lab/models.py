"""Models of points in the plane with one latent dimension, and the codes of their training points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.known_truth import KnownTruth
from gpvae_core.data.synthetic.surrogate import EVENT_SHAPE
from gpvae_core.errors import UserError
from gpvae_core.inspection.views import Array
from gpvae_core.mapa.ground_truth import ground_truth
from gpvae_core.runs import Run
from gpvae_core.truth.line import Line
from gpvae_core.truth.truth import truth_for
from gpvae_core.vae import GenerativeModel

PAIRS_AT_ONCE = 2**22
"""Largest number of pairs of point and code in one batch."""
CURVE_POINTS, CURVE_REACH = 801, 3.09
"""Number of points of the displayed decoder's curve, and its largest |z|: the central 99.8 % of the prior."""


def as_events(x: Array) -> Float64[Tensor, "B 1 1 2"]:
    """Return points (B, 2) in the models' event shape, in float64."""
    return torch.as_tensor(np.asarray(x, dtype=np.float64)).reshape(-1, *EVENT_SHAPE)


@dataclass(frozen=True)
class PointModel:
    """A generative model with d = 1 in float64, and the codes z_i of N training points."""

    name: str
    latent: str
    """Label of the codes' axis."""
    codes: Array
    """(N,) z_i."""
    decoded: Float64[Tensor, "N 1 1 2"]
    """f(z_i)."""
    line: Line
    """Quadrature over z."""

    @staticmethod
    @torch.no_grad()
    def build(name: str, latent: str, model: GenerativeModel, codes: Array) -> PointModel:
        """Return the model with its codes, decoded in float64."""
        line = truth_for(model).line()
        z = np.asarray(codes, dtype=np.float64)
        return PointModel(name, latent, z, line.model.decode(torch.from_numpy(z)[:, None]), line)

    @property
    def model(self) -> GenerativeModel:
        """The generative model on the CPU, in float64."""
        return self.line.model

    @property
    @torch.no_grad()
    def log_prior(self) -> Array:
        """log p(z_i), (N,), nats."""
        return self.model.log_prior(torch.from_numpy(self.codes)[:, None]).numpy()

    @torch.no_grad()
    def log_likelihood(self, x: Array) -> Float64[Tensor, "B N"]:
        """Return log p(x_b | f(z_i)) of points (B, 2), in nats."""
        chunk = max(1, PAIRS_AT_ONCE // len(self.codes))
        parts = [self.model.likelihood.log_prob(part[:, None], self.decoded) for part in as_events(x).split(chunk)]
        return torch.cat(parts)

    def log_px(self, x: Array) -> Array:
        """Return log p(x) of points (B, 2) by quadrature, (B,), in nats."""
        return self.line.log_px(as_events(x)).numpy()

    def passed(self, x: Array) -> NDArray[np.bool_]:
        """Return whether the checks of the quadrature passed at points (B, 2), (B,)."""
        return self.line.passed(as_events(x)).numpy()

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """Return the quadrature's latents (G,) and log p(z|x) there (G,), of one point (2,)."""
        z, log_density = self.line.posterior(as_events(x[None]))
        return z.numpy(), log_density[0].numpy()

    def log_posterior_at(self, x: Array, z: Array, log_px: float) -> Array:
        """Return log p(z|x) of one point (2,) at the latents z (G,), given its log p(x)."""
        return self.line.log_posterior_at(as_events(x[None]), torch.from_numpy(z), log_px).numpy()

    @torch.no_grad()
    def curve(self) -> tuple[Array, Array]:
        """Return the decoder's curve: latents z (G,) and f(z), (G, 2)."""
        z = torch.linspace(-CURVE_REACH, CURVE_REACH, CURVE_POINTS, dtype=torch.float64)
        return z.numpy(), self.model.decode(z[:, None]).flatten(1).numpy()


def truth_model(name: str, truth: KnownTruth) -> PointModel:
    """Return the ground-truth model with the latents that generated the points (theta^GT, Z^GT)."""
    return PointModel.build(name, "ground-truth z", ground_truth(truth, EVENT_SHAPE), truth.train[:, 0])


def fits(run: Run) -> bool:
    """Return whether the run has d = 1 and its data are points in the plane."""
    return run.model.latent_dim == 1 and tuple(run.model.event_shape) == EVENT_SHAPE


@torch.no_grad()
def learned_model(run: Run, points: Array) -> PointModel:
    """Return the model of a trained run with the means of q(z|x_i) as codes, as in D.4.

    Raises:
        UserError: the run is on other data, or has more than one latent dimension.
    """
    if not fits(run):
        raise UserError(
            f"wanted a run with one latent on points in the plane, got '{run.name}' with latent_dim="
            f"{run.model.latent_dim} on {run.config.data.name}"
        )
    x = as_events(points).float().to(run.device)
    codes = torch.cat([run.model.infer(part).mean[:, 0] for part in x.split(4096)])
    return PointModel.build(run.name, f"posterior means of {run.name}", run.model, codes.cpu().double().numpy())
