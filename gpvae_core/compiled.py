"""Compilation of the networks by torch.compile."""

from __future__ import annotations

import os
import shutil

import torch
from torch import nn

from gpvae_core.errors import UserError


def compile_networks(model: nn.Module, device: torch.device) -> None:
    """Compile the network stacks of the model in place; the algebra around them is not compiled.

    Raises:
        UserError: there is no C++ compiler, which torch.compile needs.
    """
    compilers = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError(f"compile=true needs a C++ compiler for {device.type} (g++ or clang++): found none")
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            # NOTE: compiling `forward` and not the module leaves the names of the parameters unchanged.
            module.forward = torch.compile(module.forward)
