"""The result of an evaluation, frozen and typed, which converts from and to JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gpvae_core.evaluation.estimates import (
    MORE_DRAWS,
    BidirectionalMeans,
    ChainsReport,
    Check,
    DensityMean,
    IwaeScore,
    LogPx,
)
from gpvae_core.evaluation.mean import EvaluationPart, Mean, Number
from gpvae_core.evaluation.parts import (
    ActiveUnits,
    BestGaussianElbo,
    Collapse,
    Correlation,
    Gaps,
    Generalization,
    KernelWidth,
    PassesPerPoint,
    SampleSizes,
    UncertaintyMeans,
)


class Evaluation(EvaluationPart):
    """The result of `evaluate`: bounds over a whole split, log p(x) and gaps on a seeded sample of it.

    Like each of its parts it converts to JSON and back:

    >>> import gpvae_core as gpvae
    >>> run = gpvae.train("vae", "digits", settings={"epochs": 1}, progress=gpvae.silent)
    >>> result = gpvae.evaluate(run, gpvae.EvaluationSettings(instances=2, truths=2, k=5))
    >>> gpvae.Evaluation.from_json(result.to_json()) == result, result.log_px.truth, result.elbo.n
    (True, 'grid', 359)
    """

    omitted: ClassVar[frozenset[str]] = frozenset({"generalization"})
    run: str
    dataset: str
    split: str
    method: str
    refiner: str
    latent_dim: int
    epochs: int
    best_epoch: int
    units: str = "nats"
    elbo: Mean
    iwae: IwaeScore
    training_bound: Mean
    """The bound that training reports, by the run's objective and number of samples, of these instances; a run whose
    bound is of training points alone, as MAPA's is, has the ELBO of its finished model in its place."""
    log_px: LogPx
    best_gaussian_elbo: BestGaussianElbo
    gaps: Gaps
    negentropy: Mean | None
    n_modes: Mean | None
    active_units: ActiveUnits
    collapse: Collapse
    uncertainty: UncertaintyMeans | None
    correlations: Mapping[str, Mapping[str, Correlation]]
    """Correlation of each trace of the uncertainty with the gaps, the negentropy and the number of modes."""
    reconstruction_rmse: Number
    sigma_x: float | None
    mapa: KernelWidth
    sample: SampleSizes
    checks: Mapping[str, Check]
    density: Mapping[str, DensityMean] | None
    test_kl: Mapping[str, Mean] | None
    """KL from the true distribution to the model, in nats, if the true distribution is known."""
    passes: PassesPerPoint | None
    bidirectional: BidirectionalMeans | None
    hmc: ChainsReport | None
    generalization: Generalization | None = None
    """Of an evaluation of the training images: what the bound loses on test images."""
    seconds: float

    def means(self) -> list[tuple[str, Mean]]:
        """Return every mean with its dotted name, such as 'gaps.inference'."""
        return list(_means(self, ""))

    def warnings(self) -> list[str]:
        """Return a sentence on each group of unreliable values; empty if everything passed its checks."""
        checks = [line for name, check in self.checks.items() for line in check.warnings(name)]
        hmc = self.hmc.warnings(self._chains_advice()) if self.hmc is not None else ()
        return [*self._not_numbers(), *checks, *hmc, *self.iwae.warnings()]

    def _not_numbers(self) -> list[str]:
        """Return a warning if bounds of some images are not finite, so that the means leave these images out."""
        bounds = (self.elbo, self.iwae, self.training_bound)
        best = (self.best_gaussian_elbo.diagonal, self.best_gaussian_elbo.full)
        groups = {"bounds": (bounds, self.sample.of), "best Gaussians": (best, self.sample.gaps)}
        if self.bidirectional is not None:
            groups["bidirectional bounds"] = ((self.bidirectional.gap,), self.bidirectional.n)
        parts = [
            f"the {name} of {of - min(mean.n for mean in means)} of {of} images"
            for name, (means, of) in groups.items()
            if any(mean.n < of for mean in means)
        ]
        said = f"{' and '.join(parts)} are not numbers and are left out of the means: {self._cause()}"
        return [said] if parts else []

    def _cause(self) -> str:
        """Return why bounds are not finite."""
        if self.refiner == "none":
            return "the posterior or the decoder's output overflows"
        return f"the refiner {self.refiner} diverged; a smaller step size or fewer steps may help"

    def _chains_advice(self) -> str:
        """Return why chains have not mixed, or what may help: no number of draws, where q(z|x) is lost."""
        lost, of = self.sample.of - self.elbo.n, self.sample.of
        if not lost:
            return MORE_DRAWS
        started = f"they start at samples of q(z|x), whose ELBO is no number for {lost} of {of} images"
        return f"{started}: {self._cause()}" + (f"; for the others {MORE_DRAWS}" if lost < of else "")


def _means(value: object, name: str) -> Iterator[tuple[str, Mean]]:
    if isinstance(value, Mean):
        yield name, value
    elif isinstance(value, EvaluationPart | Mapping):
        for key, item in value.items() if isinstance(value, Mapping) else value:
            yield from _means(item, f"{name}.{key}" if name else key)
