"""Training and scoring of all GP-prior VAEs: the family decides how the posterior of the process is approximated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from gpvae_core.bounds import Bound
from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.base import Step, TrainingSetup, cut
from gpvae_core.inference.conditional import (
    CHUNK,
    ConditionalInference,
    EpochTerms,
    Published,
    columns_of,
    mean_over_seen,
    of_new,
    sample,
)
from gpvae_core.inference.gp_prior.constraint import Terms
from gpvae_core.inference.gp_prior.given_images import ObservedProcess
from gpvae_core.inference.gp_prior.model import GPModel, Predictor
from gpvae_core.inference.gp_prior.representation import Representation
from gpvae_core.inference.gp_prior.represented import context_of, find_vectors, inputs_of_batch, known_categories
from gpvae_core.inference.gp_prior.series import Series, whole_groups
from gpvae_core.likelihoods.gaussian import GaussianLikelihood
from gpvae_core.progress import Progress, silent
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit, pixel_mean


class GPPriorInference(ConditionalInference):
    """Trains encoder, decoder, kernel and approximation together."""

    def __init__(
        self, setup: TrainingSetup, least_variance: float, largest_variance: float, whole_groups: bool
    ) -> None:
        self._setup = setup
        self._bounds = least_variance, largest_variance
        self._whole_groups = whole_groups
        assert isinstance(setup.vae.extra, GPModel)
        self._gp = setup.vae.extra
        self._group = self._gp.prior.group
        self._sums = EpochTerms()

    # -- training ---------------------------------------------------------------------------------------------------

    def batches(self, generator: torch.Generator, batch_size: int) -> Sequence[Int64[Tensor, " B"]]:
        # A missing frame is in no batch, as nothing is learned from it.
        train, seen = self._setup.train, self._setup.train.seen
        network = self._gp.representation
        # The vector of a category is found from its images in the batch, of which none may be elsewhere.
        together = self._gp.prior.inputs.represented if network is not None and not network.pretraining else self._group
        if together:
            return [seen[b] for b in whole_groups(train.columns[together][seen], batch_size, generator)]
        if self._whole_groups and batch_size < len(seen):
            raise UserError(
                f"this method takes all instances of a group at once: wanted prior.group, or batch_size of at least "
                f"the {len(seen)} training images"
            )
        return cut(seen[torch.randperm(len(seen), generator=generator, device=generator.device)], batch_size)

    def step(self, index: Int64[Tensor, " B"], settings: BoundSettings, generator: torch.Generator) -> Step:
        vae, train, network = self._setup.vae, self._setup.train, self._gp.representation
        if network is not None and network.pretraining:
            return self._classified(network, index)
        if network is not None and not network.placed:
            self._place(network)
        terms, _ = self._terms(vae, train, index, len(train.seen_of(index)) / len(train.seen), generator)
        surrogate = self._gp.constraint.surrogate(terms, settings.kl_weight)
        value = (terms.log_likelihood - terms.kl / len(terms.log_likelihood)).detach()
        sums = {"reconstruction": terms.log_likelihood.sum(), "kl": terms.kl, "mse": terms.square_error.sum()}
        self._sums.add(len(value), **sums)
        return Step(Bound(value, surrogate))

    def _classified(self, network: Representation, index: Int64[Tensor, " B"]) -> Step:
        """Return the log probability of each image's category, by which the representation network is pretrained."""
        train = self._setup.train
        codes = train.columns[self._gp.prior.inputs.represented][index]
        log_p = network.log_prob(train.batch(index), codes)
        self._sums.add(len(index), classification=log_p.sum())
        return Step(Bound(log_p.detach(), log_p.mean()))

    @torch.no_grad()
    def _place(self, network: Representation) -> None:
        """Let the approximation start once more, at the vectors that the pretrained network finds."""
        gp, train = self._gp, self._setup.train
        find_vectors(gp, train)
        gp.family.start(gp.prior, gp.prior.at(columns_of(train, train.seen)), self._setup.seed)
        network.placed.fill_(1.0)

    def _terms(
        self, vae: VAE, split: DeviceSplit, index: Int64[Tensor, " B"], share: float, generator: torch.Generator
    ) -> tuple[Terms, Marginals]:
        """Return the terms of the bound of a batch, and the posteriors of its latents (B, D), of missing frames too."""
        posteriors = self._among_all if self._gp.family.takes_all() else self._in_groups
        q, kl = posteriors(split, index, self._observations(vae, split, index), share)
        at = split.is_seen(index)
        if at is None:
            return self._decoded(vae, split, index, q, kl, generator), q
        return self._decoded(vae, split, index[at], Marginals(q.mean[at], q.variance[at]), kl, generator), q

    def _in_groups(
        self, split: DeviceSplit, index: Int64[Tensor, " B"], pseudo: PseudoObservations, share: float
    ) -> tuple[Marginals, Tensor]:
        """Return the posteriors (B, D) given the images of the batch alone, group by group, and the KL term."""
        series, inputs, in_rows = self.arranged(split, index, pseudo)
        found = self._gp.family.approximate(self._gp.prior, inputs, in_rows, 1.0 if self._group else share)
        q = found.marginals
        return Marginals(series.gather(q.mean), series.gather(q.variance)), found.kl.sum()

    def arranged(
        self, split: DeviceSplit, index: Int64[Tensor, " B"], pseudo: PseudoObservations
    ) -> tuple[Series, Float[Tensor, "G T F"], PseudoObservations]:
        """Return the arrangement of a batch of images by group, with its inputs and pseudo-observations (G, D, T)."""
        values = columns_of(split, index)
        series = Series.of(values[self._group] if self._group else None, len(index), index.device)
        in_rows = PseudoObservations(
            series.spread(pseudo.mean.mT).mT, (series.spread(pseudo.precision.mT) * series.present[..., None]).mT
        )
        return series, series.spread(inputs_of_batch(self._gp, split, index)), in_rows

    def _among_all(
        self, split: DeviceSplit, index: Int64[Tensor, " B"], pseudo: PseudoObservations, share: float
    ) -> tuple[Marginals, Tensor]:
        """Return the posteriors (B, D) and the KL term given all images, encoded now, gradients being the batch's."""
        prior, others = self._gp.prior, self.pseudo_observations(split)
        mean, precision = (
            getattr(others, name).index_copy(1, index, getattr(pseudo, name))[None] for name in ("mean", "precision")
        )
        inputs = prior.at(columns_of(split))[None]
        found = self._gp.family.approximate(prior, inputs, PseudoObservations(mean, precision), share)
        q = found.marginals
        return Marginals(q.mean[0, :, index].mT, q.variance[0, :, index].mT), found.kl.sum()

    def _decoded(
        self,
        vae: VAE,
        split: DeviceSplit,
        index: Int64[Tensor, " B"],
        q: Marginals,
        kl: Tensor,
        generator: torch.Generator,
    ) -> Terms:
        """Return the terms of the bound at a sample of the latents, or at their means (`Family.decodes_means`)."""
        x, observed = split.batch(index), split.observed(index)
        z, penalty = sample(q, generator), x.new_zeros(len(x))
        if self._gp.family.decodes_means:
            assert isinstance(vae.likelihood, GaussianLikelihood)
            z, penalty = q.mean, (0.5 * q.variance.sum(1) / vae.likelihood.sigma_x.square()).to(x.dtype)
        g = vae.decode(z.to(x.dtype))
        square_error = pixel_mean((x - vae.likelihood.mean(g)).square(), observed)

        def noise_fit() -> Tensor:
            return vae.likelihood.log_prob(x, g.detach(), observed).mean()

        return Terms(vae.likelihood.log_prob(x, g, observed) - penalty, square_error, kl, noise_fit)

    def _observations(self, vae: VAE, split: DeviceSplit, index: Int64[Tensor, " B"]) -> PseudoObservations:
        """Return the encoder's q~(z|y) of a batch as pseudo-observations (D, B); none of a missing frame."""
        q, seen = vae.encoder(split.batch(index)), split.is_seen(index)
        precision = 1 / q.variance.double().clamp(*self._bounds).mT
        return PseudoObservations(q.mean.double().mT, precision if seen is None else precision * seen)

    # -- what is reported -------------------------------------------------------------------------------------------

    def figures(self) -> dict[str, float]:
        """Return the epoch's terms per training image, the constraint's figures and the kernel's learned parameters.

        Of an epoch that was resumed half way, the terms are those of the images since then.
        """
        kernel = {f"kernel.{name}": value for name, value in self._gp.prior.figures().items()}
        return {**self._sums.take(), **self._gp.constraint.figures(), **kernel}

    @torch.no_grad()
    def score(self) -> float:
        """Return the mean bound of a validation image's log predictive density in nats, from one sample.

        It is E_q(z) log p(y|z) with z at the image's columns given the training images, with groups those of the same
        group; of images of a new group it is their bound. A family that decodes means is scored at them, with the
        penalty of its bound.
        """
        vae, split = self._setup.vae, self._setup.validation
        vae.eval()
        generator = torch.Generator(split.images.device).manual_seed(self._setup.seed)
        new, kl = self.are_new(split).nonzero().squeeze(1), 0.0
        if len(new):
            terms, _ = self._terms(vae, split, new, 1.0, generator)
            kl = float(terms.kl) / len(split.seen)
            if len(new) == len(split):
                return float((terms.log_likelihood.double().sum() - terms.kl) / len(split.seen))
        network = self._gp.representation
        if network is not None and network.pretraining:
            # What stands is the score of z = 0, which does not change while the network is trained alone.
            zero = split.images.new_zeros((len(split), vae.latent_dim), dtype=torch.float64)
            q = Marginals(zero, zero)
        else:
            q = self.latents(split)

        def log_likelihood(index: Int64[Tensor, " B"]) -> Tensor:
            of_batch = Marginals(q.mean[index], q.variance[index])
            return self._decoded(vae, split, index, of_batch, q.mean.new_zeros(()), generator).log_likelihood

        return mean_over_seen(split, log_likelihood) - kl

    def ready(self, *splits: DeviceSplit) -> None:
        find_vectors(self._gp, self._setup.train, *splits)

    def scored(self, split: DeviceSplit) -> Int64[Tensor, " S"]:
        if self._gp.representation is None:
            return split.seen
        context = context_of(self._gp, split, known_categories(self._gp, self._setup.train))
        return split.seen[~context[split.seen]]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset({*self._gp.prior.inputs.features, self._group} - {""})

    @property
    def group(self) -> str:
        return self._group

    @property
    def dependent(self) -> str:
        return self._group or self._gp.prior.inputs.represented

    def are_new(self, split: DeviceSplit) -> Bool[Tensor, " N"]:
        if not self._group:
            return super().are_new(split)
        return of_new(split.columns, [self._setup.train], self._group)

    def rests_on_none(self, values: Mapping[str, Tensor], given: Sequence[DeviceSplit]) -> Bool[Tensor, " N"]:
        found = of_new(values, given, self._group) if self._group else super().rests_on_none(values, given)
        for name in self._gp.prior.essential:  # vectors that are learned in training, whatever is given later
            found |= of_new(values, [self._setup.train], name)
        return found

    def given(self, split: DeviceSplit) -> str:
        new, name = self.are_new(split), self._group
        own, given = (
            f"all frames of the same {name}, themselves among them",
            "the training images" + f" of the same {name}" * bool(name),
        )
        given = own if bool(new.all()) else f"{given}, or of a new one {own}" if bool(new.any()) else given
        network, name = self._gp.representation, self._gp.prior.inputs.represented
        return given if network is None else f"{given}, and the first {network.most} images of each new {name}"

    def decode(self, z: Float[Tensor, "*batch B D"], values: Mapping[str, Tensor]) -> Float[Tensor, "*batch B C H W"]:
        """Return the decoder's output, which is a function of the latents alone."""
        return self._setup.vae.decode(z)

    @torch.no_grad()
    def latents(self, split: DeviceSplit) -> Marginals:
        """Return the posteriors (N, D) of the latents of a split that is not the training images.

        They are given the training images, with groups those of the same group. Images of a group that has none are
        given the images of their own group in the split, themselves among them.
        """
        if not self._group:
            self.ready(split)
            predicted = self.predictor().predict(self._gp.prior.at(columns_of(split)))
            return Marginals(predicted.mean.mT, predicted.variance.mT)
        vae, values, new = self._setup.vae, columns_of(split), self.are_new(split)
        q = Marginals(*torch.zeros(2, len(split), vae.latent_dim, dtype=torch.float64, device=new.device))
        if len(index := new.nonzero().squeeze(1)):
            generator = torch.Generator(index.device).manual_seed(self._setup.seed)
            own = self._terms(vae, split, index, 1.0, generator)[1]
            q.mean[index], q.variance[index] = own.mean, own.variance
        if len(index := (~new).nonzero().squeeze(1)):
            at = {name: column[index] for name, column in values.items()}
            found = self.given_images([self._setup.train]).at(at, silent)
            q.mean[index], q.variance[index] = found.mean, found.variance
        return q

    @torch.no_grad()
    def published(self, split: DeviceSplit) -> tuple[Marginals, Published]:
        if self._gp.family.decodes_means:
            return self.latents(split), "mean"
        if self._group:
            return self.latents(split), "sample"
        self.ready(split)
        q = self.predictor().process(self._gp.prior.at(columns_of(split)))
        return Marginals(q.mean.mT, q.variance.mT), "sample"

    @torch.no_grad()
    def given_images(self, splits: Sequence[DeviceSplit]) -> ObservedProcess:
        return ObservedProcess(self._gp, splits, [self.pseudo_observations(split) for split in splits])

    @torch.no_grad()
    def predictor(self, given: DeviceSplit | None = None, index: Int64[Tensor, " N"] | None = None) -> Predictor:
        """Return the process given all training images, or the images of another split at `index`, of one group."""
        given = self._setup.train if given is None else given
        prior, pseudo = self._gp.prior, self.pseudo_observations(given, index)
        return self._gp.family.given(prior, prior.at(columns_of(given, index)), pseudo)

    @torch.no_grad()
    def pseudo_observations(self, split: DeviceSplit, index: Int64[Tensor, " N"] | None = None) -> PseudoObservations:
        """Return the pseudo-observations (D, N) of all images of a split, or of those at `index`, encoded in pieces."""
        index = torch.arange(len(split), device=split.images.device) if index is None else index
        pieces = [self._observations(self._setup.vae, split, part) for part in index.split(CHUNK)]
        mean, precision = (torch.cat([getattr(piece, name) for piece in pieces], 1) for name in ("mean", "precision"))
        return PseudoObservations(mean, precision)

    def finish(self, progress: Progress) -> dict[str, float]:
        """Do nothing, as the trained model is complete."""
        return {}
