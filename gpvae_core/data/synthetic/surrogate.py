"""Surrogate networks: ReLU decoders fitted to the synthetic curves with full supervision (Yacoby et al. 2024, C.1).

They are the true decoders of the data and have the architecture of a run on these data. Their weights are installed in
`weights/` and compared with the formulas at loading; `gpvae data surrogates` fits them again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from safetensors import SafetensorError
from safetensors.torch import load, save
from scipy.special import ndtri
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.files import disk_errors, replacing
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.reading import read_bytes
from gpvae_core.types import EventShape

Curve = Callable[[Float64[np.ndarray, " N"]], Float64[np.ndarray, "N 2"]]

ARCHITECTURE = FullyConnectedConfig(hidden=50, depth=3)
EVENT_SHAPE: EventShape = (1, 1, 2)
"""Shape of a point, as an image of one row and two columns."""
MAX_MSE = 1e-4
"""Largest accepted mean squared error of a coordinate over z ~ N(0, 1)."""
WEIGHTS = Path(__file__).parent / "weights"
MAX_BYTES = 1 << 20
"""Most bytes of a file of weights, of which the architecture takes 21,760."""
CHECK_NODES = 20_000


def quantiles(n: int) -> Float64[np.ndarray, " n"]:
    """Return the (i + 1/2) / n quantiles of N(0, 1); for n = 20,000 they reach +-4.1."""
    return ndtri((np.arange(n) + 0.5) / n)


@torch.no_grad()
def errors(net: nn.Module, curve: Curve) -> tuple[float, float]:
    """Return the mean squared error of a coordinate over z ~ N(0, 1), and the largest distance from the curve."""
    z = quantiles(CHECK_NODES)
    points = net(torch.from_numpy(z)[:, None].to(next(net.parameters()))).flatten(1).double().numpy()
    square = np.square(points - curve(z))
    return float(square.mean()), float(np.sqrt(square.sum(1).max()))


def weights_file(name: str, folder: Path = WEIGHTS) -> Path:
    """Return the path of a surrogate's weights."""
    return folder / f"{name}.safetensors"


def load_surrogate(name: str, curve: Curve, folder: Path = WEIGHTS) -> nn.Module:
    """Load a surrogate: (B, 1) -> (B, 1, 1, 2), float32, without trainable parameters.

    Raises:
        UserError: its weights are missing or damaged, or its error from the curve is not below MAX_MSE.
    """
    path = weights_file(name, folder)
    advice = f"fit it again with: gpvae data surrogates {name}"
    net = ARCHITECTURE.decoder(1, EVENT_SHAPE)
    try:
        net.load_state_dict(load(read_bytes(path, MAX_BYTES)))
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UserError(f"the surrogate network of '{name}' cannot be read ({problem}): {advice}") from None
    mse, _ = errors(net, curve)
    if not mse < MAX_MSE:
        raise UserError(
            f"'{path}': wanted the surrogate of '{name}' with a mean squared error below {MAX_MSE:g}, got {mse:.2g}; "
            f"was the file replaced? {advice}"
        )
    return net.requires_grad_(False).eval()


def save_surrogate(net: nn.Module, name: str, folder: Path = WEIGHTS) -> Path:
    """Write the weights as float32, replacing the file atomically. Raises UserError if the disk is full."""
    path = weights_file(name, folder)
    with disk_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    # NOTE: safetensors' `save_file` makes the file readable by its owner alone, also in an installed package; `save`
    # returns bytes, which are written with the usual permissions.
    with replacing(path) as file:
        file.write(save({key: value.float().contiguous() for key, value in net.state_dict().items()}))
    return path
