"""Prior recovery in any dimension: maximum-likelihood fit of the flow before the decoder to the codes."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.fitting import CHUNK, FitSettings, encoder_means, fit_codes, minimise, training_only
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.priors.pushforward import LatentMap, Pushforward
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

BLUR = 1e-3
"""Scale of the noise added to the codes, relative to their standard deviation. Without noise, equal codes or codes in a
plane have no density."""
PATIENCE = 30
"""Number of epochs without a better held-out density after which the fit stops."""
MIN_CODES = 10
"""Smallest number of codes to which a flow is fitted."""
KERNEL_CODES, KERNEL_HELD = 2000, 1000
"""Largest numbers of codes to which the kernel density is fitted, and on which it is evaluated."""
BANDWIDTHS = np.logspace(-2, 0.3, 16)
"""Widths of the kernel density that are cross-validated, for codes with unit covariance."""


def recover_by_flow(
    vae: VAE, points: DeviceSplit, settings: RecoverySettings, seed: int, progress: Progress
) -> dict[str, float]:
    """Fit h of the decoder f(h(u)) to the codes, then the encoder's mean to u_n = h^-1(g(x_n)).

    Returns the mean log density of held-out codes in nats (see `compare`), and `mean_error`, the root mean square per
    dimension of u_n minus the new encoder mean.

    Raises:
        UserError: the codes are too few, equal or not finite, or a fit diverged.
    """
    assert isinstance(vae.decoder, Pushforward)
    h, codes = vae.decoder.h, encoder_means(vae, points)
    with training_only(vae, h):
        log_densities = fit_flow(h, codes, settings.recovery_fit(seed, "flow"), progress)
    with torch.no_grad():
        targets = torch.cat([h.inverse(part)[0] for part in codes.split(CHUNK)])
    fit_codes(vae, points, targets, settings.recovery_fit(seed, "encoder"), progress)
    error = float((encoder_means(vae, points) - targets).square().mean().sqrt())
    return {**log_densities, "mean_error": error}


def fit_flow(h: LatentMap, codes: Float[Tensor, "N D"], settings: FitSettings, progress: Progress) -> dict[str, float]:
    """Fit h by maximum likelihood to 80 % of the codes; 10 % serve for early stopping and 10 % for `compare`.

    h starts at the affine map under which u ~ N(0, I) has the codes' mean and covariance.

    Raises:
        UserError: there are fewer than MIN_CODES codes, some are not finite, all are equal, or the fit diverged.
    """
    _check(codes)
    m, chol = (part.to(codes) for part in moments(codes))
    h.start_at(m, chol)
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(settings.seed)).to(codes.device)
    tenth = len(codes) // 10
    held_out, stopping, fitted = order.split([tenth, tenth, len(codes) - 2 * tenth])
    best = BestWeights(h, codes[stopping])

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        z = codes[fitted[index]]
        noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
        return -h.log_density(z + BLUR * noise @ chol.T).mean()  # noise of covariance BLUR^2 times that of the codes

    minimise(h, loss, len(fitted), settings, progress, best.waited_enough)
    best.restore()
    return compare(h, codes[fitted], codes[held_out])


def _check(codes: Float[Tensor, "N D"]) -> None:
    finite = int(codes.isfinite().all(1).sum())
    if finite < max(len(codes), MIN_CODES):
        raise UserError(
            f"recovering a prior by a flow wants at least {MIN_CODES} finite codes, got {len(codes)}, {finite} of them "
            "finite: too few training points, or has training diverged?"
        )


def moments(codes: Float[Tensor, "N D"]) -> tuple[Float64[Tensor, " D"], Float64[Tensor, "D D"]]:
    """Return the codes' mean and the Cholesky factor of their covariance, on the CPU.

    Raises:
        UserError: all codes are equal.
    """
    exact = codes.cpu().double()
    centred = exact - exact.mean(0)
    covariance = centred.T @ centred / len(codes)
    widest = float(torch.linalg.eigvalsh(covariance)[-1])
    if widest <= 1e-12 * max(1.0, float(exact.square().mean())):
        raise UserError(
            "prior recovery wants codes g(x_n) that differ, got equal ones: the encoder has collapsed; another seed, "
            "lr or bandwidth may help"
        )
    # NOTE: jitter. Codes in a plane have a singular covariance; BLUR^2 of its largest eigenvalue keeps it definite.
    return exact.mean(0), torch.linalg.cholesky(covariance + BLUR**2 * widest * torch.eye(len(covariance)))


class BestWeights:
    """Early stopping: keeps the weights with the highest mean log density of codes outside of the fit."""

    def __init__(self, h: LatentMap, codes: Float[Tensor, "V D"]) -> None:
        self._h, self._codes = h, codes
        self._score, self._weights, self._epochs_since = -math.inf, {}, 0

    def waited_enough(self) -> bool:
        """Evaluate the current weights; return whether the last PATIENCE calls brought no improvement."""
        score = mean_log_density(self._h, self._codes)
        self._epochs_since += 1
        if score > self._score:
            self._score, self._epochs_since = score, 0
            self._weights = {name: value.clone() for name, value in self._h.state_dict().items()}
        return self._epochs_since >= PATIENCE

    def restore(self) -> None:
        """Load the best weights into the flow."""
        self._h.load_state_dict(self._weights)


@torch.no_grad()
def mean_log_density(h: LatentMap, codes: Float[Tensor, "N D"]) -> float:
    """Return the mean of log p(z) over the codes, in nats."""
    return float(torch.cat([h.log_density(part) for part in codes.split(CHUNK)]).double().mean())


def compare(h: LatentMap, fitted: Float[Tensor, "N D"], held_out: Float[Tensor, "V D"]) -> dict[str, float]:
    """Return the mean log density of held-out codes, nats, under the flow, a kernel density, one Gaussian and N(0, I).

    The kernel density is fitted to at most KERNEL_CODES of the fitted codes. Its kernel has a covariance proportional
    to theirs and a width chosen by 5-fold cross-validation.
    """
    m, chol = moments(fitted)
    log_normalizer = -0.5 * held_out.shape[1] * math.log(2 * math.pi)
    # Whitening v = L^-1 (z - m) gives log p(z) = log p(v) - log|det L| with log|det L| = sum_j log L_jj.
    log_scale = float(chol.diagonal().log().sum())

    def whiten(codes: Tensor, most: int) -> np.ndarray:
        return torch.linalg.solve_triangular(chol, (codes[:most].cpu().double() - m).T, upper=False).T.numpy()

    whitened = whiten(held_out, KERNEL_HELD)
    folds = KFold(min(5, len(fitted)), shuffle=True, random_state=0)
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=folds)
    kernel = search.fit(whiten(fitted, KERNEL_CODES)).best_estimator_
    scored = held_out[:KERNEL_HELD]
    return {
        "held_codes": float(len(scored)),
        "flow": mean_log_density(h, scored),
        "kernel_width": float(kernel.bandwidth),
        "kernel_density": float(kernel.score(whitened)) / len(scored) - log_scale,
        "one_gaussian": log_normalizer - 0.5 * float((whitened**2).sum(1).mean()) - log_scale,
        "normal": log_normalizer - 0.5 * float(scored.double().square().sum(1).mean()),
    }
