"""What all views of a run on images given their columns stand on: its latents at any columns, and its decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.data.auxiliary import Auxiliary, Column, first_number
from gpvae_core.data.split import Split
from gpvae_core.evaluation.views import heaviest
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.conditional import LEAST_VARIANCE, ConditionalInference
from gpvae_core.inspection.memo import Memo
from gpvae_core.inspection.prior_lab.views import BehindView, Layout, Rests, ShownImage
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.runs import Run
from gpvae_core.validation import DeviceSplit, pixel_mean

SAMPLES = 16
"""Samples of the latents of which the standard deviation of a pixel is taken."""
AT_ONCE = 512
"""Latents that are decoded together; work can be stopped between two of these."""
SHOWN = 10
"""Training views behind a prediction that are shown."""
MOST_CHANNELS = 4
"""Latent channels that are drawn, those that vary most."""
Values: TypeAlias = Mapping[str, np.ndarray]
"""Values (P,) of columns by their names; codes of categories."""


class ConditionalLab(ABC):
    """The latents at columns and the decoder of one run on images given their columns. Threads may share it.

    Args:
        name: name of the run in the views, by default that of its folder.
    """

    def __init__(self, run: Run, engine: ConditionalInference, name: str = "") -> None:
        self.run, self.engine, self.name, data = run, engine, name or run.name, run.data
        self.splits: dict[str, Split] = {"train": data.train, "validation": data.validation, "test": data.test}
        self.on_device = {name: DeviceSplit(split, run.device) for name, split in self.splits.items()}
        self.results = Memo(64)
        """Views and what they are made of, by a key of their own."""

    def add(self, name: str, images: Split) -> None:
        """Add images of the run's data that are looked at together, such as all frames of some series."""
        self.splits[name], self.on_device[name] = images, DeviceSplit(images, self.run.device)

    # -- the columns ------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """The columns on which predictions depend, without that of series."""

    @property
    @abstractmethod
    def group(self) -> str:
        """Name of the column of series; '' where all instances are of one function."""

    @property
    def number(self) -> Column | None:
        """The number along which instances are looked at, the first one; None if there is none."""
        return first_number(self.columns)

    @property
    def categories(self) -> tuple[Column, ...]:
        """The categories on which predictions depend."""
        return tuple(column for column in self.columns if column.role == "category")

    @property
    def layout(self) -> Layout:
        """How the run's instances are looked at, by the roles of its columns."""
        if any(column.role == "vector" for column in self.columns):
            return ""
        if self.number is not None:
            return "series" if self.group else "turn"
        return "grid" if len(self.categories) == 2 and not self.group else ""

    def auxiliary(self, split: str) -> Auxiliary:
        """Return the auxiliary columns of a split."""
        auxiliary = self.splits[split].auxiliary
        assert auxiliary is not None  # the run was trained on them
        return auxiliary

    def tensors(self, values: Values) -> dict[str, Tensor]:
        """Return values of columns on the run's device."""
        return {name: torch.as_tensor(np.asarray(value), device=self.run.device) for name, value in values.items()}

    # -- the latents ------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def rests(self) -> Rests:
        """What predictions rest on."""

    @property
    @abstractmethod
    def has_process(self) -> bool:
        """Whether latents are those of a process, a function of the columns."""

    @abstractmethod
    def predicted(self, values: Values) -> tuple[Array, Array]:
        """Return means and variances (P, D) of the latents at values of the columns, given all training images."""

    @abstractmethod
    def weights(self, values: Values) -> Tensor | None:
        """Return the weights (D, P, N) of the training images in the means predicted at values of the columns.

        None where no prediction rests on images.
        """

    def behind(self, thing: str, values: Values, nearest: Indices) -> BehindView:
        """Return the training views on which the prediction at one value of the columns rests.

        Args:
            thing: name of what is predicted.
            nearest: the training images shown in their place where no prediction rests on images.
        """
        weights, number, found = self.weights(values), self.number, None
        if weights is None:
            views = [self.shown("train", int(index)) for index in nearest[:SHOWN]]
        else:
            found = heaviest(weights[:, 0], torch.arange(weights.shape[-1], device=weights.device), SHOWN)
            pairs = [(i, share) for i, share in zip(found.index, found.share, strict=True) if share > 0]
            views = [replace(self.shown("train", int(i)), share=float(share)) for i, share in pairs]
        return BehindView(
            run=self.name,
            thing=thing,
            at=None if number is None else float(values[number.name][0]),
            axis="" if number is None else axis_label(number),
            period=None if number is None else number.period,
            views=tuple(views),
            effective=None if found is None else found.effective,
            rests=self.rests,
            given=len(self.splits["train"]),
        )

    def shown(self, split: str, index: int) -> ShownImage:
        """Return an image with its value of the number, if there is one, and the names of its categories."""
        image = self.splits[split].pixels([index])[0].double().numpy()
        auxiliary, number = self.auxiliary(split), self.number
        names = [column.names[int(auxiliary[column.name][index])] for column in self.categories]
        at = None if number is None else float(auxiliary[number.name][index])
        return ShownImage(image, at, split, index, ", ".join(names))

    @abstractmethod
    def image_means(self, split: str, index: Indices) -> Array:
        """Return the posterior means (M, D) of the latents of images of a split."""

    @abstractmethod
    def length_scales(self) -> tuple[tuple[float, bool], ...]:
        """Return the length scales of the kernel's numbers, and whether each was learned; () without a kernel."""

    def latents(self, split: str) -> Marginals:
        """Return the predictive distributions (N, D) of a split's latents, as an evaluation has them."""
        return self.results.get(("latents", split), lambda: self.engine.latents(self.on_device[split]))

    # -- images -----------------------------------------------------------------------------------------------------

    def scored(self, split: str) -> Indices:
        """Return the images of a split on which an evaluation takes errors: those that predictions are not given."""
        return self.engine.scored(self.on_device[split]).cpu().numpy()

    def is_given(self, split: str) -> NDArray[np.bool_]:
        """Return which images of a split that is not trained on predictions are given all the same, as a context."""
        given = self.is_seen(split, np.arange(len(self.splits[split])))
        given[self.scored(split)] = False
        return given

    def errors(self, split: str, index: Indices, decoded: Array) -> Array:
        """Return the mean square error of each image's observed pixels, (B,); NaN for a missing frame."""
        at = torch.as_tensor(np.asarray(index), device=self.run.device)
        observed = self.on_device[split].observed(at)
        square = (self.on_device[split].batch(at).cpu().double() - torch.as_tensor(decoded)).square()
        return pixel_mean(square, None if observed is None else observed.cpu()).numpy()

    def is_seen(self, split: str, index: Indices) -> NDArray[np.bool_]:
        """Return which of these images have an observed pixel, and are no missing frames."""
        observed = self.splits[split].observed
        return np.ones(len(index), np.bool_) if observed is None else np.asarray(observed[index].any((1, 2)))

    @torch.no_grad()
    def decoded(self, z: Array, values: Values) -> Array:
        """Return the mean image (P, C, H, W) of each latent (P, D) at its columns."""
        likelihood, device, columns = self.run.model.likelihood, self.run.device, self.tensors(values)
        latents, images = torch.as_tensor(z, dtype=torch.float32, device=device), []
        for part in torch.arange(len(latents), device=device).split(AT_ONCE):
            g = self.engine.decode(latents[part], {name: value[part] for name, value in columns.items()})
            images.append(likelihood.mean(g).cpu())
        return torch.cat(images).double().numpy()

    def spread(self, mean: Array, variance: Array, values: Values) -> Array:
        """Return the standard deviation (P, H, W) of a pixel over samples of the latents, the same noise each time.

        Of several channels it is the root mean square. The pixels' own noise, as sigma_x, is not in it.
        """
        eps = np.random.default_rng(0).standard_normal((SAMPLES, *mean.shape))
        repeated = {name: np.concatenate([np.asarray(value)] * SAMPLES) for name, value in values.items()}
        drawn = self.decoded((mean + np.sqrt(variance) * eps).reshape(-1, mean.shape[1]), repeated)
        drawn = drawn.reshape(SAMPLES, len(mean), *drawn.shape[1:])
        return np.sqrt(drawn.var(0, ddof=1).mean(1))


def marginals_of(q: Marginals) -> tuple[Array, Array]:
    """Return means and variances (P, D) of the marginals as arrays."""
    return q.mean.cpu().numpy(), q.variance.clamp_min(LEAST_VARIANCE).cpu().numpy()


def axis_label(column: Column) -> str:
    """Return the name of a number with its unit, as the title of an axis."""
    return f"{column.name} ({column.unit})" if column.unit else column.name


def liveliest(mean: Array) -> Indices:
    """Return the latent channels, at most MOST_CHANNELS, whose means (P, D) vary most, in ascending order."""
    return np.sort(np.argsort(-mean.std(0), kind="stable")[:MOST_CHANNELS])
