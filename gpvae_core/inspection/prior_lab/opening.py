"""The lab of a run on images given their columns."""

from __future__ import annotations

from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inspection.prior_lab.conditional_vae import ConditionalVAELab
from gpvae_core.inspection.prior_lab.lab import ConditionalLab
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.runs import Run


def lab_of(run: Run, name: str = "") -> ConditionalLab:
    """Return the lab of a run, under a name of its own or that of its folder.

    Raises:
        UserError: the run models images alone, or its data cannot be loaded.
    """
    return PriorLab(run, name) if isinstance(run.model.extra, GPModel) else ConditionalVAELab(run, name)
