"""An evaluation in whole sentences, for people."""

from __future__ import annotations

from gpvae_core.collapse import ACTIVE
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.result import BidirectionalMeans, ChainsReport, Evaluation, LogPx

TRUTHS = {
    "line": "quadrature along the latent line",
    "grid": "quadrature on a grid",
    "ais": "annealed importance sampling ({chains} chains, {temperatures} temperatures), a lower bound",
    "iwae": "importance sampling (iwae, k = {k}), a lower bound",
}


def number(value: float | None, digits: int = 3) -> str:
    """Write a number; '?' where it is not defined."""
    return "?" if value is None else f"{value:.{digits}f}"


def plus_minus(value: Mean) -> str:
    """Write a mean with its standard error."""
    return f"{number(value.mean)} ± {number(value.se)}"


def truth_in_words(log_px: LogPx) -> str:
    """Say how log p(x) was found and how precise an instance's is."""
    error = log_px.estimator_se
    precision = "" if error is None else f"; standard error of an instance {error:.2g} nats (rms), as in the gaps"
    return TRUTHS[log_px.truth].format(**log_px.to_json()) + precision


def chains_in_words(bidirectional: BidirectionalMeans | None, hmc: ChainsReport | None) -> list[str]:
    """Say what the chains on simulated images and in the posteriors gave; nothing where there were none."""
    lines = []
    if bidirectional is not None:
        lines.append(
            f"on {bidirectional.n} simulated images AIS's lower and upper bound on log p(x) differ by "
            f"{plus_minus(bidirectional.gap)} nats ({bidirectional.chains} chains, {bidirectional.temperatures} "
            "temperatures)"
        )
    if hmc is not None:
        lines.append(
            f"p(z|x) of {hmc.n} instances by Hamiltonian Monte Carlo ({hmc.chains} chains of {hmc.draws} "
            f"draws, begun in the encoder's answer): {hmc.mixed} of {hmc.n} have mixed; largest R-hat "
            f"{number(hmc.r_hat.max)}, smallest effective sample size {number(hmc.ess.min, 0)}"
        )
        lines.append(
            f"from there the encoder's mean is {plus_minus(hmc.mean_distance)} posterior standard deviations off, "
            f"and its standard deviations are {plus_minus(hmc.std_ratio)} times the posterior's"
        )
    return lines


def collapse_in_words(variance: tuple[float | None, ...], moment_kl: tuple[float | None, ...]) -> str:
    """Say how many dimensions have collapsed onto the prior, and how far from it they are still.

    `variance` is that of each dimension's posterior mean over the images, `moment_kl` its KL to the prior in nats.
    """
    still = [nats for moved, nats in zip(variance, moment_kl, strict=True) if not (moved or 0.0) > ACTIVE]
    if not still:
        return "none has collapsed"
    verb = "has" if len(still) == 1 else "have"
    return (
        f"{len(still)} of {len(variance)} {verb} collapsed onto the prior (their mean moves by a variance of at most "
        f"{ACTIVE:g} over the images; KL to the prior at most {number(max(still, key=lambda nats: nats or 0.0))} nats)"
    )


def density_in_words(evaluation: Evaluation) -> list[str]:
    """Say what the density's figures are, and how many network passes a training step takes."""
    lines, density, test_kl = [], evaluation.density or {}, evaluation.test_kl or {}
    if "mixture" in density:
        mixture = density["mixture"]
        lines.append(
            f"density.mixture: a lower bound from {mixture.samples} samples of a mixture of Gaussians fitted to the "
            f"frozen model; effective sample size {number(mixture.ess, 0)} (median)"
        )
        if "mixture" in test_kl:
            lines.append(
                f"test_kl.mixture: an upper bound on the KL in expectation, as density.mixture is a lower one; over "
                f"{test_kl['mixture'].n} instances"
            )
    if "line" in density and density["line"].failed:
        lines.append(
            f"density.line: {density['line'].failed} instances failed the checks of quadrature, not to be trusted"
        )
    if evaluation.passes is not None:
        lines.append(
            f"network passes for each point of a training step: decoder {evaluation.passes.decoder:.1f}, encoder "
            f"{evaluation.passes.encoder:.1f}"
        )
    return lines
