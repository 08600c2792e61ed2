"""Runs that the lab trains: a first one on the moving ball, and others on the data of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpvae_core.config import make_config
from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.covariances.matern import MaternConfig
from gpvae_core.data.base import DataConfig, Dataset, load
from gpvae_core.errors import UserError
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.conditional import ConditionalConfig
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.methods import get_method, methods
from gpvae_core.priors.gp import GPPriorConfig
from gpvae_core.progress import Progress, silent
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.run_summaries import summarize
from gpvae_core.training import resume, train
from gpvae_core.training_loop import OnEpoch

FIRST_DATA, FIRST_METHOD, FIRST_POINTS, FIRST_EPOCHS = "moving-ball", "svgp", 15, 60
"""A first run, which takes about half a minute on one core."""
STATE_SPACE = "markov"


def conditional_methods() -> dict[str, str]:
    """Return the methods that model images given their columns -> dotted key of the number behind their colon.

    The key is '' for a method without a number.
    """
    return {
        name: method.count
        for name, method in methods().items()
        if issubclass(INFERENCES.get(method.inference), ConditionalConfig)
    }


def planned(origin: ConditionalLab | None, method: str, epochs: int) -> RunConfig:
    """Plan a training of `method`, such as 'svgp:15', on the data of `origin`, or on the moving ball.

    It has the settings of `origin` but those of inference, if the method is another, and the number of epochs.

    Raises:
        UserError: the method is unknown or does not fit the data or the other settings.
    """
    if origin is None:
        data = DataConfig(name=FIRST_DATA)
        return make_config(method, data, load(data).event_shape, {"train.epochs": epochs})
    own, shape = origin.run.config, origin.run.model.event_shape
    raw: dict[str, Any] = own.to_json()
    settings = _process(origin, method)
    settings |= {"likelihood.kind": own.likelihood.kind, "train.epochs": epochs, "latent_dim": own.latent_dim}
    new: dict[str, Any] = make_config(method, own.data, shape, settings).to_json()
    # A config says nothing of the plain prior N(0, I).
    raw = {key: value for key, value in raw.items() if key != "prior"} | {k: new[k] for k in ("prior",) if k in new}
    raw |= {"method": method, "train": raw["train"] | {"epochs": epochs}}
    if get_method(method).inference != get_method(own.method).inference:
        raw["inference"] = new["inference"]
    elif method != own.method and (key := conditional_methods()[method.partition(":")[0]]):
        field = key.removeprefix("inference.")
        raw["inference"] |= {field: new["inference"][field]}
    config = parse_config(raw)
    # Raises now, and not once the training has begun, if the kernel does not fit.
    config.inference.extra(config.prior, origin.run.meta.columns, config.latent_dim)
    return config


def _process(origin: ConditionalLab, method: str) -> dict[str, Any]:
    """Return the settings of the prior of `origin` for a method that has a GP prior as well; {} for any other two.

    For a method that takes but one Matern kernel of a number the kernel is such a one.
    """
    prior = origin.run.config.prior
    if not isinstance(prior, GPPriorConfig) or dict(get_method(method).settings).get("prior.kind") != prior.kind:
        return {}
    own = {f"prior.{name}": value for name, value in prior.model_dump().items() if name != "kind"}
    if method != STATE_SPACE or origin.number is None or isinstance(_only(prior.kernel), MaternConfig):
        return own
    return own | {"prior.kernel": f"matern({origin.number.name}, nu=1.5)"}


def _only(kernel: str) -> object:
    """Return the settings of a kernel's only term; None where it has several."""
    terms = list(parse_kernel(kernel).terms())
    return terms[0].config if len(terms) == 1 else None


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
