"""A Gaussian process over instances as the prior of their latents (Jazbec et al. 2021, sec. 3.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn

from gpvae_core.covariances.expression import EXAMPLE, Term, parse_kernel
from gpvae_core.covariances.inputs import DIM, KernelInputs
from gpvae_core.covariances.parameters import Positive
from gpvae_core.data.auxiliary import Column, first_number
from gpvae_core.errors import UserError, unknown
from gpvae_core.priors.base import PRIORS, PriorConfig


class GPPrior(nn.Module):
    """z^l ~ GP(0, k) for each latent channel l, with one kernel k of the instances' auxiliary columns.

    Instances of two groups are independent: each group, such as a video, has functions of its own.
    """

    def __init__(self, config: GPPriorConfig, columns: Sequence[Column], represented: str = "") -> None:
        super().__init__()
        self.config = config
        expression = parse_kernel(config.kernel)
        self.inputs = KernelInputs(expression, columns, represented)
        self.kernel = expression.build(self.inputs.build)
        self.group = _group(config.group, columns)
        everywhere = expression.everywhere() or frozenset()
        self.essential = tuple(name for name in self.inputs.tables if name in everywhere)
        """The categories with a vector without which nothing is predicted, as every summand of the kernel takes it."""
        self._terms = tuple(expression.terms())

    def at(self, values: Mapping[str, Tensor], vectors: Float[Tensor, "N E"] | None = None) -> Float[Tensor, "N F"]:
        """Return the kernel's inputs of N instances with these columns, and these vectors of a represented category."""
        return self.inputs(values, vectors)

    def parameters_of_kernel(self) -> dict[str, tuple[Term, Positive]]:
        """Return the parameters of the kernels of the expression by name, such as 'rbf(time).length_scale'.

        Each has its term of the expression with it. A kernel that stands twice in the expression has its number behind
        its name, as in 'rbf(time) 2.length_scale'.
        """
        found: dict[str, tuple[Term, Positive]] = {}
        seen: Counter[str] = Counter()
        for term, kernel in zip(self._terms, self.kernel.parts_of_it(), strict=True):
            name = f"{term.config.kind}({term.column})"
            seen[name] += 1
            label = name if seen[name] == 1 else f"{name} {seen[name]}"
            parts = ((parameter, part) for parameter, part in kernel.named_children() if isinstance(part, Positive))
            found |= {f"{label}.{parameter}": (term, part) for parameter, part in parts}
        return found

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """Return the learned parameters of the kernel by name, for the metrics of an epoch."""
        return {name: float(part()) for name, (_, part) in self.parameters_of_kernel().items() if part.learned}


def _example(columns: Sequence[Column]) -> str:
    """Return a kernel over the first number and the first category of these columns, where there are such."""
    number = first_number(columns)
    category = next((column for column in columns if column.role == "category"), None)
    by_number = [] if number is None else [f"{'rbf' if number.period is None else 'periodic'}({number.name})"]
    return " * ".join([*by_number, *([] if category is None else [_linear(category)])]) or EXAMPLE


def _linear(category: Column) -> str:
    """Return a linear kernel of a category, whose vectors have at most as many numbers as there are categories."""
    dim = f", dim={len(category.names)}" if len(category.names) < DIM else ""
    return f"linear({category.name}{dim})"


def _group(name: str, columns: Sequence[Column]) -> str:
    """Return the name of the column of groups. Raises UserError if it is no category of the data."""
    categories = {column.name for column in columns if column.role == "category"}
    if name and name not in categories:
        raise unknown("category", name, categories)
    return name


@PRIORS.register("gp")
class GPPriorConfig(PriorConfig):
    """Gaussian process over instances, by a kernel of their auxiliary columns (Jazbec et al. 2021)."""

    kind: ClassVar[str] = "gp"
    over_instances: ClassVar[bool] = True
    kernel: str = Field(
        default="", description=f"kernel over the data's columns, such as {EXAMPLE} (default: the data set's own)"
    )
    group: str = Field(
        default="",
        description="column of a category, such as a video: instances of different groups are independent "
        "(default: the data set's own; '' for one function of all instances)",
    )
    jitter: float = Field(
        default=1e-6, gt=0, le=1e-2, description="part of its mean that is added to a kernel matrix's diagonal"
    )

    @field_validator("kernel")
    @classmethod
    def _is_a_kernel(cls, kernel: str) -> str:
        if kernel:
            parse_kernel(kernel)
        return kernel

    def wrap(self, decoder: nn.Module, latent_dim: int) -> nn.Module:
        """Return the decoder itself, as the latents are decoded one by one."""
        return decoder

    def process(self, columns: Sequence[Column], represented: str = "") -> GPPrior:
        """Return the process over instances with these columns.

        Args:
            represented: category whose vectors are found from its images; '' for none.

        Raises:
            UserError: there is no kernel, or it does not fit the columns.
        """
        if not self.kernel:
            known = ", ".join(f"{column.name} ({column.role})" for column in columns)
            raise UserError(
                f"wanted a kernel over the data's columns, which are {known}, got none: such as --set "
                f"prior.kernel='{_example(columns)}'"
            )
        return GPPrior(self, columns, represented)
