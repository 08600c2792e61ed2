"""gpvae_core: variational autoencoders whose inference can be examined, instance by instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpvae_core.runs import load_run as load_run

__version__ = "0.1.0"
__all__ = ["__version__", "load_run"]


def __getattr__(name: str) -> Any:
    """`load_run` is imported when it is first used, so that the plots need no torch."""
    if name == "load_run":
        from gpvae_core.runs import load_run

        return load_run
    raise AttributeError(f"module 'gpvae_core' has no attribute '{name}'")
