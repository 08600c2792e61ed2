"""Latents under a GP prior given images of a number of splits, group by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.conditional import GivenImages, columns_of
from gpvae_core.inference.gp_prior.model import GPModel, Predictor
from gpvae_core.progress import Progress
from gpvae_core.validation import DeviceSplit


class ObservedProcess(GivenImages):
    """The process given the pseudo-observations of images, by group: all are one group where the run has none."""

    def __init__(self, model: GPModel, splits: Sequence[DeviceSplit], pseudo: Sequence[PseudoObservations]) -> None:
        self._model, self._mean = model, torch.cat([piece.mean for piece in pseudo], 1)
        self._precision = torch.cat([piece.precision for piece in pseudo], 1)
        self._inputs = torch.cat([model.prior.at(columns_of(split)) for split in splits])
        self._group = torch.cat([_groups(model, columns_of(split), len(split)) for split in splits])

    def at(self, values: Mapping[str, Tensor], progress: Progress) -> Marginals:
        wanted = self._model.prior.at(values)
        group, q = _groups(self._model, values, len(wanted)), self._empty(len(wanted))
        codes = group.unique().tolist()
        for number, code in enumerate(codes, 1):
            rows = (group == code).nonzero().squeeze(1)
            found = self._of_group(code)[0].predict(wanted[rows])
            q.mean[rows], q.variance[rows] = found.mean.mT, found.variance.mT
            progress(number, len(codes), "inferring latents")
        return q

    def of_images(self, low: int, high: int, progress: Progress) -> Marginals:
        q = self._empty(high - low)
        codes = self._group[low:high].unique().tolist()
        for number, code in enumerate(codes, 1):
            predictor, inputs, index = self._of_group(code)
            # By the same tensor of inputs a kernel knows that these are the instances themselves, whose noise they
            # share.
            found = predictor.predict(inputs)
            own = (index >= low) & (index < high)
            q.mean[index[own] - low], q.variance[index[own] - low] = found.mean.mT[own], found.variance.mT[own]
            progress(number, len(codes), "inferring latents")
        return q

    def _of_group(self, code: int) -> tuple[Predictor, Float[Tensor, "M F"], Int64[Tensor, " M"]]:
        """Return the process given the images of a group, with their inputs and their indices among all images."""
        index = (self._group == code).nonzero().squeeze(1)
        inputs, pseudo = self._inputs[index], PseudoObservations(self._mean[:, index], self._precision[:, index])
        return self._model.family.given(self._model.prior, inputs, pseudo), inputs, index

    def _empty(self, count: int) -> Marginals:
        """Return marginals (count, D) to be filled."""
        return Marginals(*self._mean.new_zeros(2, count, len(self._mean)))


def _groups(model: GPModel, values: Mapping[str, Tensor], count: int) -> Int64[Tensor, " N"]:
    """Return the code of each row's group; 0 where the run has no groups."""
    device = next(iter(values.values())).device
    return values[model.prior.group] if model.prior.group else torch.zeros(count, dtype=torch.int64, device=device)
