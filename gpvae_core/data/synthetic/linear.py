"""The linear-Gaussian example z ~ N(0, 1), x|z ~ N(W z + b, sigma^2 I) in two dimensions, in closed form."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from gpvae_core.data.synthetic.surrogate import EVENT_SHAPE

W = np.array([0.75, 0.5])
"""W and B are exact in float32, so that the decoder equals the formula."""
B = np.array([0.5, -0.25])
SIGMA = 0.25


def linear_decoder() -> nn.Module:
    """Return the decoder W z + b: (B, 1) -> (B, 1, 1, 2), without trainable parameters."""
    layer = nn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(W)[:, None])
        layer.bias.copy_(torch.from_numpy(B))
    return nn.Sequential(layer, nn.Unflatten(1, EVENT_SHAPE)).requires_grad_(False).eval()


def posterior(x: Float64[np.ndarray, "N 2"]) -> tuple[Float64[np.ndarray, " N"], float]:
    """Return the mean of p(z|x) of each point, and its variance."""
    # 1/v = 1 + |W|^2 / sigma^2, m = v W'(x - b) / sigma^2
    variance = 1.0 / (1.0 + float(W @ W) / SIGMA**2)
    return variance * ((x - B) @ W) / SIGMA**2, variance


def log_px(x: Float64[np.ndarray, "N 2"]) -> Float64[np.ndarray, " N"]:
    """Return log N(x; b, W W' + sigma^2 I) in nats."""
    covariance = np.outer(W, W) + SIGMA**2 * np.eye(2)
    centred = x - B
    square = np.einsum("ni,ni->n", centred, np.linalg.solve(covariance, centred.T).T)
    return -0.5 * (square + np.linalg.slogdet(covariance)[1]) - math.log(2.0 * math.pi)


def entropy() -> float:
    """Return the entropy -E[log p(x)] in nats."""
    # 1/2 log det(2 pi e S) with the covariance S = W W' + sigma^2 I
    return 0.5 * np.linalg.slogdet(2.0 * math.pi * math.e * (np.outer(W, W) + SIGMA**2 * np.eye(2)))[1]
