"""The default pair of models, trained if there are no runs: a VAE, and a GP encoder initialized from it."""

from __future__ import annotations

from pathlib import Path

from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.progress import Progress, renamed, silent
from gpvae_core.run_config import RunConfig
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.training_loop import OnEpoch

VAE_NAME, GP_NAME = "digits-vae", "digits-gp"
VAE_SETTINGS = {"latent_dim": 2, "train.epochs": 300, "train.lr": 1e-3, "train.batch_size": 128}
GP_SETTINGS = {"latent_dim": 2, "train.epochs": 150, "train.lr": 1e-3, "train.batch_size": 128}


def default_configs() -> tuple[RunConfig, RunConfig]:
    """Return the configs of a VAE and a GP encoder on the digits, with d = 2 and fully connected networks."""
    data, shape = DataConfig(name="digits"), (1, 8, 8)
    return make_config("vae", data, shape, VAE_SETTINGS), make_config("gp", data, shape, GP_SETTINGS)


def train_default_pair(
    root: Path, progress: Progress = silent, on_epoch: OnEpoch | None = None, device: str | None = "cpu"
) -> tuple[Path, Path]:
    """Train both models into `root` and return their folders; finished runs are kept, unfinished ones resumed.

    Networks of this size are fastest on the CPU.

    Raises:
        Cancelled: raised by `progress`; the next call resumes the training.
        UserError: a folder exists that is not a run, or the disk is full.
    """
    vae_config, gp_config = default_configs()
    folders = root / VAE_NAME, root / GP_NAME
    vae, gp = folders
    told = [renamed(progress, f"{{}} {k} of 2, {folder.name}: step") for k, folder in enumerate(folders, 1)]
    _train_or_resume(vae_config, vae, None, told[0], on_epoch, device)
    _train_or_resume(gp_config, gp, vae, told[1], on_epoch, device)
    return folders


def _train_or_resume(
    config: RunConfig, out: Path, origin: Path | None, progress: Progress, on_epoch: OnEpoch | None, device: str | None
) -> None:
    """Train a run, resume it if it is unfinished, or do nothing if it is finished."""
    if not (out / "config.json").is_file():
        start = None if origin is None else (origin.name, load_run(origin, device=device).model)
        train(config, out, device=device, init_from=start, progress=progress, on_epoch=on_epoch)
    elif not summarize(out).finished:
        resume(out, device=device, progress=progress, on_epoch=on_epoch)
