"""Sentences that several pages share, about numbers beside what they are compared with."""

from __future__ import annotations

from collections.abc import Iterable

from gpvae_core.errors import UserError
from gpvae_core.plots.gaps import nats

RATINGS = ((0.1, "closely"), (0.5, "roughly"), (1.0, "poorly"))
"""Largest KL(p ‖ MAPA), as a share of KL(p ‖ uniform), that is called so."""
GAPS_READ = (
    "Inference gap, log p(x) − ELBO. Plain: approximation gap, to the ELBO of the best diagonal Gaussian q*; hatched: "
    "amortization gap, from there to the ELBO of the encoder."
)
GAIN_READ = (
    " Dotted: part of the approximation gap that a posterior of a richer family does not have (a negative amortization "
    "gap)."
)
MAPA = "MAPA (model-agnostic posterior approximation, by distances of x alone)"
"""The method's name, spelled out once on each page."""
MAPA_HELP = "MAPA: model-agnostic posterior approximation (Yacoby et al. 2024), computed from distances of x alone"


def one(what: str) -> str:
    """Return a noun with its indefinite article, by its first letter."""
    return f"an {what}" if what[:1] in "aeiou" else f"a {what}"


def mapa_rating(kl: float, kl_uniform: float) -> str:
    """Return in words how well MAPA approximates an index posterior p, compared with the uniform distribution.

    Args:
        kl: KL(p ‖ MAPA), nats.
        kl_uniform: KL(p ‖ uniform), nats.
    """
    share = kl / max(kl_uniform, 1e-12)
    return next((word for most, word in RATINGS if share <= most), "less well than the uniform distribution")


def mapa_words(kl: float, kl_uniform: float, over: str) -> str:
    """Return a sentence on KL(p ‖ MAPA) beside KL(p ‖ uniform), in nats, for an index posterior p over `over`."""
    words = (
        f"KL(empiricalized ‖ MAPA) = {nats(kl)} nats; for the uniform distribution over the {over} it is "
        f"{nats(kl_uniform)} nats"
    )
    rating = mapa_rating(kl, kl_uniform)
    return f"{words}, so that with this kernel MAPA approximates the empiricalized posterior {rating}."


def method_words(method: str) -> str:
    """Return what the name of a method such as 'iaf:4' stands for; '' for one that is not known."""
    from gpvae_core.methods import get_method  # it imports torch, for which no page waits

    try:
        return get_method(method).summary
    except UserError:
        return ""


def abbreviations(names: Iterable[str]) -> str:
    """Return what each of these methods stands for, as the tooltip of a field in which they are chosen."""
    return " · ".join(f"{name}: {method_words(name)}" for name in names)
