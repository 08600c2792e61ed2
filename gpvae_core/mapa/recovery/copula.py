"""Prior recovery in one dimension by the empirical Gaussian copula (Yacoby et al. 2024, C.3, eq. 36-40)."""

from __future__ import annotations

from copy import deepcopy

import torch
from jaxtyping import Float, Float64, Int64
from scipy.stats import rankdata
from torch import Tensor

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.fitting import encoder_means, fit_codes, mean_over, minimise, training_only
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


def gaussian_copula(codes: Float[Tensor, " N"]) -> Float64[Tensor, " N"]:
    """Return z*_n = (u_n - mean) / std with normal scores u_n = Phi^-1((rank_n - 1/2) / N), eq. 36 and 37.

    Eq. 36 has rank_n / N, which is 1 for one of the points, where Phi^-1 is infinite. It also ranks from the largest
    code down, which mirrors u; here ranks ascend, so that z* increases with the code. Ties get their mean rank.

    Raises:
        UserError: all codes are equal, or some are not finite.
    """
    values = codes.detach().cpu().double()
    if not bool(values.isfinite().all()):
        raise UserError("prior recovery wants finite codes, got some that are not: has training diverged?")
    if len(values) < 2 or bool((values == values[0]).all()):
        raise UserError(
            f"prior recovery wants codes g(x_n) that differ, got {len(values)} equal ones: the encoder has collapsed; "
            "other --set seed, lr or bandwidth, or more training points, may help"
        )
    ranks = torch.from_numpy(rankdata(values.numpy()))
    # eq. 36, with ranks shifted by 1/2 so that the last score is finite; eq. 37 standardises to mean 0 and variance 1
    u = torch.special.ndtri((ranks - 0.5) / len(values))
    return (u - u.mean()) / u.std(correction=0)


def recover_by_copula(
    vae: VAE, points: DeviceSplit, settings: RecoverySettings, seed: int, progress: Progress
) -> dict[str, float]:
    """Fit the encoder mean g+ to z*_n (eq. 39), then the decoder f+ so that f+(g+(x_n)) matches f(g(x_n)) (eq. 40).

    Both networks start at their current weights. Returns the remaining errors: `mean_error`, the root mean square of
    z*_n - g+(x_n), and `decoder_kl`, the mean of eq. 40 in nats.

    Raises:
        UserError: the codes cannot be ranked, or a fit diverged.
    """
    old, codes = deepcopy(vae.decoder).eval(), encoder_means(vae, points)
    targets = gaussian_copula(codes[:, 0]).to(codes)[:, None]
    fit_codes(vae, points, targets, settings.recovery_fit(seed, "encoder"), progress)
    new = encoder_means(vae, points)

    def mean_kl(index: Int64[Tensor, " B"], generator: torch.Generator) -> Float[Tensor, ""]:
        with torch.no_grad():  # f(g(x_n)) of the old networks is a fixed target
            target = old(codes[index]).reshape(-1, *vae.event_shape)
        return vae.likelihood.kl(target, vae.decode(new[index])).mean()

    with training_only(vae, vae.decoder):
        minimise(vae.decoder, mean_kl, len(points), settings.recovery_fit(seed, "decoder"), progress)
    error = float((new - targets).square().mean().sqrt())
    return {"mean_error": error, "decoder_kl": mean_over(mean_kl, len(points), new.device)}
