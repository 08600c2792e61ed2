"""What all views of a run with a GP prior stand on: its process given images, and its decoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary, Column
from gpvae_core.data.split import Split
from gpvae_core.evaluation.process import inference_of
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import LEAST_VARIANCE
from gpvae_core.inference.gp_prior.model import GPModel, LinearPredictor, Predictor
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.prior_lab.views import Layout
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit, pixel_mean

SAMPLES = 16
"""Samples of the latents of which the standard deviation of a pixel is taken."""
AT_ONCE = 512
"""Latents that are decoded together; work can be stopped between two of these."""
MOST_CHANNELS = 4
"""Latent channels that are drawn, those that vary most."""


class PriorLab:
    """The process and the decoder of one run with a GP prior. Threads may share it.

    Args:
        name: name of the run in the views, by default that of its folder.

    Raises:
        UserError: the run has another prior, or its data cannot be loaded.
    """

    def __init__(self, run: Run, name: str = "") -> None:
        self.engine = inference_of(run, run.config.seed)
        self.run, self.name, data = run, name or run.name, run.data
        self.splits: Mapping[str, Split] = {"train": data.train, "validation": data.validation, "test": data.test}
        self._on_device = {name: DeviceSplit(split, run.device) for name, split in self.splits.items()}
        assert isinstance(run.model.extra, GPModel)
        self.prior = run.model.extra.prior
        self.results = Memo(64)
        """Views and what they are made of, by a key of their own."""

    # -- the columns ------------------------------------------------------------------------------------------------

    @property
    def kernel_columns(self) -> tuple[Column, ...]:
        """The columns of which the prior's kernel is a function."""
        known = {column.name: column for column in self.run.meta.columns}
        return tuple(known[name] for name in self.prior.inputs.features)

    @property
    def number(self) -> Column | None:
        """The number along which instances are looked at, the first of the kernel; None if it has none."""
        return next((column for column in self.kernel_columns if column.role == "number"), None)

    @property
    def categories(self) -> tuple[Column, ...]:
        """The categories that the kernel takes."""
        return tuple(column for column in self.kernel_columns if column.role == "category")

    @property
    def group(self) -> str:
        """Name of the column of series; '' where all instances are of one function."""
        return self.prior.group

    @property
    def layout(self) -> Layout:
        """How the run's instances are looked at, by the roles of its columns."""
        if any(column.role == "vector" for column in self.kernel_columns):
            return ""
        if self.number is not None:
            return "series" if self.group else "turn"
        return "grid" if len(self.categories) == 2 and not self.group else ""

    def auxiliary(self, split: str) -> Auxiliary:
        """Return the auxiliary columns of a split."""
        auxiliary = self.splits[split].auxiliary
        assert auxiliary is not None  # the prior was built on them
        return auxiliary

    # -- the process and the decoder --------------------------------------------------------------------------------

    def given(self, split: str, index: Indices) -> Predictor:
        """Return the process given images of a split, all of one series where there are series."""
        at = torch.as_tensor(np.asarray(index), device=self.run.device)
        return self.engine.predictor(self._on_device[split], at)

    def given_training(self) -> Predictor:
        """Return the process given all training images."""
        return self.results.get("given training", self.engine.predictor)

    def at(self, values: Mapping[str, np.ndarray]) -> Tensor:
        """Return the kernel's inputs at values of the columns."""
        device = self.run.device
        return self.prior.at({name: torch.as_tensor(np.asarray(v), device=device) for name, v in values.items()})

    @torch.no_grad()
    def predicted(self, given: Predictor, values: Mapping[str, np.ndarray]) -> tuple[Array, Array]:
        """Return means and variances (P, D) of the latents at values of the columns."""
        q = given.predict(self.at(values))
        return q.mean.mT.cpu().numpy(), q.variance.clamp_min(LEAST_VARIANCE).mT.cpu().numpy()

    def weights(self, given: Predictor, values: Mapping[str, np.ndarray]) -> Tensor | None:
        """Return the weights (D, P, N) of the images given in the predicted means at values of the columns.

        None where the family's posterior has parameters of its own, so that no prediction rests on images.
        """
        return given.weights(self.at(values)) if isinstance(given, LinearPredictor) else None

    def latents(self, split: str) -> Marginals:
        """Return the posteriors (N, D) of a split's latents, as an evaluation has them."""
        return self.results.get(("latents", split), lambda: self.engine.latents(self._on_device[split]))

    def errors(self, split: str, index: Indices, decoded: Array) -> Array:
        """Return the mean square error of each image's observed pixels, (B,); NaN for a missing frame."""
        at = torch.as_tensor(np.asarray(index), device=self.run.device)
        observed = self._on_device[split].observed(at)
        square = (self._on_device[split].batch(at).cpu().double() - torch.as_tensor(decoded)).square()
        return pixel_mean(square, None if observed is None else observed.cpu()).numpy()

    def is_seen(self, split: str, index: Indices) -> NDArray[np.bool_]:
        """Return which of these images have an observed pixel, and are no missing frames."""
        observed = self.splits[split].observed
        return np.ones(len(index), np.bool_) if observed is None else np.asarray(observed[index].any((1, 2)))

    @torch.no_grad()
    def decoded(self, z: Array) -> Array:
        """Return the mean image (P, C, H, W) of each latent (P, D)."""
        model, device = self.run.model, self.run.device
        parts = torch.as_tensor(z, dtype=torch.float32, device=device).split(AT_ONCE)
        return torch.cat([model.likelihood.mean(model.decode(part)).cpu() for part in parts]).double().numpy()

    def spread(self, mean: Array, variance: Array) -> Array:
        """Return the standard deviation (P, H, W) of a pixel over samples of the latents, the same noise each time.

        Of several channels it is the root mean square. The pixels' own noise, as sigma_x, is not in it.
        """
        eps = np.random.default_rng(0).standard_normal((SAMPLES, *mean.shape))
        drawn = self.decoded((mean + np.sqrt(variance) * eps).reshape(-1, mean.shape[1]))
        drawn = drawn.reshape(SAMPLES, len(mean), *drawn.shape[1:])
        return np.sqrt(drawn.var(0, ddof=1).mean(1))


def axis_label(column: Column) -> str:
    """Return the name of a number with its unit, as the title of an axis."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def liveliest(mean: Array) -> Indices:
    """Return the latent channels, at most MOST_CHANNELS, whose means (P, D) vary most, in ascending order."""
    return np.sort(np.argsort(-mean.std(0), kind="stable")[:MOST_CHANNELS])
