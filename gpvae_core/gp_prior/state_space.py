"""GPs with Matern kernels on a line as state-space models, in time linear in the number of instants.

A GP with a Matern kernel of smoothness nu = 1/2, 3/2 or 5/2 is the first component of a Markov process x(t) with
1, 2 or 3 components (Hartikainen & Saerkkae 2010; Saerkkae & Solin 2019, ch. 12), x_k = A_k x_(k-1) + noise of
covariance P_inf - A_k P_inf A_k'. The Kalman filter gives log Z and the smoother of Bryson & Frazier the marginals; the
smoother inverts no matrix, so that instants may be as close together as one likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.covariances.matern import SMOOTHNESS
from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations


@dataclass(frozen=True)
class MaternProcess:
    """Matern kernel of smoothness nu with its length scale and variance, as a state-space model."""

    nu: float
    length_scale: Float[Tensor, ""]
    variance: Float[Tensor, ""]

    def __post_init__(self) -> None:
        if self.nu not in SMOOTHNESS:
            raise UserError(f"wanted a Matern kernel of smoothness {', '.join(map(str, SMOOTHNESS))}, got {self.nu:g}")

    @property
    def _rate(self) -> Float[Tensor, ""]:
        """Return lambda = sqrt(2 nu) / l."""
        return math.sqrt(2 * self.nu) / self.length_scale

    def stationary(self) -> Float[Tensor, "S S"]:
        """Return P_inf, the covariance of x(t) at any t."""
        s, lam = self.variance, self._rate
        zero = torch.zeros_like(s)
        rows = {
            0.5: [[s]],
            1.5: [[s, zero], [zero, lam**2 * s]],
            # kappa = lambda^2 sigma^2 / 3
            2.5: [
                [s, zero, -(lam**2) * s / 3],
                [zero, lam**2 * s / 3, zero],
                [-(lam**2) * s / 3, zero, lam**4 * s],
            ],
        }[self.nu]
        return torch.stack([torch.stack(row) for row in rows])

    def transition(self, dt: Float[Tensor, "*batch T"]) -> Float[Tensor, "*batch T S S"]:
        """Return A(dt) = exp(F dt), with F the companion matrix of (d/dt + lambda)^S."""
        lam = self._rate
        x, decay = lam * dt, torch.exp(-lam * dt)
        one = torch.ones_like(dt)
        rows = {
            0.5: [[one]],
            # (F + lambda I)^2 = 0, so that exp(F dt) = e^(-lambda dt) (I + (F + lambda I) dt)
            1.5: [[1 + x, dt], [-x * lam, 1 - x]],
            # (F + lambda I)^3 = 0
            2.5: [
                [1 + x + x**2 / 2, dt * (1 + x), dt**2 / 2],
                [-(x**2) * lam / 2, 1 + x - x**2, dt * (1 - x / 2)],
                [lam**2 * (x**2 / 2 - x), lam * (x**2 - 3 * x), 1 - 2 * x + x**2 / 2],
            ],
        }[self.nu]
        return decay[..., None, None] * torch.stack([torch.stack(row, -1) for row in rows], -2)


class MarkovPosterior:
    """The posterior of a Matern GP given pseudo-observations at ordered instants: as `ExactPosterior`, in time O(T)."""

    def __init__(self, kernel: MaternProcess, times: Float[Tensor, "*batch T"], pseudo: PseudoObservations) -> None:
        if bool((times.diff() < 0).any()):
            raise UserError("wanted instants in order of time")
        self._pseudo = pseudo
        P_inf = kernel.stationary()
        self._A = kernel.transition(torch.cat([torch.zeros_like(times[..., :1]), times.diff()], -1))
        noise = P_inf - self._A @ P_inf @ self._A.mT
        self._filter(P_inf, noise)

    def _filter(self, P_inf: Float[Tensor, "S S"], noise: Float[Tensor, "*batch T S S"]) -> None:
        """Run the Kalman filter: keep the predicted moments, gains and innovations of each instant."""
        y, precision = self._pseudo.mean, self._pseudo.precision
        m = y.new_zeros(*y.shape[:-1], P_inf.shape[0])
        P = P_inf.expand(*y.shape[:-1], -1, -1)
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
        log_z = self._pseudo.log_normaliser()
        for k in range(y.shape[-1]):
            A = self._transition(k)
            m = (A @ m.unsqueeze(-1)).squeeze(-1)
            P = A @ P @ A.mT + noise[..., k, :, :].unsqueeze(-3)
            # z = H x with H = (1, 0, 0). In terms of the precision p, gain K = P H' p / (1 + p P_11): 0 where p = 0.
            p, innovation = precision[..., k], y[..., k] - m[..., 0]
            shrink = p / (1 + p * P[..., 0, 0])
            log_z = log_z - 0.5 * (torch.log1p(p * P[..., 0, 0]) + shrink * innovation.square())
            gain = P[..., 0] * shrink.unsqueeze(-1)
            self._steps.append((m, P, gain, shrink, innovation))
            m = m + gain * innovation.unsqueeze(-1)
            P = P - gain.unsqueeze(-1) * P[..., 0, :].unsqueeze(-2)
        self._log_evidence = log_z

    def _transition(self, k: int) -> Float[Tensor, "*batch 1 S S"]:
        """Return the transition to instant k, which all channels of a series share."""
        return self._A[..., k, :, :].unsqueeze(-3)

    def log_evidence(self) -> Float[Tensor, "*batch D"]:
        """Return log Z = log N(y~; 0, K + diag(sigma~^2)) of each channel in nats."""
        return self._log_evidence

    def marginals(self) -> Marginals:
        """Return the marginals at all instants, observed or not, by the smoother of Bryson & Frazier."""
        size = self._A.shape[-1]
        eye = torch.eye(size, dtype=self._A.dtype, device=self._A.device)
        m, P = self._steps[-1][:2]
        adjoint, curvature = torch.zeros_like(m), torch.zeros_like(P)
        means, variances = [], []
        for k in reversed(range(len(self._steps))):
            m, P, gain, shrink, innovation = self._steps[k]
            # C = I - K H; lambda~ = -H' S^-1 e + C' lambda, Lambda~ = H' S^-1 H + C' Lambda C
            C = eye - torch.nn.functional.pad(gain.unsqueeze(-1), (0, size - 1))
            adjoint = (C.mT @ adjoint.unsqueeze(-1)).squeeze(-1) - eye[0] * (shrink * innovation).unsqueeze(-1)
            curvature = C.mT @ curvature @ C + torch.outer(eye[0], eye[0]) * shrink[..., None, None]
            # x | all = m - P lambda~, with covariance P - P Lambda~ P
            row = P[..., 0, :]
            means.append(m[..., 0] - (row * adjoint).sum(-1))
            variances.append(P[..., 0, 0] - (row * (curvature @ row.unsqueeze(-1)).squeeze(-1)).sum(-1))
            A = self._transition(k)
            adjoint, curvature = (A.mT @ adjoint.unsqueeze(-1)).squeeze(-1), A.mT @ curvature @ A
        mean, variance = torch.stack(means[::-1], -1), torch.stack(variances[::-1], -1)
        return Marginals(mean, variance.clamp_min(0.0))
