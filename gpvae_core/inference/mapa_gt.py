"""MAPA's bound with the model's own index posterior in place of MAPA (Yacoby et al. 2024, "MAPA-GT")."""

from __future__ import annotations

from typing import ClassVar

from gpvae_core.inference.base import INFERENCES, TrainingSetup
from gpvae_core.inference.index_posterior import IndexInferenceConfig, IndexSampling
from gpvae_core.mapa.batches import RandomBatches
from gpvae_core.mapa.empirical import EmpiricalizedModel
from gpvae_core.mapa.proposals import ModelProposal
from gpvae_core.progress import Progress


@INFERENCES.register("mapa_gt")
class MapaGtConfig(IndexInferenceConfig):
    """MAPA's bound with the model's own index posterior; each step decodes all codes (a reference for small data)."""

    kind: ClassVar[str] = "mapa_gt"
    method: ClassVar[str] = "mapa-gt"

    def prepare(self, setup: TrainingSetup, model: EmpiricalizedModel, progress: Progress) -> IndexSampling:
        return IndexSampling(ModelProposal(model), RandomBatches(model.n_total))
