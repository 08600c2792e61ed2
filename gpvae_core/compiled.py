"""Networks compiled by torch."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from gpvae_core.errors import UserError


def compile_networks(model: nn.Module, device: torch.device) -> None:
    """Compile the network stacks; the algebra around them stays as it is.

    Raises:
        UserError: no C++ compiler, which torch.compile needs.
    """
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError(f"compile=true needs a C++ compiler for {device.type} (g++ or clang++): found none")
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            module.forward = torch.compile(module.forward)
