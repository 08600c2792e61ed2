"""The latent plane decoded once, at d = 2: the nodes from which the true posterior of every image is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.device import decodes_at_once
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LikelihoodTable
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.lattice import Lattice
from gpvae_core.truth.precision import model_in_precision
from gpvae_core.truth.surroundings import Surroundings
from gpvae_core.vae import GenerativeModel

SIDE, MAX_FLOATS = 201, 250_000_000
"""Number of nodes along a side, and of decoded pixels of an atlas (1 GB); larger images get a coarser grid."""
REACH, MAX_EXTENT = 4.0, 12.0
"""Number of standard deviations of the prior that the atlas covers on each side of its mean, and largest extent of the
atlas in the smallest standard deviation of the prior."""


def require_plane(latent_dim: int) -> None:
    """Raise a UserError unless the latent space is a plane."""
    if latent_dim != 2:
        raise UserError(
            f"the true posterior by quadrature wants a run with 2 latent dimensions, this one has {latent_dim}"
        )


@dataclass(frozen=True)
class Atlas:
    """The decoded latent plane: log p(x|z) of any image at the nodes `axis` x `axis` and at coarse ones around them."""

    model: GenerativeModel
    """The model, in float64 where float32 would leave noise on log p(x|z) (`model_in_precision`)."""
    axis: Float[Tensor, " side"]
    """Coordinates of the nodes, the same for both latent dimensions; float64."""
    table: LikelihoodTable
    """Computes log p(x|z) of any image at the nodes, followed by those of the surroundings."""
    log_prior: Float[Tensor, "side side"]
    """log p(z) in nats at the nodes; float64."""
    surroundings: Surroundings
    """Coarse nodes around the atlas, up to twice its extent."""
    log_prior_around: Float[Tensor, " F"]
    """log p(z) in nats at the nodes of the surroundings; float64."""

    @staticmethod
    @torch.no_grad()
    def build(
        vae: GenerativeModel, side: int | None = None, extent: float | None = None, progress: Progress = silent
    ) -> Atlas:
        """Decode a grid over [-extent, extent]^2.

        Args:
            side: number of nodes along a side, by default 201, or as many as fit into 1 GB.
            extent: half the side length; by default the square holds the prior's mean and REACH of its standard
                deviations on each side.

        Raises:
            UserError: the model does not have exactly 2 latent dimensions, or its prior is too narrow for a grid around
                z = 0 that contains it, or its noise is too small for rounding in float64.
        """
        require_plane(vae.latent_dim)
        prior = vae.prior(torch.zeros(1, dtype=torch.float64))
        std = prior.variance.sqrt()
        prior_std = float(std.min())
        extent = extent or float((prior.mean.abs() + REACH * std).max())
        if not extent <= MAX_EXTENT * prior_std:
            raise UserError(
                f"the true posterior by quadrature on a grid around z = 0 wants a prior within {MAX_EXTENT:g} of its "
                f"standard deviations of it, this one needs {extent / prior_std:.3g}: choose the truth 'ais' instead"
            )
        model = model_in_precision(vae, extent)
        weights = next(model.parameters())
        pixels = int(np.prod(vae.event_shape)) * weights.itemsize // 4
        side = side or min(SIDE, 2 * int((MAX_FLOATS / pixels) ** 0.5 / 2) - 1)  # odd, so that z = 0 is a node
        axis = torch.linspace(-extent, extent, side, dtype=torch.float64)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        around = Surroundings(extent, prior_std)
        z = torch.cat([torch.stack([x, y], dim=-1).reshape(-1, 2), torch.from_numpy(around.z)])
        # NOTE: nodes are decoded in the precision of the model, but coordinates and prior stay in float64.
        points = z.to(weights)
        g = torch.empty((len(z), *vae.event_shape), device=points.device, dtype=points.dtype)
        chunk = decodes_at_once(points.device)
        for start in range(0, len(z), chunk):
            progress(start, len(z), "decoding the latent grid")
            g[start : start + chunk] = model.decode(points[start : start + chunk])
        progress(len(z), len(z), "decoding the latent grid")
        log_prior, beyond = vae.log_prior(z).split([side**2, len(around.z)])
        return Atlas(model, axis, model.likelihood.grid_table(g), log_prior.reshape(side, side), around, beyond)

    @torch.no_grad()
    def log_joint(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B side side"]:
        """Return log p(x, z) in nats, float64 on the CPU; [b, row, column] is at z = (axis[column], axis[row])."""
        return self.log_joint_and_around(x)[0]

    @torch.no_grad()
    def log_joint_and_around(
        self, x: Float[Tensor, "B C H W"]
    ) -> tuple[Float[Tensor, "B side side"], Float[Tensor, "B F"]]:
        """Return log p(x, z) at the atlas's nodes, as `log_joint`, and at those of the surroundings."""
        log_p, nodes = self.table.log_prob(x).numpy(), self.log_prior.numel()
        inside = log_p[:, :nodes].reshape(len(x), *self.log_prior.shape) + self.log_prior.numpy()
        return torch.from_numpy(inside), torch.from_numpy(log_p[:, nodes:] + self.log_prior_around.numpy())

    def lattice(self, log_joint: Float[Tensor, "side side"]) -> Lattice:
        """Return the lattice of one image, all of its nodes evaluated."""
        values = log_joint.numpy()
        step = float(self.axis[1] - self.axis[0])
        return Lattice(float(self.axis[0]), step, 0, 0, values, np.ones(values.shape, dtype=bool))
