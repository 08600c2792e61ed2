"""The identities and the decoder of a conditional VAE, the rival that has no process over its columns."""

from __future__ import annotations

import torch
from torch import Tensor

from gpvae_core.data.auxiliary import Column
from gpvae_core.errors import UserError
from gpvae_core.evaluation.process import conditional_inference
from gpvae_core.inference.condition import Condition
from gpvae_core.inference.cvae import ConditionalVAE, Identities
from gpvae_core.inspection.prior_lab.lab import ConditionalLab, Values, marginals_of
from gpvae_core.inspection.prior_lab.views import Rests
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.progress import silent
from gpvae_core.runs import Run


class ConditionalVAELab(ConditionalLab):
    """The latents of identities and the decoder, which knows the columns, of one run of `cvae`.

    Raises:
        UserError: the run is of another method, or its data cannot be loaded.
    """

    def __init__(self, run: Run, name: str = "") -> None:
        engine = conditional_inference(run, run.config.seed)
        if not isinstance(engine, ConditionalVAE):
            raise UserError(f"run '{run.name}' is no conditional VAE: wanted a run of method cvae")
        super().__init__(run, engine, name)
        self.rival = engine
        assert isinstance(run.model.extra, Condition)
        self.condition = run.model.extra

    @property
    def columns(self) -> tuple[Column, ...]:
        known = {column.name: column for column in self.run.meta.columns}
        own, identity = self.condition.columns, self.condition.identity
        return own if not identity or known[identity] in own else (*own, known[identity])

    @property
    def group(self) -> str:
        return ""

    @property
    def rests(self) -> Rests:
        return "identity" if self.condition.identity else "nothing"

    @property
    def has_process(self) -> bool:
        return False

    def _identities(self, split: str) -> Identities:
        """Return the latents of the identities that images of a split show, encoded once."""
        return self.results.get(("identities", split), lambda: self.rival.given_images([self.on_device[split]]))

    def predicted(self, values: Values) -> tuple[Array, Array]:
        return marginals_of(self._identities("train").at(self.tensors(values), silent))

    def weights(self, values: Values) -> Tensor | None:
        """Return 1 / n for each of the n training images of the same identity, as the predicted mean is their mean.

        A missing frame is none of them.
        """
        identity = self.condition.identity
        if not identity:
            return None
        train = self.on_device["train"]
        own = train.columns[identity] == self.tensors(values)[identity][:, None]
        own &= torch.zeros(len(train), dtype=torch.bool, device=own.device).index_fill(0, train.seen, True)
        weights = own.double() / own.sum(1, keepdim=True).clamp_min(1)
        return weights.expand(self.run.config.latent_dim, *weights.shape)

    def image_means(self, split: str, index: Indices) -> Array:
        """Return the means (M, D) of q(z|y, c) of each image alone."""
        encoded = self._identities(split).of_images(0, len(self.splits[split]), silent)
        return encoded.mean.cpu().numpy()[index]

    def length_scales(self) -> tuple[tuple[float, bool], ...]:
        return ()
