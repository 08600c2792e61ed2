"""Kernels written as expressions over named columns, such as `periodic(angle) * linear(object, dim=8) + white()`.

An expression is read by Python's own parser, and nothing of it is executed: sums, products, brackets and calls of
registered kernels are understood, whose first argument is a column and whose others are settings.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gpvae_core.covariances.base import COVARIANCES, CovarianceConfig, CovarianceFunction
from gpvae_core.covariances.combined import ProductOfKernels, SumOfKernels
from gpvae_core.errors import UserError, clipped
from gpvae_core.part import parse_model

EXAMPLE = "periodic(angle) * linear(object)"
LONGEST_EXPRESSION = 1000
"""Most characters of an expression."""


@dataclass(frozen=True)
class Term:
    """One kernel with its column; '' for a kernel without one."""

    column: str
    config: CovarianceConfig

    def terms(self) -> Iterator[Term]:
        """Yield the term itself."""
        yield self

    def everywhere(self) -> frozenset[str] | None:
        """Return the term's column; None for noise, by which nothing is predicted."""
        return frozenset({self.column}) if self.column else None

    def build(self, leaf: Callable[[Term], CovarianceFunction]) -> CovarianceFunction:
        """Return the kernel that `leaf` builds of the term."""
        return leaf(self)


@dataclass(frozen=True)
class Operation:
    """The sum or the product of two expressions."""

    combine: type[SumOfKernels | ProductOfKernels]
    left: Expression
    right: Expression

    def terms(self) -> Iterator[Term]:
        """Yield all terms, from left to right."""
        yield from self.left.terms()
        yield from self.right.terms()

    def everywhere(self) -> frozenset[str] | None:
        """Return the columns on which every summand depends, so that no prediction is made without them."""
        parts = [part for part in (self.left.everywhere(), self.right.everywhere()) if part is not None]
        together = frozenset[str].intersection if self.combine is SumOfKernels else frozenset[str].union
        return together(*parts) if parts else None

    def build(self, leaf: Callable[[Term], CovarianceFunction]) -> CovarianceFunction:
        """Return the kernel, the terms of which `leaf` builds."""
        return self.combine([self.left.build(leaf), self.right.build(leaf)])


Expression = Term | Operation


def parse_kernel(text: str) -> Expression:
    """Return the expression that a text describes.

    Raises:
        UserError: the text is no such expression, or a kernel, a setting or a value is unknown or invalid.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise UserError(f"wanted a kernel of at most {LONGEST_EXPRESSION} characters, got {len(text)}")
    try:
        return _expression(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, UserError):
            raise UserError(f"kernel '{clipped(text)}': {error}") from None
        brackets = f": {error.msg}" if isinstance(error, SyntaxError) and "'" in error.msg else ""  # names the bracket
        raise UserError(f"wanted a kernel such as '{EXAMPLE}', got '{clipped(text)}'{brackets}") from None


_OPERATORS: Mapping[type[ast.operator], type[SumOfKernels | ProductOfKernels]] = {
    ast.Add: SumOfKernels,
    ast.Mult: ProductOfKernels,
}


def _expression(node: ast.expr) -> Expression:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return Operation(_OPERATORS[type(node.op)], _expression(node.left), _expression(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _term(node.func.id, node)
    raise UserError(f"wanted sums and products of kernels, got '{clipped(ast.unparse(node))}'")


def _term(name: str, call: ast.Call) -> Term:
    config = COVARIANCES.get(name)
    columns = [argument.id for argument in call.args if isinstance(argument, ast.Name)]
    wanted = 1 if config.roles else 0
    if len(call.args) != wanted or len(columns) != wanted:
        got = ", ".join(map(ast.unparse, call.args)) or "none"
        raise UserError(f"'{name}' wants {'the name of one column' if wanted else 'no column'}, got {clipped(got)}")
    settings = {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    return Term("".join(columns), parse_model(config, settings))


def _value(node: ast.expr) -> object:
    """Return the number, truth value or word that is the value of a setting."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return ast.literal_eval(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | bool):
        return node.value
    if isinstance(node, ast.Name):
        return {"true": True, "false": False}.get(node.id.lower(), node.id)
    raise UserError(f"wanted a number, true or false, got '{clipped(ast.unparse(node))}'")
