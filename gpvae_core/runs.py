"""A trained run on disk: loading it, its posteriors, the true posterior and the gaps of given images."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from gpvae_core.data.base import DATASETS, Dataset, Source, load, parse_name
from gpvae_core.densities.base import Posterior, log_standard_normal
from gpvae_core.device import pick_device
from gpvae_core.errors import UserError, shown, unknown
from gpvae_core.files import checked_path, with_name
from gpvae_core.gaps import GapTable, instance_gaps
from gpvae_core.hashes import hexdigest
from gpvae_core.methods import parse_refiner
from gpvae_core.parsing import whole_number
from gpvae_core.progress import Progress, silent
from gpvae_core.refiners.base import RefinerConfig
from gpvae_core.run_config import RunConfig
from gpvae_core.run_files import (
    EPOCHS,
    existing_run,
    load_weights,
    read_config,
    read_metrics,
    read_record,
    snapshot_folder,
)
from gpvae_core.run_records import BestState, EpochMetrics, RunMetadata, TrainingState
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.quadrature import TruePosterior
from gpvae_core.truth.truth import Truth, truth_for
from gpvae_core.types import as_images
from gpvae_core.vae import VAE

Weights = Literal["best", "last"]
PRIOR_POINTS = 64
"""Number of latents at which a fingerprint has the density of a prior other than N(0, I)."""


class Run:
    """A trained run as `load_run` returns it: its model, config and data, and the posteriors and gaps of given images.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> x = run.data.test.pixels([0, 1])
    >>> run.posterior(x).mean.shape, run.truth.log_px(x).log_px.shape, run.gaps(x).amortization.shape
    (torch.Size([2, 2]), (2,), (2,))
    """

    def __init__(self, folder: Path, config: RunConfig, model: VAE, meta: RunMetadata, device: torch.device) -> None:
        self.dir = folder
        """Folder of the run."""
        self.config = config
        """All settings of the run."""
        self.model = model
        """The trained model, in evaluation mode and with its parameters frozen."""
        self.meta = meta
        """Shape of an image, fingerprint of the data, versions and time of the training."""
        self.device = device
        """Device on which the model computes."""
        self.refiner = config.refiner.kind
        """Name of the refiner applied to q(z|x): the run's own, or the one passed to `load_run`."""
        self.truth: Truth = truth_for(model)
        """Estimators of log p(x) and p(z|x). All callers share the grid points it has decoded."""
        self._data_lock = threading.Lock()
        self._data: Dataset | None = None

    @property
    def name(self) -> str:
        """Name of the run's folder, with escapes for bytes of it that are not UTF-8."""
        return shown(self.dir.name)

    @property
    def is_images(self) -> bool:
        """Whether the run was trained on images, and not on points."""
        return self._source.is_images

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """Bounds of the pixels of its images, [0, 1] of most data sets; None for points, which have none."""
        return self._source.pixel_range

    @property
    def _source(self) -> type[Source]:
        return DATASETS.get(parse_name(self.config.data.name)[0])

    @property
    def metrics(self) -> list[EpochMetrics]:
        """The metrics of each epoch: train_bound and validation_elbo in nats, seconds of training so far."""
        return read_metrics(self.dir / "metrics.jsonl")

    @property
    def data(self) -> Dataset:
        """The data set, loaded at the first use. Raises UserError if it differs from the one used for training."""
        with self._data_lock:  # the threads of several pages share one Run
            if self._data is None:
                data = self._load_data()
                same_shape = data.event_shape == self.meta.event_shape
                if not same_shape or data.fingerprint != self.meta.data_fingerprint:
                    raise UserError(
                        f"the data set '{data.name}' is not the one that run '{self.name}' was trained on: its files "
                        "changed, or an earlier version read them otherwise (see its changelog)"
                    )
                self._data = data
            return self._data

    def _load_data(self) -> Dataset:
        try:
            return load(self.config.data)
        except UserError as error:
            raise UserError(f"the data of run '{self.name}' cannot be loaded: {error}") from None

    @cached_property
    def decoder_fingerprint(self) -> str:
        """SHA-256 of decoder, likelihood and prior. Runs with equal fingerprints have the same true posteriors."""
        parts = (self.model.decoder, self.model.likelihood)
        named = [item for part in parts for item in sorted(part.state_dict().items())]
        prior = self._prior_at_fixed_latents()
        if prior is not None:
            named.append(("prior", prior))
        return hexdigest(item for name, value in named for item in (name, value.detach().cpu().numpy().tobytes()))

    @torch.no_grad()
    def _prior_at_fixed_latents(self) -> Tensor | None:
        """Return log p(z) at PRIOR_POINTS latents, which tell priors apart whatever their form; None for N(0, I)."""
        d = self.model.latent_dim
        z = torch.randn(PRIOR_POINTS, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        log_prior = self.model.log_prior(z)
        standard = log_standard_normal(z)
        return None if torch.allclose(log_prior, standard, rtol=0.0, atol=1e-9) else log_prior

    @property
    def kept_epochs(self) -> list[int]:
        """Epochs whose weights were kept (train.keep_every), for `load_run(..., epoch=n)`."""
        return kept_epochs(self.dir)

    def _images(self, x: Tensor) -> Tensor:
        return as_images(torch.as_tensor(x), self.model.event_shape, self.pixel_range).to(self.device)

    @torch.no_grad()
    def posterior(self, x: Tensor) -> Posterior:
        """Return q(z|x), refined if the run has a refiner.

        Args:
            x: one image (C,H,W) or a batch (B,C,H,W), pixels in `pixel_range`.
        """
        return self.model.infer(self._images(x))

    def gaps(self, x: Tensor, seed: int = 0) -> GapTable:
        """Return the inference, approximation and amortization gap of each image, (B,) each, in nats."""
        return instance_gaps(self.model, self._images(x), self.truth, seed)

    def true_posterior(self, x: Tensor) -> TruePosterior | list[TruePosterior]:
        """Return p(z|x) by quadrature: one posterior for one image (C,H,W), a list for a batch (B,C,H,W).

        Each is a `LinePosterior` at d = 1 and a `GridPosterior` at d = 2. Raises UserError if d > 2.
        """
        posteriors = list(self.truth.posterior(self._images(x)))
        return posteriors[0] if torch.as_tensor(x).ndim == len(self.model.event_shape) else posteriors

    def posterior_samples(
        self, x: Tensor, settings: HMCSettings | None = None, seed: int = 0, progress: Progress = silent
    ) -> PosteriorSamples:
        """Draw from p(z|x) by Hamiltonian Monte Carlo, at any d, for one image (C,H,W) or a batch (B,C,H,W).

        `z` (N, C, B, D) holds N draws of each of C chains, B = 1 for one image; `r_hat`, `ess` and `mixed` are the
        chains' diagnostics. Chains start at samples of q(z|x); their step sizes are scaled by the best full Gaussian,
        which is optimized first. A mode far from all starting points can be missed without any diagnostic showing it;
        at d = 1 and 2 `true_posterior` covers every mode.
        """
        return self.truth.samples(self._images(x), settings, seed, progress)


def load_run(
    folder: str | Path,
    weights: Weights = "best",
    device: str | None = None,
    refiner: str | RefinerConfig | None = None,
    epoch: int | None = None,
) -> Run:
    """Load the run in `folder` with its best (by the validation score) or its last weights, in evaluation mode.

    Args:
        refiner: refines q(z|x) in place of the run's own refiner: 'svi:8', 'none', or a config.
        epoch: load the weights that were kept of this epoch (train.keep_every), in place of `weights`.

    Raises:
        UserError: the folder is not a run, is damaged, was written by a newer version, or has no finished epoch; or
            the refiner is unknown, has parameters that need training, or does not fit the run's decoder.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gpvae.load_run(run.dir, refiner="svi:8").refiner
    'svi:8'
    """
    if weights not in get_args(Weights):
        raise unknown("weights", weights, get_args(Weights))
    path = with_name(existing_run(checked_path(folder)))
    config, meta = read_config(path), read_record(path / "meta.json", RunMetadata)
    target = pick_device(device)
    with torch.random.fork_rng(devices=[]):  # initial weights, soon replaced, must not advance the caller's generator
        try:
            model = config.build(meta.event_shape, meta.columns)
        except UserError as error:
            raise UserError(f"'{path}' is damaged: its config.json and meta.json describe no model ({error})") from None
    if epoch is not None and epoch not in kept_epochs(path):
        raise UserError(f"run '{path}' kept no weights of epoch {epoch}: train it with --set keep_every=N")
    snapshot = snapshot_folder(path / (weights if epoch is None else f"{EPOCHS}/{epoch}"))
    if snapshot is None:
        raise UserError(f"run '{path}' has no {weights} weights yet: go on with it by gpvae train --resume {path}")
    read_record(snapshot / "state.json", TrainingState if weights == "last" and epoch is None else BestState)
    load_weights(model, snapshot)
    run = Run(path, config, model.to(target).eval().requires_grad_(False), meta, target)
    if refiner is not None:
        replace_refiner(model, config, refiner)
        run.refiner = refiner if isinstance(refiner, str) else refiner.kind
    return run


def kept_epochs(folder: Path) -> list[int]:
    """Return the epochs whose weights a run folder holds (train.keep_every), in ascending order."""
    paths = (folder / EPOCHS).iterdir() if (folder / EPOCHS).is_dir() else ()
    numbers = [whole_number(path.name) for path in paths if (path / "state.json").is_file()]
    return sorted(number for number in numbers if number is not None)


def replace_refiner(model: VAE, config: RunConfig, refiner: str | RefinerConfig) -> None:
    """Replace the model's refiner in place by `refiner` ('svi:8', or a config). Raises UserError as `load_run` does."""
    settings = parse_refiner(refiner) if isinstance(refiner, str) else refiner
    module = settings.build(config.net, model.event_shape, model.latent_dim)
    if any(True for _ in module.parameters()):
        raise UserError(
            f"refiner '{settings.kind}' has parameters of its own: train a run with --method {settings.method}"
        )
    module.check(model)
    model.refiner = module.to(next(model.decoder.parameters()).device)
