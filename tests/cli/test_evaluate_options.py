"""The options of `gpvae evaluate` have the bounds and the defaults of the settings that they set."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest
from annotated_types import Ge, Le, Lt
from pydantic import BaseModel

from gpvae_core.cli.evaluate import command
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.mixture_proposal import MixtureProposalSettings
from gpvae_core.truth.posterior_samples import HMCSettings

OWN = ("split", "k", "instances", "truths", "seed", "bandwidth", "simulated", "hmc")
SETTINGS: dict[str, tuple[type[BaseModel], str]] = {
    **{name: (EvaluationSettings, name) for name in OWN},
    "ais_steps": (AISSettings, "steps"),
    "ais_chains": (AISSettings, "chains"),
    "hmc_draws": (HMCSettings, "draws"),
    "mixture_samples": (MixtureProposalSettings, "bound_samples"),
    "mixture_epochs": (MixtureProposalSettings, "epochs"),
}


@pytest.mark.parametrize("option", SETTINGS)
def test_an_option_has_the_bounds_and_the_default_of_its_setting(option: str) -> None:
    """The command cannot read them from the settings: its help is up before torch, which they need, is imported."""
    model, name = SETTINGS[option]
    field = model.model_fields[name]
    info: Any = get_type_hints(command, include_extras=True)[option].__metadata__[0]
    bounds = [bound for bound in field.metadata if isinstance(bound, Ge | Le | Lt)]
    tops: list[tuple[object, Any]] = [(b, b.lt if isinstance(b, Lt) else b.le) for b in bounds if not isinstance(b, Ge)]
    assert info.min == next((bound.ge for bound in bounds if isinstance(bound, Ge)), None)
    upper = [value - 1 if isinstance(bound, Lt) else value for bound, value in tops]
    assert info.max == next(iter(upper), None)
    default = inspect.signature(command).parameters[option].default
    if default is not None:  # None stands for a default that is named in the help
        assert default == field.default
