"""Final step of training with MAPA: turn codes of any distribution into a VAE with the prior N(0, I)."""

from __future__ import annotations

from gpvae_core.errors import UserError
from gpvae_core.mapa.recovery.copula import recover_by_copula
from gpvae_core.mapa.recovery.fitting import CHUNK, fit_encoder
from gpvae_core.mapa.recovery.flow import MIN_CODES, recover_by_flow
from gpvae_core.mapa.recovery.settings import RecoverySettings
from gpvae_core.priors.pushforward import Pushforward
from gpvae_core.progress import Progress, silent
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit


def finish(
    vae: VAE, train: DeviceSplit, settings: RecoverySettings, seed: int, progress: Progress = silent
) -> dict[str, float]:
    """Recover the prior N(0, I) from the codes g(x_n), then fit the encoder to the finished decoder by the ELBO.

    A decoder f(h(u)) is recovered by its flow h, and a plain decoder at d = 1 by the copula. The result is determined
    by weights and seed. Returns the errors of the recovery, listed in `recover_by_flow` and `recover_by_copula`.

    Raises:
        UserError: neither method applies, or the codes are collapsed, not finite or too few.
        Cancelled: raised by `progress`; the model is then left in an intermediate state.
    """
    check_recovery(vae, train)
    recover = recover_by_flow if isinstance(vae.decoder, Pushforward) else recover_by_copula
    errors = recover(vae, train, settings, seed, progress)
    fit_encoder(vae, train, settings.encoder_fit(seed), progress)
    return errors


def check_recovery(vae: VAE, train: DeviceSplit) -> None:
    """Check the conditions of prior recovery that are known before training.

    Raises:
        UserError: the prior of such a model cannot be recovered, or the training points are too few or all equal.
    """
    if vae.latent_dim > 1 and not isinstance(vae.decoder, Pushforward):
        raise UserError(
            f"prior recovery with {vae.latent_dim} latent dimensions wants a flow before the decoder, got a plain "
            "prior: train with --set prior.kind=flow (the copula is for one dimension)"
        )
    if isinstance(vae.decoder, Pushforward) and len(train) < MIN_CODES:
        raise UserError(
            f"recovering a prior by a flow wants at least {MIN_CODES} training points, got {len(train)}; in one latent "
            "dimension the copula takes 2: leave out prior.kind=flow"
        )
    if len(train) < 2:
        raise UserError(f"recovering a prior wants at least 2 training points, got {len(train)}")
    if not any(bool((part != train.images[:1]).any()) for part in train.images.split(CHUNK)):
        raise UserError(
            f"all training points are equal ({len(train)} of them): wanted data that vary, as equal points have one "
            "code, of which no prior can be recovered"
        )
