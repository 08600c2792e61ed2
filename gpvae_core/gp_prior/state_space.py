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
from gpvae_core.gp_prior.scan import Elements, prefixes


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
    """The posterior of a Matern GP given pseudo-observations at ordered instants: as `ExactPosterior`, in time O(T).

    Filter and smoother are prefixes of associative operations, so that all instants are computed at once, in O(log T)
    rounds (Saerkkae & Garcia-Fernandez 2021).
    """

    def __init__(self, kernel: MaternProcess, times: Float[Tensor, "*batch T"], pseudo: PseudoObservations) -> None:
        if bool((times.diff() < 0).any()):
            raise UserError("wanted instants in order of time")
        self._pseudo = pseudo
        P_inf = kernel.stationary()
        A = kernel.transition(torch.cat([torch.zeros_like(times[..., :1]), times.diff()], -1))
        # The first instant has no predecessor: its state is drawn from N(0, P_inf).
        first = torch.arange(times.shape[-1], device=times.device) == 0
        A = torch.where(first[:, None, None], 0.0, A)
        # All channels of a series share its transitions; time comes first.
        shape = (times.shape[-1], *pseudo.mean.shape[:-1], *P_inf.shape)
        self._A = A.movedim(-3, 0).unsqueeze(-3).expand(shape)
        noise = (P_inf - A @ P_inf @ A.mT).movedim(-3, 0).unsqueeze(-3).expand(shape)
        self._filter(noise, pseudo.mean.movedim(-1, 0), pseudo.precision.movedim(-1, 0))

    def _filter(
        self, noise: Float[Tensor, "T *batch D S S"], y: Float[Tensor, "T *batch D"], p: Float[Tensor, "T *batch D"]
    ) -> None:
        """Run the Kalman filter, and keep each instant's predicted moments, gain and innovation."""
        m, P = _filtered(self._A, noise, y, p)
        before = torch.cat([torch.zeros_like(m[:1]), m[:-1]]), torch.cat([torch.zeros_like(P[:1]), P[:-1]])
        self._m = _times(self._A, before[0])
        self._P = self._A @ before[1] @ self._A.mT + noise
        # z = H x with H = (1, 0, 0). In terms of the precision p, gain K = P H' p / (1 + p P_11): 0 where p = 0.
        self._innovation = y - self._m[..., 0]
        self._shrink = p / (1 + p * self._P[..., 0, 0])
        self._gain = self._P[..., 0] * self._shrink.unsqueeze(-1)
        fit = torch.log1p(p * self._P[..., 0, 0]) + self._shrink * self._innovation.square()
        self._log_evidence = self._pseudo.log_normaliser() - 0.5 * fit.sum(0)

    def log_evidence(self) -> Float[Tensor, "*batch D"]:
        """Return log Z = log N(y~; 0, K + diag(sigma~^2)) of each channel in nats."""
        return self._log_evidence

    def marginals(self) -> Marginals:
        """Return the marginals at all instants, observed or not, by the smoother of Bryson & Frazier.

        With C = I - K H, S the variance of the innovation e, and lambda, Lambda of the instants after one, it is

            lambda~ = C' lambda - H' S^-1 e,  Lambda~ = C' Lambda C + H' S^-1 H,  x ~ N(m - P lambda~, P - P Lambda~ P),

        of which A' lambda~ and A' Lambda~ A are those of the instant before.
        """
        size = self._A.shape[-1]
        eye = torch.eye(size, dtype=self._A.dtype, device=self._A.device)
        C = eye - torch.nn.functional.pad(self._gain.unsqueeze(-1), (0, size - 1))
        own = -eye[0] * (self._shrink * self._innovation).unsqueeze(-1)
        curvature = torch.outer(eye[0], eye[0]) * self._shrink[..., None, None]
        steps = C @ self._A, _times(self._A.mT, own), self._A.mT @ curvature @ self._A
        _, adjoint, outer = (part.flip(0) for part in prefixes(_backwards, tuple(part.flip(0) for part in steps)))
        adjoint = torch.cat([adjoint[1:], torch.zeros_like(adjoint[:1])])
        outer = torch.cat([outer[1:], torch.zeros_like(outer[:1])])
        adjoint, outer = _times(C.mT, adjoint) + own, C.mT @ outer @ C + curvature
        row = self._P[..., 0, :]
        mean = self._m[..., 0] - (row * adjoint).sum(-1)
        variance = self._P[..., 0, 0] - (row * _times(outer, row)).sum(-1)
        return Marginals(mean.movedim(0, -1), variance.movedim(0, -1).clamp_min(0.0))


def _times(matrix: Float[Tensor, "*batch S S"], vector: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch S"]:
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _filtered(
    A: Float[Tensor, "T *batch S S"],
    noise: Float[Tensor, "T *batch S S"],
    y: Float[Tensor, "T ..."],
    p: Float[Tensor, "T ..."],
) -> tuple[Float[Tensor, "T *batch S"], Float[Tensor, "T *batch S S"]]:
    """Return mean and covariance of the state at each instant given the observations up to it.

    The element of an instant is p(x_k | y_k, x_(k-1)) = N(F x_(k-1) + b, C) with what y_k says of x_(k-1), a Gaussian
    with information vector eta and matrix J (Saerkkae & Garcia-Fernandez 2021, lemma 7).
    """
    shrink = p / (1 + p * noise[..., 0, 0])
    gain = noise[..., 0] * shrink.unsqueeze(-1)
    row = A[..., 0, :]
    F = A - gain.unsqueeze(-1) * row.unsqueeze(-2)
    C = noise - gain.unsqueeze(-1) * noise[..., 0, :].unsqueeze(-2)
    eta = row * (shrink * y).unsqueeze(-1)
    J = row.unsqueeze(-1) * row.unsqueeze(-2) * shrink[..., None, None]
    _, m, P, _, _ = prefixes(_forwards, (F, gain * y.unsqueeze(-1), C, eta, J))
    return m, P


def _forwards(first: Elements, second: Elements) -> Elements:
    """Return the element of two stretches of time together (Saerkkae & Garcia-Fernandez 2021, lemma 8)."""
    (F, b, C, eta, J), (F2, b2, C2, eta2, J2) = first, second
    eye = torch.eye(C.shape[-1], dtype=C.dtype, device=C.device)
    # X = F2 (I + C J2)^-1 and Y = F' (I + J2 C)^-1
    mixed = eye + C @ J2
    X = torch.linalg.solve(mixed.mT, F2.mT).mT
    Y = torch.linalg.solve(mixed, F).mT
    return (
        X @ F,
        _times(X, b + _times(C, eta2)) + b2,
        X @ C @ F2.mT + C2,
        _times(Y, eta2 - _times(J2, b)) + eta,
        Y @ J2 @ F + J,
    )


def _backwards(later: Elements, earlier: Elements) -> Elements:
    """Return the affine map of (lambda, Lambda) from after the later stretch to before the earlier one."""
    (Phi, v, W), (Phi2, v2, W2) = later, earlier
    return Phi @ Phi2, _times(Phi2.mT, v) + v2, Phi2.mT @ W @ Phi2 + W2
