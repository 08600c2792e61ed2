"""The parameters of a run's kernel, by name and with their units."""

from __future__ import annotations

from typing import ClassVar

from gpvae_core.covariances.base import CovarianceFunction
from gpvae_core.covariances.combined import ProductOfKernels, SumOfKernels
from gpvae_core.covariances.expression import Term, parse_kernel
from gpvae_core.covariances.parameters import Positive
from gpvae_core.covariances.stationary import StationaryConfig
from gpvae_core.evaluation.mean import EvaluationPart
from gpvae_core.priors.gp import GPPrior
from gpvae_core.runs import Run


class KernelParameter(EvaluationPart):
    """A positive parameter of a kernel, such as a length scale."""

    omitted: ClassVar[frozenset[str]] = frozenset({"unit"})
    value: float
    unit: str | None = None
    """Its unit, where the column has one; None where none is known or there is none."""
    learned: bool


def kernel_parameters(run: Run, prior: GPPrior) -> dict[str, KernelParameter]:
    """Return the parameters of all kernels of the expression by name, such as 'rbf(time).length_scale'.

    A kernel that stands twice in the expression has its number behind its name, as in 'rbf(time) 2.length_scale'.
    """
    terms = list(parse_kernel(prior.config.kernel).terms())
    # Sums and products have their parts in the order of the expression's terms.
    combined = SumOfKernels | ProductOfKernels
    kernels = [m for m in prior.kernel.modules() if isinstance(m, CovarianceFunction) and not isinstance(m, combined)]
    out: dict[str, KernelParameter] = {}
    seen: dict[str, int] = {}
    for term, kernel in zip(terms, kernels, strict=True):
        name = f"{term.config.kind}({term.column})"
        seen[name] = seen.get(name, 0) + 1
        label = name if seen[name] == 1 else f"{name} {seen[name]}"
        for parameter, module in kernel.named_children():
            if isinstance(module, Positive):
                unit = _unit(run, term) if parameter == "length_scale" else None
                value = float(module().detach())
                out[f"{label}.{parameter}"] = KernelParameter(value=value, unit=unit, learned=term.config.learn)
    return out


def _unit(run: Run, term: Term) -> str | None:
    """Return the unit of a length scale, that of a column of numbers; a periodic kernel's has none."""
    units = {column.name: column.unit for column in run.meta.columns}
    return units.get(term.column) or None if isinstance(term.config, StationaryConfig) else None
