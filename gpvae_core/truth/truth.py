"""The truth about a model: log p(x) and p(z|x) of any image, stated with their error. Whoever wants it asks here.

At d = 1 and 2 it is quadrature, beyond annealed importance sampling; the same image and seed get the same answer in
whatever batch they are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from gpvae_core.errors import UserError, unknown
from gpvae_core.progress import Progress, silent
from gpvae_core.truth.best_gaussian import BestGaussians, best_gaussians
from gpvae_core.truth.estimators.ais import Annealing
from gpvae_core.truth.estimators.base import Estimator
from gpvae_core.truth.estimators.grid import GridEvidence
from gpvae_core.truth.estimators.iwae import ImportanceSampling
from gpvae_core.truth.estimators.line import LineEvidence
from gpvae_core.truth.evidence import Array, Evidence
from gpvae_core.truth.grid import Atlas
from gpvae_core.truth.line import Line
from gpvae_core.truth.many_posteriors import many_posteriors
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.quadrature import Quadrature, TruePosterior, quadrature_for
from gpvae_core.truth.settings import AUTO, TruthSettings
from gpvae_core.vae import VAE, GenerativeModel

Build = Callable[[GenerativeModel, TruthSettings, Quadrature], Estimator]
ESTIMATORS: dict[str, Build] = {
    "line": lambda model, settings, quadrature: LineEvidence(quadrature),
    "grid": lambda model, settings, quadrature: GridEvidence(model, quadrature),
    "ais": lambda model, settings, quadrature: Annealing(_with_encoder(model), settings.annealing),
    "iwae": lambda model, settings, quadrature: ImportanceSampling(_with_encoder(model), settings.samples),
}
"""Name of a way to log p(x) -> how it is built."""
DIMENSIONS = {"line": 1, "grid": 2}
"""The latent dimensions that quadrature needs."""


class Truth:
    """The truth about one frozen model. What is built once (the line, the atlas) is shared by all threads that ask.

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> x = run.data.test.pixels([0])
    >>> evidence = run.truth.log_px(x)
    >>> evidence.kind, evidence.exact, len(run.truth.posterior(x))
    ('grid', True, 1)
    """

    def __init__(self, model: GenerativeModel, settings: TruthSettings, quadrature: Quadrature) -> None:
        self.model, self.settings = model, settings
        self.name = resolved_name(settings.name, model.latent_dim)
        self._quadrature = quadrature

    def by(self, settings: TruthSettings) -> Truth:
        """Return the truth about the same model found in another way; what is built is shared.

        Raises:
            UserError: no such way, or quadrature where it needs another number of latent dimensions.
        """
        return Truth(self.model, settings, self._quadrature)

    @cached_property
    def _estimator(self) -> Estimator:
        return ESTIMATORS[self.name](self.model, self.settings, self._quadrature)

    @property
    def exact(self) -> bool:
        """Whether log p(x) is by quadrature; otherwise it is a lower bound in expectation, with a standard error."""
        return self.name in DIMENSIONS

    # -- log p(x) ---------------------------------------------------------------------------------------------------

    def log_px(
        self,
        x: Float[Tensor, "B C H W"],
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> Evidence:
        """Return log p(x) of each image in nats, with its standard error where it is an estimate.

        Args:
            seed: of the noise; an image's noise is its own, drawn from the seed and its pixels.
            best: the images' best Gaussians where they are known: a sampler starts from them.
        """
        return self._estimator.log_px(x, seed, progress, best)

    def quick(self, x: Float[Tensor, "B C H W"], seed: int = 0) -> Evidence:
        """Return the same where it is by quadrature, else a looser lower bound from samples of the encoder."""
        return self._estimator.quick(x, seed)

    # -- p(z|x) -----------------------------------------------------------------------------------------------------

    def posterior(self, x: Float[Tensor, "B C H W"], progress: Progress = silent) -> Sequence[TruePosterior]:
        """Return p(z|x) of each image by quadrature, however log p(x) is found. Raises UserError where d > 2."""
        return self._quadrature.posteriors(x, progress)

    def modes(self, x: Float[Tensor, "B C H W"]) -> list[Array]:
        """Return the modes (J, D) of p(z|x) of each image, highest first. Raises UserError where d > 2."""
        return [posterior.modes() for posterior in self.posterior(x)]

    def samples(
        self,
        x: Float[Tensor, "B C H W"],
        settings: HMCSettings | None = None,
        seed: int = 0,
        progress: Progress = silent,
        best: BestGaussians | None = None,
    ) -> PosteriorSamples:
        """Draw from p(z|x) of each image by Hamiltonian Monte Carlo, any d; `r_hat`, `ess`, `mixed` say how surely.

        Chains begin in samples of q(z|x) and step in units of the best full Gaussian, which is found where it is not
        given. A mode far from all of them is missed without a sign of it; `posterior` sees every mode.
        """
        vae = _with_encoder(self.model)
        units = best or best_gaussians(vae, x, seed, progress=progress)
        return many_posteriors(vae, x, units.full_chol, settings, seed, progress)

    # -- what is decoded once ---------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether nothing is left to decode before the first image."""
        return self._quadrature.ready

    def prepare(self, progress: Progress = silent) -> None:
        """Decode what quadrature needs, where there is one."""
        self._quadrature.prepare(progress)

    def line(self, progress: Progress = silent) -> Line:
        """Return the decoded latent line. Raises UserError unless d = 1."""
        return self._quadrature.line(progress)

    def atlas(self, progress: Progress = silent) -> Atlas:
        """Return the decoded latent plane. Raises UserError unless d = 2."""
        return self._quadrature.atlas(progress)


def truth_for(model: GenerativeModel, settings: TruthSettings | None = None) -> Truth:
    """Return the truth about a frozen model; nothing is computed before the first question.

    Raises:
        UserError: no such way, or quadrature where it needs another number of latent dimensions.
    """
    return Truth(model, settings or TruthSettings(), quadrature_for(model))


def resolved_name(name: str, latent_dim: int) -> str:
    """Return the way that `name` stands for: 'auto' is the line at d = 1, the grid at d = 2, else 'ais'.

    Raises:
        UserError: no such way, or quadrature where it needs another number of latent dimensions.
    """
    if name == AUTO:
        return next((way for way, d in DIMENSIONS.items() if d == latent_dim), "ais")
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
