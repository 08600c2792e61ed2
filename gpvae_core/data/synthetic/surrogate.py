"""Surrogate networks: ReLU decoders fitted to the synthetic curves with full supervision (Yacoby et al. 2024, C.1).

They are the true decoders of the data, with the architecture that a run on these data has. Their weights lie beside
this file and are checked against the formulas when they are loaded; `gpvae data surrogates` fits them again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from scipy.special import ndtri
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, replacing
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.types import EventShape

Curve = Callable[[Float64[np.ndarray, " N"]], Float64[np.ndarray, "N 2"]]

ARCHITECTURE = FullyConnectedConfig(hidden=50, depth=3)
EVENT_SHAPE: EventShape = (1, 1, 2)
"""A point, as an image of one row and two columns."""
MAX_MSE = 1e-4
"""Largest mean squared error of a coordinate over z ~ N(0, 1) that a surrogate may have."""
WEIGHTS = Path(__file__).parent / "weights"
CHECK_NODES = 20_000


def quantiles(n: int) -> Float64[np.ndarray, " n"]:
    """Return the (i + 1/2) / n quantiles of N(0, 1); with 20,000 they reach to +-4.1."""
    return ndtri((np.arange(n) + 0.5) / n)


@torch.no_grad()
def errors(net: nn.Module, curve: Curve) -> tuple[float, float]:
    """(mean squared error of a coordinate over z ~ N(0, 1), largest distance from the curve at its quantiles)."""
    z = quantiles(CHECK_NODES)
    like = next(net.parameters())
    found = net(torch.from_numpy(z)[:, None].to(like)).flatten(1).double().numpy()
    square = np.square(found - curve(z))
    return float(square.mean()), float(np.sqrt(square.sum(1).max()))


def weights_file(name: str, folder: Path = WEIGHTS) -> Path:
    return folder / f"{name}.safetensors"


def load_surrogate(name: str, curve: Curve, folder: Path = WEIGHTS) -> nn.Module:
    """Return the surrogate of this name: (B, 1) -> (B, 1, 1, 2), float32, without trainable parameters.

    Raises:
        UserError: its weights are missing, damaged, or not within MAX_MSE of the curve.
    """
    path = weights_file(name, folder)
    again = f"fit it again with: gpvae data surrogates {name}"
    net = ARCHITECTURE.decoder(1, EVENT_SHAPE)
    try:
        net.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UserError(f"the surrogate network of '{name}' cannot be read ({problem}): {again}") from None
    mse, _ = errors(net, curve)
    if not mse < MAX_MSE:
        raise UserError(
            f"'{path}': wanted the surrogate of '{name}' with a mean squared error below {MAX_MSE:g}, got {mse:.2g}; "
            f"was the file replaced? {again}"
        )
    return net.requires_grad_(False).eval()


def save_surrogate(net: nn.Module, name: str, folder: Path = WEIGHTS) -> Path:
    """Write the weights as float32; the file is replaced as a whole."""
    path = weights_file(name, folder)
    with disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    # As bytes: safetensors' own file would be readable by its owner alone, and so would an installed package's.
    with replacing(path) as file:
        file.write(save({key: value.float().contiguous() for key, value in net.state_dict().items()}))
    return path
