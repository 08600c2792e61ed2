"""What a run needs beside its weights to go on exactly: generator and optimizer as text and tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def rng_text(generator: torch.Generator) -> str:
    return bytes(generator.get_state().tolist()).hex()


def set_rng(generator: torch.Generator, text: str) -> None:
    generator.set_state(torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors: '<parameter number>.<name>'."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        if value.ndim and value.shape != parameters[int(i)].shape:
            raise ValueError(f"moments of shape {tuple(value.shape)} for parameter {i}")
        state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
