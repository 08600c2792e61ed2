"""Settings of prior recovery and of the encoder's fit that ends it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RecoverySettings(BaseModel):
    """What `finish` needs to know; an inference that ends with it inherits these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    recovery_epochs: int | None = Field(
        default=None,
        ge=1,
        description="passes over the training points in which the prior is recovered (default: 500, or as many as make "
        "20,000 steps)",
    )
    recovery_lr: float = Field(default=5e-4, gt=0, description="learning rate of Adam in prior recovery")
    recovery_batch: int = Field(default=100, ge=1, description="points in a mini-batch of prior recovery")
    encoder_epochs: int | None = Field(
        default=None,
        ge=1,
        description="passes over the training points in which the encoder is fitted to the finished decoder (default: "
        "500, or as many as make 20,000 steps)",
    )
