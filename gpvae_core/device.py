"""Choice of the device: the best available one, or the one requested."""

from __future__ import annotations

import torch

from gpvae_core.errors import UserError


def available_devices() -> list[str]:
    """Return the names of the available devices, best first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def pick_device(name: str | None = None) -> torch.device:
    """Return the device `name` ('cpu', 'cuda', 'cuda:1', 'mps'); for None or 'auto', the best available device.

    Raises:
        UserError: this machine or this build of PyTorch does not have the device.
    """
    available = available_devices()
    if name is None or name == "auto":
        return torch.device(available[0])
    requested = "cuda:0" if name == "cuda" else name
    if requested not in available:
        raise UserError(f"wanted device '{name}', this machine has: {', '.join(available)}")
    return torch.device(requested)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its queued kernels, which run asynchronously."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def decodes_at_once(device: torch.device) -> int:
    """Return how many latents to decode together: on a CPU convolutions are 1.6 times as fast on 512 as on 4096."""
    return 512 if device.type == "cpu" else 4096
