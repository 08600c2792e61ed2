"""The parameters of a run's kernel, by name and with their units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from gpvae_core.covariances.expression import Term
from gpvae_core.covariances.stationary import StationaryConfig
from gpvae_core.data.auxiliary import Column
from gpvae_core.evaluation.mean import EvaluationPart
from gpvae_core.priors.gp import GPPrior
from gpvae_core.runs import Run


class KernelParameter(EvaluationPart):
    """A positive parameter of a kernel, such as a length scale.

    >>> import gpvae_core as gpvae
    >>> small = {"epochs": 1, "net.kind": "fc", "net.hidden": 8}
    >>> run = gpvae.train("svgp:4", "moving-ball:2", settings=small, progress=gpvae.silent)
    >>> scale = gpvae.evaluate_conditional(run, "validation", k=2).kernel["rbf(time).length_scale"]
    >>> round(scale.value, 6), scale.unit, scale.learned
    (2.0, 'frames', False)
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"unit"})
    value: float
    unit: str | None = None
    """Its unit, where the column has one; None where none is known or there is none."""
    learned: bool


def kernel_parameters(run: Run, prior: GPPrior) -> dict[str, KernelParameter]:
    """Return the parameters of all kernels of the expression by name (`GPPrior.parameters_of_kernel`)."""
    return {
        name: KernelParameter(
            value=float(parameter().detach()),
            unit=length_unit(run.meta.columns, term) if name.endswith(".length_scale") else None,
            learned=parameter.learned,
        )
        for name, (term, parameter) in prior.parameters_of_kernel().items()
    }


def length_unit(columns: Sequence[Column], term: Term) -> str | None:
    """Return the unit of a length scale, that of a column of numbers; a periodic kernel's has none."""
    units = {column.name: column.unit for column in columns}
    return units.get(term.column) or None if isinstance(term.config, StationaryConfig) else None
