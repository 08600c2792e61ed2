"""The process of a run with a GP prior, given images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gpvae_core.data.auxiliary import Column
from gpvae_core.evaluation.process import inference_of
from gpvae_core.gp_prior.pseudo import Marginals
from gpvae_core.inference.gp_prior.model import GPModel, LinearPredictor, Predictor
from gpvae_core.inspection.prior_lab.lab import ConditionalLab, Values, marginals_of
from gpvae_core.inspection.prior_lab.views import InstanceMeasure, Rests
from gpvae_core.inspection.views import Array, Indices
from gpvae_core.runs import Run


class PriorLab(ConditionalLab):
    """The process and the decoder of one run with a GP prior.

    Raises:
        UserError: the run has another prior, or its data cannot be loaded.
    """

    def __init__(self, run: Run, name: str = "") -> None:
        self.process = inference_of(run, run.config.seed)
        super().__init__(run, self.process, name)
        assert isinstance(run.model.extra, GPModel)
        self.model = run.model.extra
        self.prior = self.model.prior
        self.measured: dict[tuple[str, int], InstanceMeasure] = {}
        """The series and images that were measured so far, by split and code or index."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.run.meta.columns if column.name in self.prior.inputs.features)

    @property
    def group(self) -> str:
        return self.prior.group

    @property
    def rests(self) -> Rests:
        return "weights" if self.model.family.is_smoother else "free"

    @property
    def has_process(self) -> bool:
        return True

    def given(self, split: str, index: Indices) -> Predictor:
        """Return the process given images of a split, all of one series where there are series."""
        at = torch.as_tensor(np.asarray(index), device=self.run.device)
        return self.process.predictor(self.on_device[split], at)

    def given_training(self) -> Predictor:
        """Return the process given all training images."""
        return self.results.get("given training", self.process.predictor)

    def at(self, values: Values) -> Tensor:
        """Return the kernel's inputs at values of the columns."""
        return self.prior.at(self.tensors(values))

    @torch.no_grad()
    def predicted_by(self, given: Predictor, values: Values) -> tuple[Array, Array]:
        """Return means and variances (P, D) of the latents at values of the columns."""
        q = given.predict(self.at(values))
        return marginals_of(Marginals(q.mean.mT, q.variance.mT))

    def predicted(self, values: Values) -> tuple[Array, Array]:
        return self.predicted_by(self.given_training(), values)

    def weights_by(self, given: Predictor, values: Values) -> Tensor | None:
        """Return the weights (D, P, N) of the images given in the predicted means at values of the columns.

        None where the family's posterior has parameters of its own, so that no prediction rests on images.
        """
        return given.weights(self.at(values)) if isinstance(given, LinearPredictor) else None

    def weights(self, values: Values) -> Tensor | None:
        return self.weights_by(self.given_training(), values)

    def image_means(self, split: str, index: Indices) -> Array:
        """Return the posterior means (M, D) of the images, given those of their series, or all training images."""
        if self.group:
            return self.latents(split).mean.cpu().numpy()[index]
        auxiliary = self.auxiliary(split).take(np.asarray(index, np.int64))
        return self.predicted({column.name: auxiliary[column.name] for column in self.columns})[0]

    def length_scales(self) -> tuple[tuple[float, bool], ...]:
        found = self.prior.parameters_of_kernel().items()
        scales = [value for name, (_, value) in found if name.endswith(".length_scale")]
        return tuple((float(value()), value.learned) for value in scales)
