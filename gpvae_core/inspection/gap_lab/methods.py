"""Runs that share a decoder, and the methods of inference on it: each run, with or without a refiner at test time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpvae_core.errors import UserError, unknown
from gpvae_core.runs import Run, replace_refiner
from gpvae_core.vae import VAE


@dataclass(frozen=True)
class Decoder:
    """Runs with equal decoder and likelihood, and therefore equal true posteriors."""

    name: str
    """Name of the run that trained the decoder, if it is known."""
    fingerprint: str
    runs: tuple[str, ...]
    """Names of the runs; the run that trained the decoder comes first if it is among them."""


def decoders(runs: Mapping[str, Run]) -> list[Decoder]:
    """Return the decoders of these runs, in descending order of their number of runs; runs keep their order."""
    groups: dict[str, list[str]] = {}
    for name, run in runs.items():
        groups.setdefault(run.decoder_fingerprint, []).append(name)
    unordered = [_decoder(fingerprint, names, runs) for fingerprint, names in groups.items()]
    return sorted(unordered, key=lambda decoder: -len(decoder.runs))


def _decoder(fingerprint: str, names: Sequence[str], runs: Mapping[str, Run]) -> Decoder:
    own = [name for name in names if not runs[name].config.freeze_decoder]
    sources = [source for name in names if (source := runs[name].meta.decoder_from)]
    ordered = [*own, *(name for name in names if name not in own)]
    return Decoder((own or sources or ordered)[0], fingerprint, tuple(ordered))


def split_method(method: str, runs: Sequence[str]) -> tuple[str, str]:
    """Split a method into run and refiner: 'run+svi:8' -> ('run', 'svi:8'), and 'run' -> ('run', '').

    Raises:
        UserError: there is no such run on this decoder.
    """
    if method in runs:
        return method, ""
    refined = [name for name in runs if method.startswith(f"{name}+")]
    if not refined:
        raise unknown("run on this decoder", method.partition("+")[0], runs)
    name = max(refined, key=len)  # a run's name may contain a '+' itself: take the longest that matches
    return name, method[len(name) + 1 :]


def model_of(run: Run, refiner: str) -> VAE:
    """Return the run's model, or one with the same networks and another refiner, such as 'svi:8,step_size=0.1'.

    Raises:
        UserError: the refiner or a setting is unknown, has parameters that need training, or does not fit the decoder.
    """
    if not refiner:
        return run.model
    if refiner.startswith("+"):
        raise UserError(f"wanted a refiner such as 'svi:8', got '{refiner}'")
    own = run.model
    model = VAE(own.decoder, own.likelihood, own.encoder, own.latent_dim, own.event_shape)
    replace_refiner(model, run.config, refiner)
    return model.eval()
