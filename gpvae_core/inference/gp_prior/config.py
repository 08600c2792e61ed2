"""Settings that the GP-prior methods have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import nn

from gpvae_core.covariances.expression import parse_kernel
from gpvae_core.covariances.stationary import StationaryConfig
from gpvae_core.data.auxiliary import Column
from gpvae_core.data.base import Dataset
from gpvae_core.errors import UserError, clipped
from gpvae_core.inference.base import TrainingSetup
from gpvae_core.inference.conditional import ConditionalConfig, columns_of, new_categories
from gpvae_core.inference.gp_prior.constraint import Constraint, FixedBeta, Geco
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.inference.gp_prior.inducing_starts import PointsStart
from gpvae_core.inference.gp_prior.model import Family, GPModel
from gpvae_core.inference.gp_prior.represented import find_vectors
from gpvae_core.inference.gp_prior.sparse import Inducing
from gpvae_core.inference.gp_prior.vectors import start_vectors
from gpvae_core.part import MOST
from gpvae_core.priors.base import PriorConfig
from gpvae_core.priors.gp import GPPriorConfig
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


class GPPriorInferenceConfig(ConditionalConfig, ABC):
    """Settings of inference under a GP prior over instances."""

    only: ClassVar[Mapping[str, Any]] = {**ConditionalConfig.only, "prior": "gp", "train.kl_weight": 1.0}
    wants: ClassVar[dict[str, Any]] = {"prior.kind": "gp"}
    takes_missing: ClassVar[bool] = True
    takes_groups: ClassVar[bool] = True
    """Whether instances of different groups can be independent."""
    needs_whole_groups: ClassVar[bool]
    """Whether a group must not be divided into batches."""
    unused: ClassVar[tuple[str, ...]] = ()
    """Settings that have no effect on the method."""
    balance: Literal["elbo", "geco"] = Field(
        default="elbo",
        description="balance of reconstruction and KL: elbo, with the KL times beta, or geco, which minimises the KL "
        "subject to a mean square error of at most `tolerance`",
    )
    beta: float = Field(default=1.0, ge=0, le=MOST, description="factor of the KL term (balance=elbo)")
    tolerance: float = Field(
        default=0.02, gt=0, le=MOST, description="mean square error of a pixel, kappa^2, that GECO allows"
    )
    momentum: float = Field(default=0.99, ge=0, lt=1, description="momentum of GECO's moving average")
    vectors: str = Field(
        default="pca",
        description="start of the vectors of categories: pca (of the mean image of each category, or a vector column "
        "of that name), random (standard deviation 1.5, as in Table C.1), or another vector column",
    )
    learn_vectors: bool = Field(
        default=True, description="whether the vectors of categories are learned (GP-LVM), or stay at their start"
    )
    least_variance: float = Field(
        default=1e-3, gt=0, le=MOST, description="least variance of the encoder's pseudo-observations"
    )
    largest_variance: float = Field(
        default=10.0, gt=0, le=MOST, description="largest variance of the encoder's pseudo-observations"
    )

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> GPPriorInferenceConfig:
        if self.least_variance > self.largest_variance:
            raise ValueError("wanted least_variance of at most largest_variance")
        without = {"elbo": ("tolerance", "momentum"), "geco": ("beta",)}[self.balance]
        for name in (*without, *self.unused):
            if getattr(self, name) != type(self).model_fields[name].default:
                why = f"with balance={self.balance}" if name in without else f"for method '{self.method}'"
                raise ValueError(f"{name} has no effect {why}: leave it out")
        return self

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave learn_vectors out at its default, so that JSON and keys of sweeps stay from version to version."""
        return {key: value for key, value in dump(self).items() if (key, value) != ("learn_vectors", True)}

    @property
    def represented(self) -> str:
        """The category whose vectors are found from its images; '' for none. Override where a method takes one."""
        return ""

    @abstractmethod
    def family(self, width: int, latent_dim: int) -> Family:
        """Return the family of approximations, for inputs of this width."""

    def extra(self, prior: PriorConfig, columns: Sequence[Column], latent_dim: int) -> nn.Module:
        """Return the process, its approximation and the constraint.

        Raises:
            UserError: the prior's kernel does not fit the columns.
        """
        if not isinstance(prior, GPPriorConfig):
            raise UserError(f"method '{self.method}' wants a GP prior (--set prior.kind=gp), got '{prior.kind}'")
        if not columns:
            raise UserError(
                f"method '{self.method}' wants data with auxiliary columns, such as moving-ball or rotated-mnist, got "
                "data without"
            )
        process = prior.process(columns, self.represented)
        for name in () if process.inputs.tables else ("learn_vectors", "vectors"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise UserError(f"{name} has no effect: the kernel takes no vector of a category that is learned")
        process.inputs.tables.requires_grad_(self.learn_vectors)
        family = self.family(process.inputs.width, latent_dim)
        family.check(process)
        return GPModel(process, family, self._constraint())

    def remarks(self, prior: PriorConfig, data: Dataset) -> tuple[str, ...]:
        assert isinstance(prior, GPPriorConfig)
        categories = prior.process(data.columns, self.represented).essential
        return (*_shared_function(prior, data.columns, self.takes_groups), *new_categories(data, categories))

    def _constraint(self) -> Constraint:
        if self.balance == "geco":
            return Geco(self.tolerance, self.momentum)
        return FixedBeta(self.beta)

    @torch.no_grad()
    def start(self, vae: VAE, data: Dataset, seed: int) -> None:
        """Set vectors of categories and inducing points to their start at the training images."""
        model = vae.extra
        assert isinstance(model, GPModel)
        _refuse_doubtful(model.prior.config.kernel, data)
        start_vectors(model.prior.inputs, data.train, self.vectors, seed)
        train = DeviceSplit(data.train, next(model.parameters()).device)
        find_vectors(model, train)
        model.family.start(model.prior, model.prior.at(columns_of(train, train.seen)), seed)

    def begin(self, setup: TrainingSetup, progress: Progress) -> GPPriorInference:
        return GPPriorInference(setup, self.least_variance, self.largest_variance, self.needs_whole_groups)


def _shared_function(prior: GPPriorConfig, columns: Sequence[Column], takes_groups: bool) -> list[str]:
    """Return the line that images share a function of numbers which a category may tell apart; none where none can."""
    used = {term.column for term in parse_kernel(prior.kernel).terms()}
    others = [column.name for column in columns if column.role == "category"]
    numbers = [column.name for column in columns if column.role == "number" and column.name in used]
    if prior.group or not numbers or used - {"", *numbers} or not others:
        return []
    kernel = f"({prior.kernel})" if "+" in prior.kernel else prior.kernel
    setting = f"prior.group={others[0]}" if takes_groups else f"prior.kernel='{kernel} * same({others[0]})'"
    return [
        f"the kernel is of {' and '.join(numbers)} alone: images at the same {numbers[0]} have one latent, whatever "
        f"their {' or '.join(others)}; --set {setting} gives each {others[0]} functions of its own"
    ]


def _refuse_doubtful(kernel: str, data: Dataset) -> None:
    """Raise UserError if a kernel of distances takes whole numbers or dates that were guessed to be categories."""
    for term in parse_kernel(kernel).terms():
        if term.column in data.doubtful and isinstance(term.config, StationaryConfig):
            name, values = term.column, next(c.names for c in data.columns if c.name == term.column)
            raise UserError(
                f"column '{name}' has {len(values)} different values such as '{clipped(values[0])}', which were taken "
                f"for categories, of each of which '{clipped(kernel)}' would learn a vector: wanted numbers, and "
                f"'{name}:number' in the table's header, or '{name}:category' if that is meant"
            )


class WholeGroupsConfig(GPPriorInferenceConfig, ABC):
    """Settings of a method whose batches are whole groups."""

    needs_whole_groups: ClassVar[bool] = True


class InducingConfig(GPPriorInferenceConfig, ABC):
    """Settings of a method with inducing points."""

    needs_whole_groups: ClassVar[bool] = True
    points: int = Field(default=32, ge=1, le=2000, description="number of inducing points, m")
    learn_points: bool = Field(default=True, description="whether the inducing points are learned")
    points_start: PointsStart = Field(
        default="spread",
        description="start of the inducing points: spread (inputs of training instances far from each other), draws "
        "(of a density estimate of the categories' vectors, at each number: Algorithm 1), random (normal vectors of "
        "standard deviation 1.5, at each number: Table C.1), or low, middle or high (all in a tenth of the inputs' "
        "range: Fig. 4)",
    )
    count: ClassVar[str] = "points"
    counts: ClassVar[tuple[int, ...]] = ()

    def inducing(self, width: int) -> Inducing:
        """Return the inducing points, for inputs of this width."""
        return Inducing(self.points, width, self.learn_points, self.points_start)
