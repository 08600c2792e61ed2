"""Deep SVIGP: the sparse GP of Hensman et al. 2013 with a decoder as its likelihood (Jazbec et al. 2021, C.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import GPPriorInferenceConfig, InducingConfig
from gpvae_core.inference.gp_prior.hensman import FreePosterior


class DecodedMeans(FreePosterior):
    """A free q(f_m) whose means m_i are decoded, not samples; the spread about them is a penalty.

    The bound of C.5 is sum_i log N(y_i; psi(m_i), sigma^2 I) - sum_l v_i^l / (2 sigma^2) - sum_l KL(q(f_m^l) || p),
    as k~_ii + Tr(A Lambda_i) there is the marginal variance v_i of eq. 3.
    """

    decodes_means: ClassVar[bool] = True


@INFERENCES.register("deep-svigp")
class DeepSvigpConfig(InducingConfig):
    """Deep SVIGP of Jazbec et al. 2021, C.5: a sparse GP without an encoder, decoded at its means."""

    kind: ClassVar[str] = "deep-svigp"
    method: ClassVar[str] = "deep-svigp"
    only: ClassVar[Mapping[str, Any]] = {**GPPriorInferenceConfig.only, "likelihood": "gaussian"}
    takes_groups: ClassVar[bool] = False
    needs_whole_groups: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ("least_variance", "largest_variance")

    def family(self, width: int, latent_dim: int) -> DecodedMeans:
        return DecodedMeans(self.inducing(width), latent_dim)
