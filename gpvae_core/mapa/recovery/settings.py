"""Settings of prior recovery and of the encoder's fit that ends it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gpvae_core.mapa.recovery.fitting import FitSettings


def _epochs(what: str) -> Any:
    meaning = f"passes over the training points in which {what} (default: 500, or as many as make 20,000 steps)"
    return Field(default=None, ge=1, description=meaning)


class RecoverySettings(BaseModel):
    """Settings of `finish`; an inference that ends with it inherits these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    recovery_epochs: int | None = _epochs("the prior is recovered")
    recovery_lr: float = Field(default=5e-4, gt=0, description="learning rate of Adam in prior recovery")
    recovery_batch: int = Field(
        default=100, ge=1, description="points in a mini-batch of prior recovery and of the encoder's fit"
    )
    encoder_epochs: int | None = _epochs("the encoder is fitted to the finished decoder")
    encoder_lr: float = Field(default=1e-3, gt=0, description="learning rate of Adam in that fit of the encoder")

    def recovery_fit(self, seed: int, what: str) -> FitSettings:
        """Return how a network of prior recovery is fitted."""
        words = f"recovering the prior: {what}"
        return FitSettings(self.recovery_epochs, self.recovery_batch, self.recovery_lr, seed, words)

    def encoder_fit(self, seed: int) -> FitSettings:
        """Return how the encoder is fitted to the finished decoder."""
        return FitSettings(self.encoder_epochs, self.recovery_batch, self.encoder_lr, seed, "fitting the encoder")
