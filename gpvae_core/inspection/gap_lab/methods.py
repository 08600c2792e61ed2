"""The runs that share a decoder, and the methods on it: each run, plain or refined at test time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.errors import UserError, unknown
from gpvae_core.runs import Run, replace_refiner
from gpvae_core.vae import VAE


@dataclass(frozen=True)
class Decoder:
    """Runs with one decoder and likelihood, and so with the same true posteriors."""

    name: str
    """The run that it was trained in, where that is known."""
    fingerprint: str
    runs: tuple[str, ...]
    """Names; the run that the decoder was trained in comes first, where it is among them."""


def decoders(runs: Mapping[str, Run]) -> list[Decoder]:
    """Return the decoders of these runs, those with most runs first; runs keep their order."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(run.decoder_fingerprint, []).append(name)
    found = [_decoder(fingerprint, names, runs) for fingerprint, names in groups.items()]
    return sorted(found, key=lambda decoder: -len(decoder.runs))


def _decoder(fingerprint: str, names: Sequence[str], runs: Mapping[str, Run]) -> Decoder:
    own = [name for name in names if not runs[name].config.freeze_decoder]
    given = [given for name in names if (given := runs[name].meta.decoder_from)]
    ordered = [*own, *(name for name in names if name not in own)]
    return Decoder((own or given or ordered)[0], fingerprint, tuple(ordered))


def split_method(method: str, runs: Sequence[str]) -> tuple[str, str]:
    """'run+svi:8' -> ('run', 'svi:8'); ('run', '') for a plain run. A run's name may hold a '+' itself.

    Raises:
        UserError: no such run on this decoder.
    """
    if method in runs:
        return method, ""
    refined = [name for name in runs if method.startswith(f"{name}+")]
    if not refined:
        raise unknown("run on this decoder", method.partition("+")[0], runs)
    name = max(refined, key=len)
    return name, method[len(name) + 1 :]


def model_of(run: Run, refiner: str) -> VAE:
    """Return the run's model, or one that shares its networks and refines by `refiner` ('svi:8,step_size=0.1').

    Raises:
        UserError: an unknown refiner or setting, one that has parameters to be trained or does not fit the decoder.
    """
    if not refiner:
        return run.model
    if refiner.startswith("+"):
        raise UserError(f"wanted a refiner such as 'svi:8', got '{refiner}'")
    own = run.model
    model = VAE(own.decoder, own.likelihood, own.encoder, own.latent_dim, own.event_shape)
    replace_refiner(model, run.config, refiner)
    return model.eval()
