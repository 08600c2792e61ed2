"""The state of a random generator as text and of an optimizer as tensors, so that training resumes exactly."""

from __future__ import annotations

import torch
from torch import Tensor


def rng_text(generator: torch.Generator) -> str:
    """Return the generator's state as hexadecimal text."""
    return bytes(generator.get_state().tolist()).hex()


def set_rng(generator: torch.Generator, text: str) -> None:
    """Set the generator to a state that `rng_text` returned."""
    generator.set_state(torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return Adam's state as tensors named '<parameter number>.<name>'."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Set the optimizer to a state that `optimizer_tensors` returned. Raises ValueError if shapes do not fit."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        # The step count is a scalar; both moments have the parameter's shape.
        if value.ndim and value.shape != parameters[int(i)].shape:
            raise ValueError(f"moments of shape {tuple(value.shape)} for parameter {i}")
        state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
