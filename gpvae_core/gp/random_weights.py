"""The random last layer of a linear deep kernel, q(W) = prod_j N(w_j; mu_j, Sigma_j) (Kim & Pavlovic 2021, eq. 9, 11).

A function f_j(x) = w_j' psi(x) with w_j ~ N(0, I) is a GP with kernel psi(x)' psi(x'). Sigma_j = L_j L_j' with L_j
lower triangular and its diagonal positive.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpvae_core.errors import UserError

BLOCKS, TRAINING_BLOCKS = 8, 4
"""Number of column blocks of L, without and with gradients, where each block costs more.

As block j needs only rows from j on, 8 blocks take 56 % of the dense work, and 4 blocks 62 %.
"""


def pack(below: Float[Tensor, "D P P"], log_diagonal: Float[Tensor, "D P"], count: int) -> list[Tensor]:
    """Return `count` column blocks of all L_j without their zero rows, each as one (rows, D * columns) matrix."""
    p = below.shape[1]
    step = max(1, math.ceil(p / count))
    blocks, diagonal = [], log_diagonal.exp()
    for start in range(0, p, step):
        # L is lower triangular: these columns are zero above row `start`. (D, rows, columns) -> (rows, D, columns), so
        # that one product of psi with the block serves all D.
        block = below[:, start:, start : start + step].permute(1, 0, 2).contiguous()
        block.diagonal(dim1=0, dim2=2).copy_(diagonal[:, start : start + step])
        blocks.append(block.view(p - start, -1))
    return blocks


def _columns(blocks: list[Tensor], psi: Float[Tensor, "B P"]) -> list[Tensor]:
    """Return psi' L_j, block by block, each (B, D * columns)."""
    return [psi[:, psi.shape[1] - block.shape[0] :] @ block for block in blocks]


def _sum_of_squares(columns: list[Tensor], d: int) -> Float[Tensor, "B D"]:
    """Return |psi' L_j|^2 = psi' L_j L_j' psi from the blocks of psi' L_j."""
    total = columns[0].new_zeros(columns[0].shape[0], d)
    for part in columns:
        part = part.view(part.shape[0], d, -1)
        total += torch.linalg.vecdot(part, part)
    return total


class _VarianceForm(torch.autograd.Function):
    """psi' L_j L_j' psi with gradients computed block by block.

    Autograd would allocate and add a gradient of the size of L for every block.
    """

    @staticmethod
    def forward(ctx: Any, below: Tensor, log_diagonal: Tensor, psi: Tensor) -> Tensor:
        blocks = pack(below, log_diagonal, TRAINING_BLOCKS)
        columns = _columns(blocks, psi)
        ctx.save_for_backward(log_diagonal, psi, *blocks, *columns)
        return _sum_of_squares(columns, below.shape[0])

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_diagonal, psi, *rest = ctx.saved_tensors
        blocks, columns = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        d, p = log_diagonal.shape
        grad_below, grad_psi = psi.new_zeros(d, p, p), torch.zeros_like(psi)
        grad_diagonal = torch.empty_like(log_diagonal)
        twice = (2 * grad[0]).unsqueeze(-1)
        for block, part in zip(blocks, columns, strict=True):
            start, step = p - block.shape[0], block.shape[1] // d
            # v = |L'psi|^2, so dv/d(L'psi) = 2 L'psi, dv/dpsi = L (2 L'psi), dv/dL = psi (2 L'psi)'
            grad_columns = (twice * part.view(len(psi), d, step)).view(len(psi), -1)
            grad_psi[:, start:].addmm_(grad_columns, block.T)
            grad_block = (psi[:, start:].T @ grad_columns).view(p - start, d, step).permute(1, 0, 2)
            grad_diagonal[:, start : start + step] = grad_block.diagonal(dim1=1, dim2=2)
            grad_below[:, start:, start : start + step] = grad_block
            grad_below[:, start : start + step, start : start + step].tril_(-1)
        # L_ii = exp(log_diagonal_i)
        return grad_below, grad_diagonal * log_diagonal.exp(), grad_psi


class _SumOfSquares(torch.autograd.Function):
    """The sum of the squares of all elements; the gradient takes one pass, in autograd of a norm three."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        return torch.dot(a.flatten(), a.flatten())

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return (2 * grad[0]) * a


class RandomWeights(nn.Module):
    """Density q(W) of d rows of p weights, with full covariances parametrised by their Cholesky factors.

    `below` contains L_j below the diagonal. On and above the diagonal it is initially zero and its gradient is exactly
    zero, so that it stays zero.
    """

    def __init__(self, latent_dim: int, feature_dim: int, start_scale: float) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.zeros(latent_dim, feature_dim))
        self.log_diagonal = nn.Parameter(torch.full((latent_dim, feature_dim), math.log(start_scale)))
        self.below = nn.Parameter(torch.zeros(latent_dim, feature_dim, feature_dim))

    @torch.no_grad()
    def zero_(self) -> None:
        """Make q(W) a point mass at 0: the encoder equals its base (text below eq. 13), and the KL is infinite."""
        self.mu.zero_()
        self.below.zero_()
        self.log_diagonal.fill_(-math.inf)

    @torch.no_grad()
    def set_cholesky(self, L: Float[Tensor, "D P P"]) -> None:
        """Set the factors L_j.

        Raises:
            UserError: a factor is not lower triangular with a positive diagonal.
        """
        diagonal = L.diagonal(dim1=-2, dim2=-1)
        if bool((L.triu(1) != 0).any()) or bool((diagonal <= 0).any()):
            raise UserError("wanted lower triangular factors with a positive diagonal")
        self.below.copy_(L.tril(-1))
        self.log_diagonal.copy_(diagonal.log())

    def cholesky(self) -> Float[Tensor, "D P P"]:
        """Return L_j: `below` below the diagonal, exp(log_diagonal) on it."""
        return self.below + torch.diag_embed(self.log_diagonal.exp())

    def mean(self, psi: Float[Tensor, "B P"]) -> Float[Tensor, "B D"]:
        """Return the mean mu_j' psi(x) of f_j(x)."""
        return psi @ self.mu.T

    def variance(self, psi: Float[Tensor, "B P"]) -> Float[Tensor, "B D"]:
        """Return the variance psi(x)' Sigma_j psi(x) of f_j(x); as a sum of squares it is never negative."""
        return _VarianceForm.apply(self.below, self.log_diagonal, psi)  # pyright: ignore[reportReturnType]

    def kl(self) -> Float[Tensor, ""]:
        """Return KL(q(W) || N(0, I)) in nats, the last term of eq. 15 for one of W, U."""
        # 2 KL = sum_j tr Sigma_j + |mu_j|^2 - p - log |Sigma_j|; tr L L' = sum of L_ik^2, log |L L'| = 2 sum log L_ii
        squares: Tensor = _SumOfSquares.apply(self.below)  # pyright: ignore[reportAssignmentType]
        trace = squares + (2 * self.log_diagonal).exp().sum()
        return 0.5 * (trace + self.mu.square().sum() - self.mu.numel() - 2 * self.log_diagonal.sum())


class Variances:
    """Computes psi' Sigma_j psi of several q(W) without gradients, by one batched product for each column block."""

    def __init__(self, *weights: RandomWeights) -> None:
        self._weights = weights
        self._cache: tuple[object, list[Tensor]] = (None, [])

    @torch.no_grad()
    def __call__(self, psi: Float[Tensor, "S B P"]) -> Float[Tensor, "S B D"]:
        """Return the variances (S, B, D), those of each of the S weights at its own features."""
        s, b, p = psi.shape
        d = self._weights[0].mu.shape[0]
        total = psi.new_zeros(s, b, d)
        for block in self._blocks():
            # psi' L for the block's columns, without the features that meet the zeros above it; the squares over all
            # columns sum to psi' L L' psi.
            columns = torch.bmm(psi[..., p - block.shape[1] :], block).view(s, b, d, -1)
            total += torch.linalg.vecdot(columns, columns)
        return total

    def _blocks(self) -> list[Tensor]:
        """Return the packed factors, each (S, rows, D * columns); those of frozen parameters are cached."""
        # NOTE: a fused optimizer changes a parameter without incrementing its version, so that the version does not
        # tell whether a parameter in training has changed.
        parameters = [p for w in self._weights for p in (w.below, w.log_diagonal)]
        if any(p.requires_grad for p in parameters):
            return self._packed()
        # The version counts changes in place; the address changes when a parameter is replaced or moved.
        version = [(p._version, p.device, p.data_ptr()) for p in parameters]
        if self._cache[0] != version:
            self._cache = version, self._packed()
        return self._cache[1]

    def _packed(self) -> list[Tensor]:
        packed = [pack(w.below, w.log_diagonal, BLOCKS) for w in self._weights]
        return [torch.stack(blocks) for blocks in zip(*packed, strict=True)]
