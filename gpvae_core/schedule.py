"""The training schedule: the encoder's stages, the learning rate, the KL warm-up, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gpvae_core.encoders.base import Stage
from gpvae_core.run_config import TrainConfig
from gpvae_core.run_records import TrainingState


def stage_number(stages: Sequence[Stage], done: float) -> int:
    """Return the number (from 0) of the stage after the fraction `done` of all epochs."""
    end = 0.0
    for number, stage in enumerate(stages):
        end += stage.share
        if done < end - 1e-9:  # shares such as 1/3 do not add up exactly
            return number
    return len(stages) - 1


def enter_stage(stages: Sequence[Stage], state: TrainingState, epochs: int) -> Stage:
    """Return the stage of the epoch that begins, and record it in `state`; a run never returns to an earlier stage.

    So a finished run that is trained longer stays in its last stage.
    """
    number = max(state.stage, stage_number(stages, state.epoch / epochs))
    if number > state.stage:
        state.stage, state.stage_epoch = number, state.epoch
    return stages[number]


def kl_weight(cfg: TrainConfig, epoch: int) -> float:
    """Return the weight of the KL to the prior after `epoch` epochs, which grows linearly over the warm-up."""
    if epoch >= cfg.kl_warmup:
        return cfg.kl_weight
    return cfg.kl_weight * (cfg.kl_start + (1.0 - cfg.kl_start) * epoch / cfg.kl_warmup)


def learning_rate(cfg: TrainConfig, epoch: int) -> float:
    """Return the learning rate after `epoch` epochs (the cosine: Loshchilov & Hutter 2017, eq. 5, without restarts)."""
    if cfg.lr_schedule == "constant":
        return cfg.lr
    return 0.5 * cfg.lr * (1.0 + math.cos(math.pi * epoch / cfg.epochs))


def waited_enough(cfg: TrainConfig, state: TrainingState, stages: int) -> bool:
    """Return whether `patience` epochs in the last stage and after the warm-up brought no better validation score."""
    if not cfg.patience or state.stage < stages - 1:
        return False
    since = max(state.best_epoch, state.stage_epoch, cfg.kl_warmup)
    return state.epoch - since >= cfg.patience
