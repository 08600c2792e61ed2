"""A model whose codes and decoder are known exactly, and can be trained on from there."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from gpvae_core.data.split import Split
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.encoders.base import Encoder
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.priors.flow import FlowPriorConfig
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

SIGMA = 0.2


def network(inputs: int, outputs: int) -> nn.Sequential:
    """Zero at the start."""
    net = nn.Sequential(nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, outputs))
    with torch.no_grad():
        for p in list(net.parameters())[-2:]:
            p.zero_()
    return net


class CurveDecoder(nn.Module):
    """z -> (z, sin z_1) at the start."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.net = network(d, d + 1)

    def forward(self, z: Tensor) -> Tensor:
        return (torch.cat([z, z[:, :1].sin()], dim=1) + self.net(z)).reshape(-1, 1, 1, z.shape[1] + 1)


class FirstCoordinates(Encoder):
    """N(the first d coordinates of x, 0.1^2) at the start."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.net = d, network(d + 1, 2 * d)

    def forward(self, x: Tensor) -> DiagonalGaussian:
        flat = x.flatten(1)
        b, log_s = self.net(flat).chunk(2, dim=1)
        return DiagonalGaussian(flat[:, : self.d] + b, 0.1 * log_s.exp())


def model(d: int, flow: bool = False) -> VAE:
    """g(f(z)) = z; `flow` puts a flow prior before the decoder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        f = CurveDecoder(d)
        decoder = FlowPriorConfig(transforms=4, flow_hidden=16).wrap(f, d) if flow else f
        return VAE(decoder, GaussianLikelihood(SIGMA, learn=False), FirstCoordinates(d), d, (1, 1, d + 1))


class Points(DeviceSplit):
    """Points at hand as a split."""

    def __init__(self, x: Tensor) -> None:
        images = x.numpy()
        super().__init__(Split(images, np.zeros(len(x), np.int64), 1), x.device)


def points_with_codes(z: Tensor) -> Points:
    """x = f(z) of the model as it starts: (N, d) -> (N, 1, 1, d + 1)."""
    return Points(CurveDecoder(z.shape[1])(z).detach())


def noise(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def log_mixture(x: Tensor, centres: Tensor, log_weights: Tensor, scale: float) -> Tensor:
    """log sum_i w_i N(x; c_i, scale^2 I) of points (B, P), centres (M, P), in nats."""
    x, centres = x.double(), centres.double()
    square = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    size = x.shape[1] * (math.log(scale) + 0.5 * math.log(2 * math.pi))
    return torch.logsumexp(-0.5 * square / scale**2 + log_weights.double(), 1) - size
