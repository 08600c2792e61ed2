"""Gradients that are far larger than those before them, scaled down before a step of Adam."""

from __future__ import annotations

import math

import torch


@torch.no_grad()
def clip_gradients(optimizer: torch.optim.Adam, most: float) -> None:
    """Scale down the gradient g of each parameter tensor whose norm is more than `most` times its usual one.

    The usual norm is |sqrt(v)|, with Adam's moving average v of squared gradients, corrected for its start at 0, so
    that the sizes of loss and layers do not matter. As in update clipping (Shazeer & Stern 2018, sec. 6) a few steps of
    large gradients at a high learning rate then do not undo a training; here neither of Adam's averages sees them as
    they were. The first gradient of a tensor, and one after gradients of 0 alone, is left as it is.

    Args:
        optimizer: holds the gradients of a step that has not been taken.
        most: above 0.
    """
    for group in optimizer.param_groups:
        decay = group["betas"][1]
        for parameter in group["params"]:
            past = optimizer.state.get(parameter)
            if parameter.grad is None or not past:
                continue
            usual = past["exp_avg_sq"].sum() / -torch.expm1(math.log(decay) * past["step"])  # 1 - decay^steps
            # NOTE: all stays on the device, as reading a number would wait for it.
            factor = (most * usual.sqrt() / parameter.grad.norm()).clamp(max=1.0)
            parameter.grad.mul_(torch.where(usual > 0, factor, torch.ones_like(factor)))
