"""The evidence log p(x) and the true posterior p(z|x) of any image under a trained model, with their errors.

At d = 1 and 2 both are computed by quadrature; in more dimensions log p(x) is estimated by annealed importance sampling
and p(z|x) is sampled by HMC. The estimate of an image depends on the seed and its pixels, not on its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from gpvae_core.densities.base import Gaussian
from gpvae_core.errors import UserError, unknown
from gpvae_core.nets.base import NetConfig
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.atlas import Atlas
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.bidirectional import Bidirectional, bidirectional
from gpvae_core.truth.by_image import infer_each
from gpvae_core.truth.estimators.ais import Annealing
from gpvae_core.truth.estimators.base import Estimator
from gpvae_core.truth.estimators.grid import GridEvidence
from gpvae_core.truth.estimators.iwae import ImportanceSampling
from gpvae_core.truth.estimators.line import LineEvidence
from gpvae_core.truth.evidence import Array, Evidence
from gpvae_core.truth.line import Line
from gpvae_core.truth.many_posteriors import many_posteriors
from gpvae_core.truth.mixture_proposal import (
    PAPER,
    MixtureEstimate,
    MixtureProposalSettings,
    fit_mixture_proposal,
    mixture_log_px,
)
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.quadrature import Quadrature, TruePosterior, quadrature_for
from gpvae_core.truth.resampling import PROPOSALS, ResampledLatents, resample
from gpvae_core.truth.settings import AUTO, TruthSettings
from gpvae_core.vae import VAE, GenerativeModel

EstimatorBuilder = Callable[[GenerativeModel, TruthSettings, Quadrature], Estimator]
ESTIMATORS: dict[str, EstimatorBuilder] = {
    "line": lambda model, settings, quadrature: LineEvidence(quadrature),
    "grid": lambda model, settings, quadrature: GridEvidence(model, quadrature),
    "ais": lambda model, settings, quadrature: Annealing(_with_encoder(model), settings.annealing),
    "iwae": lambda model, settings, quadrature: ImportanceSampling(_with_encoder(model), settings.samples),
}
"""Name of an estimator of log p(x) -> function that builds it."""
DIMENSIONS = {"line": 1, "grid": 2}
"""Name of a quadrature -> number of latent dimensions that it needs."""


class Truth:
    """The evidence and the true posteriors of one frozen model, as `run.truth` and `truth_for` return it.

    Safe to use from several threads: what is decoded once (the line, the atlas) is shared by all of them.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> x = run.data.test.pixels([0])
    >>> evidence = run.truth.log_px(x)
    >>> evidence.kind, evidence.exact, len(run.truth.posterior(x))
    ('grid', True, 1)
    """

    def __init__(self, model: GenerativeModel, settings: TruthSettings, _quadrature: Quadrature) -> None:
        self.model = model
        """The frozen model."""
        self.settings = settings
        """Settings of the estimator of log p(x)."""
        self.name = resolved_name(settings.name, model.latent_dim)
        """Name of the estimator: 'line', 'grid', 'ais' or 'iwae'."""
        self._quadrature = _quadrature

    def by(self, settings: TruthSettings) -> Truth:
        """Return the truth about the same model by another estimator; the decoded latent space is shared.

        Raises:
            UserError: the estimator is unknown, or is a quadrature for another number of latent dimensions.
        """
        return Truth(self.model, settings, self._quadrature)

    @cached_property
    def _estimator(self) -> Estimator:
        return ESTIMATORS[self.name](self.model, self.settings, self._quadrature)

    @property
    def exact(self) -> bool:
        """Whether log p(x) is computed by quadrature; otherwise it is a lower bound in expectation, with an error."""
        return self.name in DIMENSIONS

    # -- log p(x) ---------------------------------------------------------------------------------------------------

    def log_px(
        self, x: Float[Tensor, "B C H W"], seed: int = 0, progress: Progress = silent, best: BestGaussians | None = None
    ) -> Evidence:
        """Return log p(x) of each image in nats, with its standard error where it is an estimate.

        Args:
            seed: seed of the noise; the noise of an image is drawn from the seed and a hash of its pixels.
            best: best Gaussians of the images, from which a sampler starts; computed where they are not given.
        """
        return self._estimator.log_px(x, seed, progress, best)

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return log p(x) by quadrature where there is one, else a looser lower bound from samples of the encoder."""
        return self._estimator.quick(x, seed)

    def log_px_by_mixture(
        self,
        x: Float[Tensor, "B C H W"],
        net: NetConfig,
        settings: MixtureProposalSettings = PAPER,
        seed: int = 0,
        progress: Progress = silent,
    ) -> MixtureEstimate:
        """Return lower bounds of log p(x) by importance sampling from a mixture of Gaussians that is fitted to `x`.

        Args:
            net: configuration of the network that computes the mixture from an image.

        :meta private:
        """
        encoder = fit_mixture_proposal(self.model, x, net, settings, seed, progress)
        return mixture_log_px(self.model, x, encoder, settings.bound_samples, seed, progress)

    def bidirectional(self, n: int, seed: int = 0, progress: Progress = silent) -> Bidirectional:
        """Return lower and upper bounds of log p(x) of n images drawn from the model, by annealing from both sides.

        Raises:
            UserError: fewer than two images, or a model without an encoder.

        :meta private:
        """
        return bidirectional(_with_encoder(self.model), n, self.settings.annealing, seed, progress)

    # -- p(z|x) -----------------------------------------------------------------------------------------------------

    def posterior(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        """Return p(z|x) of each image by quadrature, whatever the estimator of log p(x).

        Raises:
            UserError: the model has more than 2 latent dimensions.
        """
        return self._quadrature.posteriors(x, progress)

    def modes(self, x: Float[Tensor, "B C H W"]) -> list[Array]:
        """Return the modes (J, D) of p(z|x) of each image, in order of falling density.

        Raises:
            UserError: the model has more than 2 latent dimensions.
        """
        return [posterior.modes() for posterior in self.posterior(x)]

    def samples(
        self,
        x: Float[Tensor, "B C H W"],
        settings: HMCSettings | None = None,
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
        start: Gaussian | None = None,
    ) -> PosteriorSamples:
        """Draw from p(z|x) of each image by Hamiltonian Monte Carlo, for any number of latent dimensions.

        Chains start in samples of q(z|x) and step in units of the best full Gaussian, which is computed where it is
        not given. `r_hat`, `ess` and `mixed` of the result tell whether they mixed. A mode that no chain reaches is
        missed, and no diagnostic shows it; `posterior` finds every mode.

        Args:
            start: of one image and a model without an encoder, the Gaussian in whose samples chains start and in whose
                units they step.
        """
        if start is not None:
            return many_posteriors(self.model, x, lambda _: [start], start.lower_factor(), settings, seed, progress)
        vae = _with_encoder(self.model)
        units = best or best_gaussians(vae, x, seed, progress=progress)
        return many_posteriors(vae, x, partial(infer_each, vae), units.full_chol, settings, seed, progress)

    def resampled(
        self,
        x: Float[Tensor, "1 C H W"],
        mean: NDArray[np.floating],
        chol: NDArray[np.floating],
        generator: torch.Generator,
        n: int,
    ) -> ResampledLatents:
        """Draw n latents approximately from p(z|x) of one image, by resampling proposals from N(mean, chol chol').

        Args:
            mean, chol: mean (D,) and lower-triangular factor (D, D) of the proposal.
            generator: a generator on the CPU, so that the samples are the same on every device.

        :meta private:
        """
        return resample(self.model, x, mean, chol, generator, n, PROPOSALS)

    # -- the decoded latent space -----------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the latent space is already decoded, so that the first image costs no more than the next."""
        return self._quadrature.ready

    def prepare(self, progress: Progress = silent) -> None:
        """Decode the latent space for the quadrature; does nothing where d > 2."""
        self._quadrature.prepare(progress)

    def line(self, progress: Progress = silent) -> Line:
        """Return the decoded latent line.

        Raises:
            UserError: the model does not have exactly 1 latent dimension.

        :meta private:
        """
        return self._quadrature.line(progress)

    def atlas(self, progress: Progress = silent) -> Atlas:
        """Return the decoded latent plane.

        Raises:
            UserError: the model does not have exactly 2 latent dimensions.

        :meta private:
        """
        return self._quadrature.atlas(progress)


def truth_for(model: GenerativeModel, settings: TruthSettings | None = None) -> Truth:
    """Return the truth about a frozen model; the latent space is decoded at the first use.

    Raises:
        UserError: the estimator is unknown, or is a quadrature for another number of latent dimensions.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> gpvae.truth_for(run.model, gpvae.TruthSettings(name="iwae")).exact
    False
    """
    return Truth(model, settings or TruthSettings(), quadrature_for(model))


def resolved_name(name: str, latent_dim: int) -> str:
    """Return the name of the estimator that `name` selects: 'auto' is 'line' at d = 1, 'grid' at d = 2, else 'ais'.

    Raises:
        UserError: the estimator is unknown, or is a quadrature for another number of latent dimensions.
    """
    if name == AUTO:
        return next((quadrature for quadrature, d in DIMENSIONS.items() if d == latent_dim), "ais")
    if name not in ESTIMATORS:
        raise unknown("truth", name, [*ESTIMATORS, AUTO])
    if latent_dim != DIMENSIONS.get(name, latent_dim):
        raise UserError(
            f"wanted truth 'auto', 'ais' or 'iwae' for a run with {_dimensions(latent_dim)}, got '{name}': quadrature "
            f"needs exactly {_dimensions(DIMENSIONS[name])}"
        )
    return name


def _dimensions(d: int) -> str:
    return f"{d} latent dimension{'' if d == 1 else 's'}"


def _with_encoder(model: GenerativeModel) -> VAE:
    if not isinstance(model, VAE):
        raise UserError("log p(x) by sampling wants a model with an encoder, from which the samplers start")
    return model
