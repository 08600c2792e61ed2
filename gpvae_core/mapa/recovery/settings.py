"""Settings of prior recovery and of the final fit of the encoder."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gpvae_core.mapa.recovery.fitting import FitSettings
from gpvae_core.part import MOST, MOST_COUNT


def _epochs(stage: str) -> Any:
    meaning = f"passes over the training points in {stage} (default: 500, but at most 20,000 steps)"
    return Field(default=None, ge=1, le=MOST_COUNT, description=meaning)


class RecoverySettings(BaseModel):
    """Settings of `finish`; the config of an inference that ends with it inherits these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    recovery_epochs: int | None = _epochs("prior recovery")
    recovery_lr: float = Field(default=5e-4, gt=0, le=MOST, description="learning rate of Adam in prior recovery")
    recovery_batch: int = Field(
        default=100,
        ge=1,
        le=MOST_COUNT,
        description="mini-batch size of prior recovery and of the final fit of the encoder",
    )
    encoder_epochs: int | None = _epochs("the final fit of the encoder to the finished decoder")
    encoder_lr: float = Field(
        default=1e-3, gt=0, le=MOST, description="learning rate of Adam in the final fit of the encoder"
    )

    def recovery_fit(self, seed: int, network: str) -> FitSettings:
        """Return the settings with which prior recovery fits a network."""
        label = f"recovering the prior: {network}"
        return FitSettings(self.recovery_epochs, self.recovery_batch, self.recovery_lr, seed, label)

    def encoder_fit(self, seed: int) -> FitSettings:
        """Return the settings of the final fit of the encoder to the finished decoder."""
        return FitSettings(self.encoder_epochs, self.recovery_batch, self.encoder_lr, seed, "fitting the encoder")
