"""The parts of an inference on a model whose posterior is known, and the table of their settings."""

from __future__ import annotations

from typing import Any

from gpvae_core.part import PartConfig, field_table
from gpvae_core.part_text import part_text
from gpvae_core.registry import Registry
from gpvae_core.vi.divergences.base import DIVERGENCES
from gpvae_core.vi.families.base import VI_FAMILIES
from gpvae_core.vi.gradients.base import GRADIENTS
from gpvae_core.vi.methods.base import VI_METHODS
from gpvae_core.vi.targets.base import TARGETS

VI_PARTS: dict[str, Registry[Any]] = {
    "target": TARGETS,
    "family": VI_FAMILIES,
    "method": VI_METHODS,
    "gradient": GRADIENTS,
    "divergence": DIVERGENCES,
}
"""The registry of each part of an inference."""


def vi_settings_table() -> list[dict[str, str]]:
    """Return the key (kind.setting), default and meaning of every setting, for `gpvae list vi-settings`."""
    rows: list[dict[str, str]] = []
    for registry in VI_PARTS.values():
        for kind in registry.summaries():
            config = registry.get(kind)
            defaults = {f"{kind}.{name}": getattr(config(), name) for name in config.model_fields}
            rows += [
                {**row, "default": _shown(defaults[row["setting"]])} for row in field_table([(f"{kind}.", config)])
            ]
    return rows


def _shown(value: Any) -> str:
    return part_text(value) if isinstance(value, PartConfig) else str(value)
