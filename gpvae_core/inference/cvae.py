"""The conditional VAE (Sohn et al. 2015), a rival of GP-prior VAEs that knows the columns (Jazbec et al. 2021, A.2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn

from gpvae_core.bounds import Bound
from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import Dataset
from gpvae_core.densities.base import Posterior
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.errors import UserError, unknown
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.base import INFERENCES, Step, TrainingSetup, cut
from gpvae_core.inference.condition import Condition, ConditionedDecoder, ConditionedEncoder, with_channels
from gpvae_core.inference.conditional import (
    CHUNK,
    ConditionalConfig,
    ConditionalInference,
    EpochTerms,
    GivenImages,
    columns_of,
    mean_over_seen,
    new_categories,
    of_new,
    sample,
)
from gpvae_core.nets.base import NetConfig
from gpvae_core.priors.base import PriorConfig
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit, pixel_mean

MOST_NUMBERS_OF_A_CONDITION = 256
"""Most numbers of a condition, each of which is a channel of every image."""


class Identities(GivenImages):
    """The latents of the identities that images show, and of these images.

    The latent of an identity is the mean of latents z_i ~ q(z_i|y_i, c_i) of the n images that show it, whose
    distribution is N(mean_i mu_i, sum_i sigma_i^2 / n^2). Of an identity without an image it is the prior N(0, I).
    """

    def __init__(
        self, splits: Sequence[DeviceSplit], encode: Callable[[DeviceSplit, Tensor], Posterior], identity: str
    ) -> None:
        self._identity = identity
        self._columns = {name: torch.cat([split.columns[name] for split in splits]) for name in splits[0].columns}
        pieces = [encode(split, index) for split in splits for index in split.seen.split(CHUNK) if len(index)]
        self._q = Marginals(
            torch.cat([q.mean.double() for q in pieces]), torch.cat([q.variance.double() for q in pieces])
        )
        lows = itertools.accumulate([len(split) for split in splits], initial=0)
        self._seen = torch.cat([low + split.seen for low, split in zip(lows, splits, strict=False)])
        """Which of all images those of `_q` are."""

    def at(self, values: Mapping[str, Tensor], progress: Progress) -> Marginals:
        shape = len(next(iter(values.values()))), self._q.mean.shape[1]
        prior = Marginals(self._q.mean.new_zeros(shape), self._q.mean.new_ones(shape))
        if not self._identity:
            return prior
        codes, own = self._columns[self._identity][self._seen], values[self._identity]
        n = torch.bincount(codes, minlength=int(own.max()) + 1)[:, None]
        mean, variance = (
            q.new_zeros(len(n), shape[1]).index_add(0, codes, q) for q in (self._q.mean, self._q.variance)
        )
        known = (n > 0)[own]
        return Marginals(
            torch.where(known, (mean / n)[own], prior.mean), torch.where(known, (variance / n**2)[own], prior.variance)
        )

    def of_images(self, low: int, high: int, progress: Progress) -> Marginals:
        q = self.at({name: column[low:high] for name, column in self._columns.items()}, progress)
        own = (self._seen >= low) & (self._seen < high)
        q.mean[self._seen[own] - low], q.variance[self._seen[own] - low] = self._q.mean[own], self._q.variance[own]
        return q


class ConditionalVAE(ConditionalInference):
    """Trains q(z|y, c) and p(y|z, c) under p(z) = N(0, I), where c are the numbers of the columns.

    An image is predicted at columns of its own from the latent of its identity in the training images (`Identities`).
    Likelihoods are sums and errors means over observed pixels; the encoder sees 0 at a missing pixel, and a missing
    frame takes no part.
    """

    def __init__(self, setup: TrainingSetup) -> None:
        self._setup = setup
        assert isinstance(setup.vae.extra, Condition)
        self._condition, self._identity = setup.vae.extra, setup.vae.extra.identity
        self._sums = EpochTerms()

    def batches(self, generator: torch.Generator, batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
        seen = self._setup.train.seen
        return cut(seen[torch.randperm(len(seen), generator=generator, device=generator.device)], batch_size)

    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        vae, train = self._setup.vae, self._setup.train
        index = train.seen_of(index)
        x, observed, q = train.batch(index), train.observed(index), self._encode(train, index)
        samples = q.rsample_and_log_prob(1, generator)
        g = self.decode(samples[0][0], columns_of(train, index))
        log_likelihood = vae.likelihood.log_prob(x, g, observed)
        kl = q.kl(DiagonalGaussian.standard(x, vae.latent_dim), generator, samples)
        square_error = pixel_mean((x - vae.likelihood.mean(g)).square(), observed)
        self._sums.add(len(x), reconstruction=log_likelihood.sum(), kl=kl.sum(), mse=square_error.sum())
        return Step(Bound((log_likelihood - kl).detach(), (log_likelihood - settings.kl_weight * kl).mean()))

    def _encode(self, split: DeviceSplit, index: Int64[Tensor, " B"]) -> Posterior:
        """Return q(z|y, c) of images of a split."""
        return self._setup.vae.encoder(with_channels(split.batch(index), self._condition(columns_of(split, index))))

    def decode(self, z: Float[Tensor, "*batch B D"], values: Mapping[str, Tensor]) -> Float[Tensor, "*batch B C H W"]:
        condition = self._condition(values).to(z.dtype)
        both = torch.cat([z, condition.expand(*z.shape[:-1], condition.shape[-1])], -1)
        g = self._setup.vae.decoder(both.flatten(0, -2))
        return g.reshape(*z.shape[:-1], *self._setup.vae.event_shape)

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({*(column.name for column in self._condition.columns), self._identity} - {""})

    @property
    def group(self) -> str:
        return ""

    def given(self, split: DeviceSplit) -> str:
        if not self._identity:
            return "no other images"
        new, name = self.rests_on_none(split.columns, [self._setup.train]), self._identity
        if bool(new.all()):
            return f"no other images, as no training image has the same {name}"
        return f"the training images of the same {name}" + ", or of a new one no image" * bool(new.any())

    @property
    def dependent(self) -> str:
        return self._identity

    def rests_on_none(self, values: Mapping[str, Tensor], given: Sequence[DeviceSplit]) -> Bool[Tensor, " N"]:
        return of_new(values, given, self._identity) if self._identity else super().rests_on_none(values, given)

    @torch.no_grad()
    def given_images(self, splits: Sequence[DeviceSplit]) -> Identities:
        return Identities(splits, self._encode, self._identity)

    def latents(self, split: DeviceSplit) -> Marginals:
        return self.given_images([self._setup.train]).at(columns_of(split), silent)

    def figures(self) -> dict[str, float]:
        """Return the terms of the bound per image of the epoch, or of its images since training was resumed."""
        return self._sums.take()

    @torch.no_grad()
    def score(self) -> float:
        """Return the mean of E_q(z) log p(y|z, c) over validation images in nats, from one sample each.

        As the score of GP-prior VAEs, it is a bound of the log predictive density given the training images.
        """
        vae, split = self._setup.vae, self._setup.validation
        vae.eval()
        q, generator = self.latents(split), torch.Generator(split.images.device).manual_seed(self._setup.seed)

        def log_likelihood(index: Int64[Tensor, " B"]) -> Tensor:
            z = sample(Marginals(q.mean[index], q.variance[index]), generator)
            g = self.decode(z.float(), columns_of(split, index))
            return vae.likelihood.log_prob(split.batch(index), g, split.observed(index))

        return mean_over_seen(split, log_likelihood)

    def finish(self, progress: Progress) -> dict[str, float]:
        """Do nothing, as the trained model is complete."""
        return {}


@INFERENCES.register("cvae")
class CvaeConfig(ConditionalConfig):
    """Conditional VAE of Sohn et al. 2015: encoder and decoder know an image's columns, such as its angle."""

    kind: ClassVar[str] = "cvae"
    method: ClassVar[str] = "cvae"
    takes_missing: ClassVar[bool] = True
    condition: str = Field(
        default="",
        description="columns that encoder and decoder know, with commas between them (default: all numbers; without "
        "numbers, all categories but the identity)",
    )
    identity: str = Field(
        default="",
        description="category of which an image's latent is predicted from its training images (default: the one of "
        "most categories)",
    )

    def extra(self, prior: PriorConfig, columns: Sequence[Column], latent_dim: int) -> nn.Module:
        """Return the numbers of the columns that the networks know.

        Raises:
            UserError: the data have no such columns.
        """
        if not columns:
            raise UserError("method 'cvae' wants data with auxiliary columns, such as rotated-mnist, got data without")
        condition = Condition(self._known(columns), self._identity(columns))
        if not 0 < condition.width <= MOST_NUMBERS_OF_A_CONDITION:
            names = ", ".join(column.name for column in columns)
            raise UserError(
                f"wanted columns of 1 to {MOST_NUMBERS_OF_A_CONDITION} numbers in all as the condition of images, got "
                f"{condition.width}: name others of {names} (--set condition=...)"
            )
        return condition

    def remarks(self, prior: PriorConfig, data: Dataset) -> tuple[str, ...]:
        identity = self._identity(data.columns)
        return tuple(new_categories(data, [identity] if identity else []))

    def _known(self, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that the networks know."""
        if self.condition:
            return [_named(name.strip(), columns) for name in self.condition.split(",")]
        numbers = [column for column in columns if column.role == "number"]
        identity = self._identity(columns)
        return numbers or [column for column in columns if column.role == "category" and column.name != identity]

    def _identity(self, columns: Sequence[Column]) -> str:
        """Return the name of the identity's column; '' if there is no category."""
        categories = [column for column in columns if column.role == "category"]
        if self.identity:
            return _named(self.identity, categories).name
        return max(categories, key=lambda column: len(column.names)).name if categories else ""

    def adapt(self, vae: VAE, net: NetConfig, decoder: NetConfig) -> None:
        """Put networks that know the columns in place of those that do not."""
        assert isinstance(vae.extra, Condition)
        shape, width = vae.event_shape, vae.extra.width
        vae.encoder = ConditionedEncoder(net, shape, vae.latent_dim, width)
        vae.decoder = ConditionedDecoder(decoder, shape, vae.latent_dim, width)

    def start(self, vae: VAE, data: Dataset, seed: int) -> None:
        """Standardise numbers by the training images, missing frames left out."""
        assert isinstance(vae.extra, Condition)
        train = DeviceSplit(data.train, vae.extra.mean.device)
        vae.extra.start(columns_of(train, train.seen))

    def begin(self, setup: TrainingSetup, progress: Progress) -> ConditionalVAE:
        return ConditionalVAE(setup)


def _named(name: str, columns: Sequence[Column]) -> Column:
    """Return the column of a name. Raises UserError, with the nearest name, if there is none."""
    by_name = {column.name: column for column in columns}
    if name not in by_name:
        raise unknown("column", name, by_name)
    return by_name[name]
