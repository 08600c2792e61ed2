"""The interface of inference in models of images given auxiliary columns, which predict images at other columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpvae_core.data.base import Dataset
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.base import Inference, InferenceConfig
from gpvae_core.progress import Progress
from gpvae_core.validation import DeviceSplit

CHUNK = 1000
"""Images that are encoded or decoded at once where no gradient is needed."""
LEAST_VARIANCE = 1e-12
"""Lower bound of a latent's posterior variance, whose square root is taken."""
Published: TypeAlias = Literal["sample", "mean"]
"""What of the latents' distributions a published error decodes."""


def columns_of(split: DeviceSplit, index: Tensor | None = None) -> Mapping[str, Tensor]:
    """Return the auxiliary columns of all instances, or of those at `index`."""
    return {name: values if index is None else values[index] for name, values in split.columns.items()}


class GivenImages(ABC):
    """Images of a number of splits, from which latents are inferred: their own, and those at any columns."""

    @abstractmethod
    def at(self, values: Mapping[str, Tensor], progress: Progress) -> Marginals:
        """Return the distributions (N, D) of latents at rows of these columns."""

    @abstractmethod
    def of_images(self, low: int, high: int, progress: Progress) -> Marginals:
        """Return those (N, D) of the images from number `low` to before `high` of all, what is seen of them included.

        A missing frame has the latent at its columns.
        """


class ConditionalInference(Inference, ABC):
    """Inference that predicts the images of a split at their columns, given others."""

    @property
    @abstractmethod
    def columns(self) -> frozenset[str]:
        """Names of the columns on which predictions depend."""

    @property
    @abstractmethod
    def group(self) -> str:
        """Column of groups whose images are predicted from those of the same group; '' if there are no groups."""

    @property
    def dependent(self) -> str:
        """Column whose images depend on one another, as standard errors take account of; '' if there is none."""
        return self.group

    @abstractmethod
    def given(self, split: DeviceSplit) -> str:
        """Return in words the images that the predictions of a split are given."""

    def are_new(self, split: DeviceSplit) -> Bool[Tensor, " N"]:
        """Return which images are of a group without a training image, and so are predicted from their own group."""
        return torch.zeros(len(split), dtype=torch.bool, device=split.images.device)

    def rests_on_none(self, values: Mapping[str, Tensor], given: Sequence[DeviceSplit]) -> Bool[Tensor, " N"]:
        """Return at which of these columns a prediction that is given these splits rests on no image.

        They are those of a category of which nothing was learned, for want of a training image, or of which no image
        is given.
        """
        first = next(iter(values.values()))
        return torch.zeros(len(first), dtype=torch.bool, device=first.device)

    def ready(self, *splits: DeviceSplit) -> None:
        """Find what predictions at the columns of these splits take beside the training images; by default nothing."""
        return

    def scored(self, split: DeviceSplit) -> Int64[Tensor, " S"]:
        """Return the indices of a split's images whose predictions are scored: by default all with an observed pixel.

        Override where some of them are what predictions are given.
        """
        return split.seen

    @abstractmethod
    def latents(self, split: DeviceSplit) -> Marginals:
        """Return the predictive distributions (N, D) of the latents of a split that is not the training images."""

    def published(self, split: DeviceSplit) -> tuple[Marginals, Published]:
        """Return the distributions (N, D) from which Jazbec et al. 2021 decode, and what of them, in their public code.

        With GPPVAE it is a sample of the process, without the noise alpha that the model's latents have.
        """
        return self.latents(split), "sample"

    @abstractmethod
    def given_images(self, splits: Sequence[DeviceSplit]) -> GivenImages:
        """Return the images of these splits, encoded, as those from which latents are inferred."""

    @abstractmethod
    def decode(self, z: Float[Tensor, "*batch B D"], values: Mapping[str, Tensor]) -> Float[Tensor, "*batch B C H W"]:
        """Return the decoder's output for latents of any leading shape, of B instances with these columns."""


class ConditionalConfig(InferenceConfig, ABC):
    """Settings of inference in such a model, with a plain encoder and the evidence lower bound."""

    only: ClassVar[Mapping[str, Any]] = {
        "prior": "normal",
        "encoder": "gaussian",
        "refiner": "none",
        "objective": "elbo",
        "objective.gradient": "standard",
        "regulariser": "none",
        "freeze_decoder": False,
        "train.samples": 1,
    }
    conditional: ClassVar[bool] = True

    @property
    def score_name(self) -> str:
        return "held-out log predictive bound"

    @property
    def finishes(self) -> bool:
        return False

    def settings_for(self, latent_dim: int) -> Mapping[str, Any]:
        return {}


def of_new(values: Mapping[str, Tensor], known: Sequence[DeviceSplit], name: str) -> Bool[Tensor, " N"]:
    """Return which of these values of a column no image of the known splits has that has an observed pixel."""
    return ~torch.isin(values[name], torch.cat([split.columns[name][split.seen] for split in known]))


def new_categories(data: Dataset, names: Sequence[str]) -> list[str]:
    """Return a line on each column of which validation or test images have categories without a training image."""
    cpu, lines = torch.device("cpu"), []
    train, others = DeviceSplit(data.train, cpu), {"validation": data.validation, "test": data.test}
    for name in names:
        counts = {
            part: int(of_new(DeviceSplit(split, cpu).columns, [train], name).sum()) for part, split in others.items()
        }
        found = [f"{count} of {len(others[part])} {part} images" for part, count in counts.items() if count]
        if found:
            lines.append(
                f"{' and '.join(found)} have a '{name}' without a training image: nothing is learned of it, and what "
                "is predicted of them rests on no image"
            )
    return lines


def sample(q: Marginals, generator: torch.Generator) -> Float[Tensor, "B D"]:
    """Return a sample of each latent."""
    eps = torch.randn(q.mean.shape, generator=generator, device=q.mean.device, dtype=q.mean.dtype)
    return q.mean + q.variance.clamp_min(LEAST_VARIANCE).sqrt() * eps


def mean_over_seen(split: DeviceSplit, log_likelihood: Callable[[Int64[Tensor, " B"]], Tensor]) -> float:
    """Return the mean over a split's images, but missing frames, of what is given for those at an index (B,)."""
    total = sum(float(log_likelihood(index).double().sum()) for index in split.seen.split(CHUNK))
    return total / len(split.seen)


class EpochTerms:
    """The terms of an epoch's bound: sums over the images since its start, or since training was resumed."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._images = 0

    def add(self, images: int, **terms: Tensor) -> None:
        """Add sums over a number of images; they stay on the device until the epoch ends."""
        self._images += images
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()

    def take(self) -> dict[str, float]:
        """Return the means per image, and begin again."""
        means = {name: float(total) / self._images for name, total in self._sums.items()}
        self._sums, self._images = {}, 0
        return means
