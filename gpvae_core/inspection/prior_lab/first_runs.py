"""Runs with a GP prior that the lab trains: a first one on the moving ball, and others on the data of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, Dataset, load
from gpvae_core.errors import UserError
from gpvae_core.inspection.prior_lab.lab import PriorLab
from gpvae_core.methods import get_method, methods
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.run_summaries import summarize
from gpvae_core.training import resume, train
from gpvae_core.training_loop import OnEpoch

FIRST_DATA, FIRST_METHOD, FIRST_POINTS, FIRST_EPOCHS = "moving-ball", "svgp", 15, 60
"""A first run, which takes about half a minute on one core."""
STATE_SPACE = "markov"


def prior_methods() -> dict[str, str]:
    """Return the methods with a GP prior -> dotted key of the number behind their colon, '' for none."""
    from gpvae_core.inference.base import INFERENCES

    return {
        name: method.count for name, method in methods().items() if INFERENCES.get(method.inference).correlates
    }  # fmt: skip


def planned(origin: PriorLab | None, method: str, epochs: int) -> RunConfig:
    """Plan a training of `method`, such as 'svgp:15', on the data of `origin`, or on the moving ball.

    A run of the method of `origin` has its settings but the number of inducing points and of epochs.

    Raises:
        UserError: the method is unknown or does not fit the data.
    """
    settings: dict[str, Any] = {"train.epochs": epochs}
    if origin is None:
        data = DataConfig(name=FIRST_DATA)
        return make_config(method, data, load(data).event_shape, settings)
    config = origin.run.config
    if get_method(method).inference == get_method(config.method).inference:
        name, _, number = method.partition(":")
        raw: dict[str, Any] = config.to_json()
        raw["train"]["epochs"], raw["method"] = epochs, method
        if number and (key := prior_methods()[name]):
            part, _, field = key.partition(".")
            raw[part][field] = int(number)
        return RunConfig.model_validate(raw)
    settings |= {"latent_dim": config.latent_dim}
    if method == STATE_SPACE and origin.number is not None:
        settings["prior.kernel"] = f"matern({origin.number.name}, nu=1.5)"
    planned_config = make_config(method, config.data, origin.run.model.event_shape, settings)
    # Raises now, and not once the training has begun, if the kernel does not fit.
    planned_config.inference.extra(planned_config.prior, origin.run.meta.columns, config.latent_dim)
    return planned_config


def run_name(root: Path, config: RunConfig) -> str:
    """Return the name of a new run's folder: of its data and method, with a number where that is taken.

    A run of the same settings that is not finished keeps its name, so that its training goes on.
    """
    data = Path(config.data.name.rpartition(":")[2]).stem
    first = f"{data}-{config.method.replace(':', '')}"
    for k in range(1, 1000):
        name = first if k == 1 else f"{first}-{k}"
        if not (root / name).exists() or _is_the_same(root / name, config):
            return name
    raise UserError(f"'{root}' holds 999 runs called {first}: wanted a folder with fewer")


def _is_the_same(folder: Path, config: RunConfig) -> bool:
    from gpvae_core.run_files import read_config

    try:
        return read_config(folder) == config and not summarize(folder).finished
    except UserError:
        return False


def train_run(
    root: Path,
    config: RunConfig,
    data: Dataset | None,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
) -> Path:
    """Train the planned run into `root`, or go on with it; return its folder.

    Raises:
        Cancelled: raised by `progress`; the next call goes on.
        UserError: the disk is full, or the training diverged.
    """
    out = root / run_name(root, config)
    if out.exists():
        return resume(out, progress=progress, on_epoch=on_epoch)
    return train(config, out, data=data, progress=progress, on_epoch=on_epoch)
