"""MAPA's bound with a uniform distribution in place of MAPA (Yacoby et al. 2024, "MAPA-naive")."""

from __future__ import annotations

from typing import ClassVar

from gpvae_core.inference.base import INFERENCES, TrainingSetup
from gpvae_core.inference.index_posterior import IndexInferenceConfig, IndexSampling
from gpvae_core.mapa.batches import RandomBatches
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.proposals import UniformProposal
from gpvae_core.progress import Progress


@INFERENCES.register("mapa_naive")
class MapaNaiveConfig(IndexInferenceConfig):
    """MAPA's bound with uniformly drawn indices (a baseline that shows what MAPA contributes)."""

    kind: ClassVar[str] = "mapa_naive"
    method: ClassVar[str] = "mapa-naive"

    def prepare(self, setup: TrainingSetup, model: EmpiricalizedModel, progress: Progress) -> IndexSampling:
        return IndexSampling(UniformProposal(model.n_total), RandomBatches(model.n_total))
