"""Controls of each kernel's hyper-parameters: names, ranges and defaults, with one class per likelihood."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from gpvae_core.errors import UserError, unknown
from gpvae_core.inspection.mapa_lab.image_views import Slider
from gpvae_core.inspection.views import Array
from gpvae_core.likelihoods import Likelihood
from gpvae_core.mapa.kernels.base import Kernel
from gpvae_core.mapa.kernels.bernoulli import BernoulliKernel
from gpvae_core.mapa.kernels.continuous_bernoulli import ContinuousBernoulliKernel
from gpvae_core.mapa.kernels.gaussian import GaussianKernel

CANDIDATES = 25
"""Number of values of the first hyper-parameter that `ImageLab.best` compares."""
RHO = Slider("rho", "ρ, softening", 0.51, 0.999, 0.9, False, "probability that a pixel equals its neighbour's (eq. 21)")


class KernelControls(ABC):
    """Base class of the controls of one kernel.

    The first slider controls how peaked the posterior is, and can change without a new search for neighbours.
    """

    @abstractmethod
    def sliders(self, likelihood: Likelihood) -> tuple[Slider, ...]:
        """Return the controls with the defaults for this likelihood."""

    @abstractmethod
    def kernel(self, values: Mapping[str, float]) -> Kernel:
        """Return the kernel with these hyper-parameters. Raises UserError if a value is out of range."""

    @abstractmethod
    def words(self, values: Mapping[str, float]) -> str:
        """Describe the kernel with these hyper-parameters."""


class GaussianControls(KernelControls):
    """Controls of the Gaussian kernel k(x_n|x_i) = N(x_n; x_i, bandwidth^2 I)."""

    def sliders(self, likelihood: Likelihood) -> tuple[Slider, ...]:
        sigma = likelihood.noise_scale()
        assert sigma is not None, "a Gaussian likelihood has a noise scale"
        words = "standard deviation of the kernel, pixel units; the default is the model's own sigma_x"
        return (Slider("bandwidth", "bandwidth", min(0.02, sigma), max(2.0, sigma), sigma, True, words),)

    def kernel(self, values: Mapping[str, float]) -> Kernel:
        return GaussianKernel(values["bandwidth"])

    def words(self, values: Mapping[str, float]) -> str:
        return f"Gaussian kernel, bandwidth {values['bandwidth']:.3g} pixel units"


class BernoulliControls(KernelControls):
    """Controls of the Bernoulli kernel, eq. 21 softened on both sides."""

    def sliders(self, likelihood: Likelihood) -> tuple[Slider, ...]:
        return (RHO,)

    def kernel(self, values: Mapping[str, float]) -> Kernel:
        return BernoulliKernel(values["rho"])

    def words(self, values: Mapping[str, float]) -> str:
        return f"Bernoulli kernel, ρ = {values['rho']:.3g}"


class ContinuousBernoulliControls(KernelControls):
    """Controls of the continuous Bernoulli kernel with a temperature."""

    def sliders(self, likelihood: Likelihood) -> tuple[Slider, ...]:
        words = "divisor of log k; above 1 the posterior is flatter"
        return (Slider("temperature", "temperature", 0.1, 100.0, 1.0, True, words), RHO)

    def kernel(self, values: Mapping[str, float]) -> Kernel:
        return ContinuousBernoulliKernel(values["rho"], values["temperature"])

    def words(self, values: Mapping[str, float]) -> str:
        return f"continuous Bernoulli kernel, ρ = {values['rho']:.3g}, temperature {values['temperature']:.3g}"


CONTROLS: Mapping[str, KernelControls] = {
    "gaussian": GaussianControls(),
    "bernoulli": BernoulliControls(),
    "continuous_bernoulli": ContinuousBernoulliControls(),
}
"""The controls by the kind of likelihood."""


def controls_of(kind: str) -> KernelControls:
    """Return the controls of a likelihood's kernel. Raises UserError if the likelihood has no kernel."""
    if kind not in CONTROLS:
        raise unknown("likelihood with a kernel", kind, CONTROLS)
    return CONTROLS[kind]


def checked(sliders: tuple[Slider, ...], values: Mapping[str, float]) -> dict[str, float]:
    """Return one number per slider. Raises UserError if names are missing or unknown."""
    names = [slider.name for slider in sliders]
    if set(values) != set(names):
        raise UserError(f"wanted a value of {', '.join(names)}, got {', '.join(values) or 'none'}")
    return {name: float(values[name]) for name in names}


def candidates(slider: Slider) -> Array:
    """Return CANDIDATES values over the slider's range."""
    if slider.logarithmic:
        return np.geomspace(slider.low, slider.high, CANDIDATES)
    return np.linspace(slider.low, slider.high, CANDIDATES)
