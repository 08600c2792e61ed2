"""Prior recovery in any dimension: the flow before the decoder is fitted to the codes by maximum likelihood."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.fitting import CHUNK, FitSettings, codes_of, fit_codes, minimise, training_only
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.priors.pushforward import LatentMap, Pushforward
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit

BLUR = 1e-3
"""Noise on the codes, as a share of their spread, without which equal ones, or ones in a plane, have no density."""
PATIENCE = 30
"""Epochs without a better held-out density after which the fit ends."""
MIN_CODES = 10
KERNEL_CODES, KERNEL_HELD = 2000, 1000
"""Codes from which the kernel density is made, and on which it is evaluated, at most."""
BANDWIDTHS = np.logspace(-2, 0.3, 16)


def recover_by_flow(
    vae: VAE, points: DeviceSplit, settings: RecoverySettings, seed: int, progress: Progress
) -> dict[str, float]:
    """Fit h of f(h(u)) to the codes, then the encoder's mean to u_n = h^-1(g(x_n)).

    Returns the mean log density of held-out codes in nats (see `compare`), and `mean_error`, the root mean square of
    u_n - (the new encoder mean) along a dimension.

    Raises:
        UserError: too few codes, equal ones, ones that are not finite, or a fit that diverged.
    """
    assert isinstance(vae.decoder, Pushforward)
    h, codes = vae.decoder.h, codes_of(vae, points)
    with training_only(vae, h):
        found = fit_flow(h, codes, settings.recovery_fit(seed, "flow"), progress)
    with torch.no_grad():
        wanted = torch.cat([h.inverse(part)[0] for part in codes.split(CHUNK)])
    fit_codes(vae, points, wanted, settings.recovery_fit(seed, "encoder"), progress)
    error = float((codes_of(vae, points) - wanted).square().mean().sqrt())
    return {**found, "mean_error": error}


def fit_flow(h: LatentMap, codes: Float[Tensor, "N D"], settings: FitSettings, progress: Progress) -> dict[str, float]:
    """h by maximum likelihood on 8 of 10 codes, stopped early on 1 of 10, compared on 1 of 10.

    It starts at the map that gives u the codes' mean and covariance.

    Raises:
        UserError: fewer than MIN_CODES codes, ones that are not finite, or all the same; it diverged.
    """
    _check(codes)
    m, chol = (part.to(codes) for part in moments(codes))
    h.start_at(m, chol)
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(settings.seed)).to(codes.device)
    held_out, waiting, fitted = order.split([len(codes) // 10, len(codes) // 10, len(codes) - 2 * (len(codes) // 10)])
    best = BestWeights(h, codes[waiting])

    def loss(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        z = codes[fitted[index]]
        noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
        return -h.log_density(z + BLUR * noise @ chol.T).mean()

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
    """Mean, and Cholesky factor of the covariance, on the CPU; the narrowest direction counts as BLUR of the widest.

    Raises:
        UserError: all codes are the same.
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
    # NOTE: codes that lie in a plane have a singular covariance; BLUR^2 I keeps it positive definite.
    return exact.mean(0), torch.linalg.cholesky(covariance + BLUR**2 * widest * torch.eye(len(covariance)))


class BestWeights:
    """The weights with the largest mean log density of codes that are not fitted."""

    def __init__(self, h: LatentMap, codes: Float[Tensor, "V D"]) -> None:
        self._h, self._codes = h, codes
        self._score, self._weights, self._since = -math.inf, {}, 0

    def waited_enough(self) -> bool:
        """Look at the weights as they are now; whether there was nothing better for PATIENCE looks."""
        score = mean_log_density(self._h, self._codes)
        self._since += 1
        if score > self._score:
            self._score, self._since = score, 0
            self._weights = {name: value.clone() for name, value in self._h.state_dict().items()}
        return self._since >= PATIENCE

    def restore(self) -> None:
        self._h.load_state_dict(self._weights)


@torch.no_grad()
def mean_log_density(h: LatentMap, codes: Float[Tensor, "N D"]) -> float:
    """Return mean of log p(z) over codes, in nats."""
    return float(torch.cat([h.log_density(part) for part in codes.split(CHUNK)]).double().mean())


def compare(h: LatentMap, fitted: Float[Tensor, "N D"], held_out: Float[Tensor, "V D"]) -> dict[str, float]:
    """Mean log density of held-out codes in nats: by the flow, by a kernel density, by N(0, I) and by one Gaussian.

    The kernel density is of the fitted codes (of at most KERNEL_CODES), with covariance proportional to theirs and the
    width that is best in 5-fold cross-validation.
    """
    m, chol = moments(fitted)
    size = -0.5 * held_out.shape[1] * math.log(2 * math.pi)
    # With v = L^-1 (z - m), log p(z) = log p(v) - log |det L|.
    log_scale = float(chol.diagonal().log().sum())

    def standard(codes: Tensor, most: int) -> np.ndarray:
        return torch.linalg.solve_triangular(chol, (codes[:most].cpu().double() - m).T, upper=False).T.numpy()

    standardised = standard(held_out, KERNEL_HELD)
    folds = KFold(min(5, len(fitted)), shuffle=True, random_state=0)
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=folds)
    kernel = search.fit(standard(fitted, KERNEL_CODES)).best_estimator_
    scored = held_out[:KERNEL_HELD]
    return {
        "held_codes": float(len(scored)),
        "flow": mean_log_density(h, scored),
        "kernel_width": float(kernel.bandwidth),
        "kernel_density": float(kernel.score(standardised)) / len(scored) - log_scale,
        "one_gaussian": size - 0.5 * float((standardised**2).sum(1).mean()) - log_scale,
        "normal": size - 0.5 * float(scored.double().square().sum(1).mean()),
    }
