"""Sentences that describe an evaluation."""

from __future__ import annotations

from gpvae_core.collapse import ACTIVE
from gpvae_core.evaluation.estimates import BidirectionalMeans, ChainsReport, LogPx
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import Generalization, SampleSizes
from gpvae_core.evaluation.result import Evaluation
from gpvae_core.formatting import number, plus_minus, rounded

TRUTHS = {
    "line": "quadrature along the latent line",
    "grid": "quadrature on a grid",
    "ais": "annealed importance sampling ({chains} chains, {temperatures} temperatures), a lower bound",
    "iwae": "importance sampling (iwae, k = {k}), a lower bound",
}


def _with_error(value: Mean) -> str:
    return plus_minus(value.mean, value.se)


def truth_in_words(log_px: LogPx) -> str:
    """Describe the estimator of log p(x) and the standard error of one instance."""
    error = log_px.estimator_se
    precision = "" if error is None else f"; standard error of an instance {error:.2g} nats (rms), as in the gaps"
    return TRUTHS[log_px.truth].format(**log_px.to_json()) + precision


def sizes_in_words(sample: SampleSizes) -> list[str]:
    """Say which means are over fewer instances than the bounds; empty if all are over the same."""
    if sample.gaps == sample.truth == sample.of:
        return []
    fewer = {"log_px": sample.truth, "gaps and best Gaussians": sample.gaps}
    if sample.truth == sample.gaps:
        fewer = {"log_px, gaps and best Gaussians": sample.gaps}
    parts = [f"{names} over {n if n < sample.of else 'all'}" for names, n in fewer.items()]
    return [
        f"bounds are means over all {sample.of} instances, {' and '.join(parts)}, a seeded sample of them: with other "
        f"instances a mean bound may exceed the mean of log_px (--instances {sample.of} takes all for each)"
    ]


def generalization_in_words(generalization: Generalization | None) -> list[str]:
    """State the generalization gap; empty where the images evaluated were held out."""
    if generalization is None:
        return []
    gap = plus_minus(generalization.gap, generalization.se)
    return [f"generalization gap, ELBO of training images minus that of test images: {gap} nats"]


def chains_in_words(bidirectional: BidirectionalMeans | None, hmc: ChainsReport | None) -> list[str]:
    """Describe the bidirectional bounds on simulated images and the HMC chains; empty if neither was computed."""
    lines = []
    if bidirectional is not None:
        n, of = bidirectional.gap.n, bidirectional.n
        images = str(of) if n == of else f"{n} of {of}"
        lines.append(
            f"on {images} simulated images AIS's lower and upper bound on log p(x) differ by "
            f"{_with_error(bidirectional.gap)} nats ({bidirectional.chains} chains, {bidirectional.temperatures} "
            "temperatures)"
        )
    if hmc is not None:
        lines.append(
            f"p(z|x) of {hmc.n} instances by Hamiltonian Monte Carlo ({hmc.chains} chains of {hmc.draws} "
            f"draws, started at samples of q(z|x)): {hmc.mixed} of {hmc.n} have mixed; largest R-hat "
            f"{number(hmc.r_hat.max)}, smallest effective sample size {rounded(hmc.ess.min, 0)}"
        )
        lines.append(
            f"compared with these draws the encoder's mean is {_with_error(hmc.mean_distance)} posterior standard "
            f"deviations off, and its standard deviations are {_with_error(hmc.std_ratio)} times the posterior's"
        )
    return lines


def collapse_in_words(variance: tuple[float | None, ...], moment_kl: tuple[float | None, ...]) -> str:
    """Describe how many dimensions have collapsed onto the prior, and their largest remaining KL to it.

    Args:
        variance: variance over images of each dimension's posterior mean, squared latent units.
        moment_kl: KL to the prior of each dimension, nats.
    """
    known = [(moved, kl) for moved, kl in zip(variance, moment_kl, strict=True) if moved is not None]
    if len(known) < len(variance):
        return "whether any has collapsed onto the prior is not known"
    collapsed = [kl for moved, kl in known if not moved > ACTIVE]
    if not collapsed:
        return "none has collapsed"
    verb = "has" if len(collapsed) == 1 else "have"
    largest = None if None in collapsed else max(kl for kl in collapsed if kl is not None)
    return (
        f"{len(collapsed)} of {len(variance)} {verb} collapsed onto the prior (variance of the mean over the images at "
        f"most {ACTIVE:g}; KL to the prior at most {number(largest)} nats)"
    )


def density_in_words(evaluation: Evaluation) -> list[str]:
    """Describe the estimates of the density, and the number of network passes of a training step."""
    lines, density, test_kl = [], evaluation.density or {}, evaluation.test_kl or {}
    if "mixture" in density:
        mixture = density["mixture"]
        lines.append(
            f"density.mixture: a lower bound from {mixture.samples} samples of a mixture of Gaussians fitted to the "
            f"frozen model; effective sample size {rounded(mixture.ess, 0)} (median)"
        )
        if "mixture" in test_kl:
            lines.append(
                "test_kl.mixture: an upper bound on the KL in expectation, because density.mixture is a lower bound on "
                f"log p(x); over {test_kl['mixture'].n} instances"
            )
    if "line" in density and density["line"].failed:
        without = f"; test_kl.line is over the other {test_kl['line'].n}" if "line" in test_kl else ""
        lines.append(
            f"density.line: {density['line'].failed} instances failed a check of the quadrature, not to be trusted"
            f"{without}"
        )
    if evaluation.passes is not None:
        lines.append(
            f"network passes per point of a training step: decoder {evaluation.passes.decoder:.1f}, encoder "
            f"{evaluation.passes.encoder:.1f}"
        )
    return lines
