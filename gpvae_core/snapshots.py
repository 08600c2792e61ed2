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


MOMENTS = {"exp_avg", "exp_avg_sq"}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], stepped: bool) -> None:
    """Set the optimizer to a state that `optimizer_tensors` returned.

    Args:
        stepped: whether training has taken a step, after which there is a state.

    Raises:
        ValueError, LookupError: tensors are missing, or their shapes, types or values do not fit.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, _, name = key.partition(".")
        # The step count is a float32 scalar; both moments have the parameter's shape and type.
        like = parameters[int(i)] if name in MOMENTS else torch.empty(())
        if value.shape != like.shape or value.dtype != like.dtype or not bool(value.isfinite().all()):
            raise ValueError(f"{name} of shape {tuple(value.shape)} and type {value.dtype} for parameter {i}")
        if name in MOMENTS:
            # The fused optimizer wants the parameter's memory format, whose convolutions' is channels last.
            value = torch.empty_like(parameters[int(i)], requires_grad=False).copy_(value)
        state.setdefault(int(i), {})[name] = value
    # NOTE: a parameter without a gradient so far, as in a later stage of training, has no state at all.
    if bool(state) != stepped or any(entry.keys() != MOMENTS | {"step"} for entry in state.values()):
        raise ValueError("a tensor is missing")
    if any(bool((entry["step"] < 0) | (entry["exp_avg_sq"] < 0).any()) for entry in state.values()):
        raise ValueError("a count of steps or a mean square is negative")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
