"""The schedule of training: the encoder's stages, the warm-up of the KL, and early stopping."""

from __future__ import annotations

from collections.abc import Sequence

from gpvae_core.encoders.base import Stage
from gpvae_core.run_config import TrainConfig
from gpvae_core.run_files import TrainingState


def stage_number(stages: Sequence[Stage], done: float) -> int:
    """Return which stage (from 0) training is in when the share `done` of all epochs is over."""
    over = 0.0
    for number, stage in enumerate(stages):
        over += stage.share
        if done < over - 1e-9:
            return number
    return len(stages) - 1


def enter_stage(stages: Sequence[Stage], state: TrainingState, epochs: int) -> Stage:
    """Note the stage of the epoch that begins. A run that is made longer goes on with the stage that it had."""
    number = max(state.stage, stage_number(stages, state.epoch / epochs))
    if number > state.stage:
        state.stage, state.stage_epoch = number, state.epoch
    return stages[number]


def kl_weight(cfg: TrainConfig, epoch: int) -> float:
    """Return the weight of the KL to the prior after `epoch` epochs: it grows in a line over the warm-up."""
    if epoch >= cfg.kl_warmup:
        return 1.0
    return cfg.kl_start + (1.0 - cfg.kl_start) * epoch / cfg.kl_warmup


def waited_enough(cfg: TrainConfig, state: TrainingState, stages: int) -> bool:
    """Whether `patience` epochs brought no better validation ELBO, counted in the last stage and after the warm-up."""
    if not cfg.patience or state.stage < stages - 1:
        return False
    since = max(state.best_epoch, state.stage_epoch, cfg.kl_warmup)
    return state.epoch - since >= cfg.patience
