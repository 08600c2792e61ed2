"""The job of a worker: train or resume one run and score it; the result is plain data."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from gpvae_core import bounds
from gpvae_core.data.base import DataConfig, Dataset, load
from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.density import density_scores, passes_per_point
from gpvae_core.progress import Cancelled, Progress
from gpvae_core.run_config import RunConfig, parse_config
from gpvae_core.run_files import read_config, read_record, snapshot_folder
from gpvae_core.run_records import BestState
from gpvae_core.run_summaries import summarize
from gpvae_core.runs import Run, load_run
from gpvae_core.stats import mean_se, seeded_order
from gpvae_core.sweep.charge import token_in
from gpvae_core.sweep.config import ScoreConfig
from gpvae_core.training import resume, train
from gpvae_core.truth.importance import log_weights

LOOK_SECONDS = 0.5
"""Interval at which a worker checks whether its sweep still runs."""
LOCK_SECONDS = 120.0
"""Time to wait for the lock of a run, which a worker that lost its connection may still hold."""
WEIGHTS_AT_ONCE = 4096
"""Importance weights that are computed in one batch."""
_one_at_a_time = threading.Lock()
"""Lock of a worker with several threads: trainings share torch's global generator, so that only one may run."""


def run_job(
    config: Mapping[str, Any], score: Mapping[str, Any], out: str, folder: str, token: str, device: str | None
) -> dict[str, Any]:
    """Train or resume the run in OUT/runs/FOLDER, and score it.

    Returns {"state": "done", ...}, {"state": "failed", "message"}, or {"state": "stopped"} if the sweep was stopped or
    another process coordinates it. Repeating a job gives the same result without training again.
    """
    root = Path(out)
    with _one_at_a_time:
        try:
            watch, run = Watch(root, token), root / "runs" / folder
            with _locked(run):
                return {"state": "done", **_job(parse_config(config), ScoreConfig(**score), run, device, watch)}
        except Cancelled:
            return {"state": "stopped"}
        except UserError as error:
            return {"state": "failed", "message": str(error)}


class Watch:
    """Progress callback that raises Cancelled if this sweep's coordinator is gone or replaced by another one."""

    def __init__(self, root: Path, token: str) -> None:
        self._root, self._token, self._checked = root, token, -math.inf
        self(0, 0, "start")

    def __call__(self, done: int, total: int, what: str) -> None:
        if time.monotonic() - self._checked < LOOK_SECONDS:
            return
        self._checked = time.monotonic()
        if token_in(self._root) != self._token:
            raise Cancelled


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    """Lock a run for this worker, for training and score. The operating system releases the lock of a dead worker."""
    run.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.parent / f".{run.name}.job")
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise UserError(
            f"'{run}' is held by another worker for {LOCK_SECONDS:.0f} s: is it lost but not dead?"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _job(config: RunConfig, score: ScoreConfig, folder: Path, device: str | None, watch: Progress) -> dict[str, Any]:
    data = data_of(config.data)
    _train(config, folder, data, device, watch)
    started = time.monotonic()
    run = load_run(folder, device=device)
    if run.meta.data_fingerprint != data.fingerprint:
        raise UserError(f"the data of '{folder}' changed since it was trained")
    trained = _training_metrics(run, data)  # before the scores, which can take long
    if config.inference.conditional:
        scores = predicted_scores(run, score, watch)
    else:
        scores = score_run(run, data, score, watch) | truth_scores(run, data, score, watch)
        scores |= density_scores(run, data) | _passes(run, data)
    return {**trained, **scores, "score_seconds": time.monotonic() - started}


def _passes(run: Run, data: Dataset) -> dict[str, float]:
    passes = passes_per_point(run, data)
    return {} if passes is None else {"decoder_passes": passes.decoder, "encoder_passes": passes.encoder}


def data_of(config: DataConfig) -> Dataset:
    """Return the data set; the last one is cached for the worker's next job."""
    return _load(config.model_dump_json())


@lru_cache(maxsize=1)
def _load(config: str) -> Dataset:
    return load(DataConfig.model_validate_json(config))


def _train(config: RunConfig, folder: Path, data: Dataset, device: str | None, watch: Progress) -> None:
    """Train a new run, resume a stopped one, or do nothing if it is finished."""
    if not (folder / "config.json").is_file():
        train(config, folder, device=device, data=data, progress=watch)
        return
    if read_config(folder) != config:
        raise UserError(f"'{folder}' holds another run: wanted the one of this sweep; move it away")
    if not summarize(folder).finished:
        resume(folder, device=device, progress=watch)


@torch.no_grad()
def score_run(
    run: Run, data: Dataset, score: ScoreConfig, progress: Progress, images: int | None = None
) -> dict[str, Any]:
    """Return mean IWAE-k and ELBO of the test images, in nats, with standard errors.

    This is the score of Kim & Pavlovic 2021, sec. 10: the mean over images of log 1/K sum_k p(x,z_k)/q(z_k|x).

    Args:
        images: score only this number of test images, the first ones.

    Raises:
        UserError: the score of some image is not finite.
    """
    generator = torch.Generator(run.device).manual_seed(score.seed)
    at_once = max(1, WEIGHTS_AT_ONCE // score.k)
    total = min(len(data.test), images or len(data.test))
    iwae, elbo = [], []
    for low in range(0, total, at_once):
        x = data.test.pixels(slice(low, min(low + at_once, total))).to(run.device)
        log_w = log_weights(run.model, x, score.k, generator, proposal=run.model.infer(x, generator))
        iwae.append(bounds.iwae(log_w))
        elbo.append(bounds.elbo(log_w))
        progress(min(low + at_once, total), total, f"IWAE-{score.k}")
    scores = {"test_iwae": mean_se(torch.cat(iwae).numpy()), "test_elbo": mean_se(torch.cat(elbo).numpy())}
    if scores["test_iwae"]["n"] < total:
        raise UserError(f"the score of '{run.dir}' is not a number on {total - scores['test_iwae']['n']} test images")
    means = {name: entry["mean"] for name, entry in scores.items()}
    return means | {f"{name}_se": entry["se"] for name, entry in scores.items()} | {"test_images": total}


def predicted_scores(run: Run, score: ScoreConfig, progress: Progress) -> dict[str, Any]:
    """Return the scores of a run that models images given their columns, on the test images (`evaluate_conditional`).

    Where epochs were kept, the error as the papers print it stands beside them, under a name of its own.

    Raises:
        UserError: the square error of some image is not finite.
    """
    result = evaluate_conditional(run, "test", score.k, score.seed, progress, published=bool(run.kept_epochs))
    lost = result.coverage.n - result.mse.n  # the coverage of every image is a number
    if lost:
        raise UserError(f"the square error of '{run.dir}' is not a number on {lost} test images")
    means = {"mse": result.mse, "mse_sample": result.mse_sample, "nlpd": result.nlpd, "coverage": result.coverage}
    scores: dict[str, Any] = {f"test_{name}": entry.mean for name, entry in means.items()}
    scores |= {f"test_{name}_se": entry.se for name, entry in means.items()}
    scores |= {"test_images": result.mse.n, "path_rmse": result.path_rmse}
    if result.as_published is not None:
        scores |= {"test_mse_published": result.as_published.mse.mean, "published_epoch": result.as_published.epoch}
    return scores


def truth_scores(run: Run, data: Dataset, score: ScoreConfig, progress: Progress) -> dict[str, Any]:
    """Return the mean log p(x) of a seeded sample of test images, in nats, with its diagnostics; empty for truths = 0.

    The sample and the estimates are those of `gpvae evaluate --instances TRUTHS` (at d = 2 `--truths`) with the same
    seed.
    """
    if not score.truths:
        return {}
    index = seeded_order(len(data.test), score.seed)[: score.truths]
    evidence = run.truth.log_px(data.test.pixels(index).to(run.device), score.seed, progress)
    mean = mean_se(evidence.log_px)
    return {
        "truth": evidence.kind,
        "truth_log_px": mean["mean"],
        "truth_log_px_se": mean["se"],
        "truth_error": evidence.rms_error,
        "truth_images": len(index),
        "truth_untrusted": int(evidence.untrusted.sum()),
    }


def _training_metrics(run: Run, data: Dataset) -> dict[str, Any]:
    """Return the metrics of the training. Raises UserError if the run lacks its best weights or its metrics."""
    folder = snapshot_folder(run.dir / "best")
    if folder is None:
        raise UserError(f"'{run.dir}' has no best weights")
    best, metrics = read_record(folder / "state.json", BestState), run.metrics
    if not metrics:
        raise UserError(
            f"'{run.dir / 'metrics.jsonl'}' is missing or empty: wanted the metrics of the finished training; copy it "
            "back, or move the run away, and it is trained again"
        )
    return {
        "validation_elbo": best.validation_elbo,
        "epochs": metrics[-1]["epoch"],
        "best_epoch": best.epoch,
        "parameters": run.meta.parameters,
        "train_seconds": metrics[-1]["seconds"],
        "device": run.meta.device,
        "note": data.note or None,
        "versions": run.meta.versions,
    }
