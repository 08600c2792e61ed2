"""No regulariser."""

from __future__ import annotations

from typing import ClassVar

from gpvae_core.regularisers.base import REGULARISERS, RegulariserConfig


@REGULARISERS.register("none")
class NoRegulariserConfig(RegulariserConfig):
    """No regulariser: the encoder is trained on the unchanged images."""

    kind: ClassVar[str] = "none"
    method: ClassVar[str] = ""
