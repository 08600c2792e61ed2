"""The state of the VI Lab: the choices that stand in its address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import param

from dashboards.lab.address import Checked, PageState, two_numbers
from gpvae_core.errors import UserError

A, B = "A", "B"
"""The two inferences that are shown side by side."""
FARTHEST = 8.0
"""Largest coordinate of the mean of q(z) at the start."""


def start_of(text: str) -> tuple[float, float]:
    """Return the mean of q(z) at the start from its text 'z1,z2'.

    Raises:
        UserError: there are not two numbers, or one is too large.
    """
    place = two_numbers("start", text)
    if max(map(abs, place)) > FARTHEST:
        raise UserError(f"start: wanted numbers from -{FARTHEST:g} to {FARTHEST:g}, got '{text[:40]}'")
    return place


class VILabState(PageState):
    """The choices of one VI Lab page; target, families and methods are texts such as 'black-box:64,rate=0.1'."""

    target = param.String("mixture,components=-2:-1:0.7:0.6 2:1.2:0.6:0.4", doc="Target, whose posterior is known")
    family_a = param.String("full", doc="Family of q(z) of inference A")
    method_a = param.String("black-box:64", doc="Method of inference A")
    family_b = param.String("full", doc="Family of q(z) of inference B")
    method_b = param.String("black-box:64,divergence=forward-kl", doc="Method of inference B")
    count = param.Integer(100, bounds=(1, 1000), doc="Number of steps")
    start = Checked("-0.5,0", check=start_of, doc="Mean of q(z) at the start: z1, z2")
    start_sd = param.Number(1.0, bounds=(0.05, 5.0), doc="Standard deviation of q(z) at the start")
    seed = param.Integer(0, bounds=(0, 999_999), doc="Seed of the samples and the batches")
    divergence = param.String("forward-kl", doc="Divergence that is drawn against the steps")
    noise_of = param.Selector(default=A, objects=[A, B], doc="Inference whose gradient's noise is measured")
    noise_at = param.Selector(default="start", objects=["start", "end"], doc="Step at which it is measured")
    against = param.Selector(default="samples", objects=["samples", "batch"], doc="What the noise is drawn against")
    address_names: ClassVar[Mapping[str, str]] = {"count": "steps", "start_sd": "sd"}
    steps = ("target",)
