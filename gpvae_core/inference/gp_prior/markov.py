"""GP-VAEs of time series in linear time: the exact posterior of a Matern process by Kalman filter and smoother."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gpvae_core.covariances.matern import MaternConfig
from gpvae_core.covariances.stationary import Stationary
from gpvae_core.errors import UserError, clipped
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.gp_prior.state_space import MarkovPosterior, MaternProcess
from gpvae_core.inference.base import INFERENCES
from gpvae_core.inference.gp_prior.config import WholeGroupsConfig
from gpvae_core.inference.gp_prior.model import Approximation, Family, LinearPredictor, Predictor
from gpvae_core.priors.gp import GPPrior


def process_of(prior: GPPrior) -> MaternProcess:
    """Return the kernel as a state-space model. Raises UserError unless it is one Matern kernel of one number."""
    kernel = prior.kernel
    if not isinstance(kernel, Stationary) or prior.inputs.width != 1 or prior.inputs.tables:
        raise _unsuitable(prior)
    if not isinstance(kernel.config, MaternConfig):
        raise _unsuitable(prior)
    return MaternProcess(kernel.config.nu, kernel.length_scale(), kernel.variance())


def _unsuitable(prior: GPPrior) -> UserError:
    names = list(prior.inputs.tables)
    return UserError(
        "method 'markov' wants one Matern kernel of one number, such as --set prior.kernel='matern(time, nu=1.5)', got "
        f"'{clipped(prior.config.kernel)}'" + (f", where '{names[0]}' is a category" if names else "")
    )


class MarkovPredictor(LinearPredictor):
    """The exact posterior of one group, in time linear in the number of its instances and of the inputs asked for."""

    def __init__(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> None:
        self._process, self._times, self._pseudo = process_of(prior), inputs[:, 0], pseudo

    def predict(self, inputs: Float[Tensor, "S F"]) -> Marginals:
        return self._predicted(inputs, self._pseudo)

    def weights(self, inputs: Float[Tensor, "S F"]) -> Float[Tensor, "D S N"]:
        # As the smoother is linear in y~, and channels are apart, row s is the gradient of sum_d m_ds.
        with torch.enable_grad():
            y = self._pseudo.mean.detach().requires_grad_()
            means = self._predicted(inputs, PseudoObservations(y, self._pseudo.precision)).mean.sum(0)
            rows = [torch.autograd.grad(mean, y, retain_graph=True)[0] for mean in means]
        return torch.stack(rows, 1) if rows else y.new_zeros(len(y), 0, y.shape[1])

    def _predicted(self, inputs: Float[Tensor, "S F"], pseudo: PseudoObservations) -> Marginals:
        """Return the marginals at these inputs, given other pseudo-observations at the same instants."""
        # The inputs asked for are instants without an observation.
        times = torch.cat([self._times, inputs[:, 0]])
        unseen = pseudo.mean.new_zeros(len(pseudo.mean), len(inputs))
        all_of = PseudoObservations(torch.cat([pseudo.mean, unseen], -1), torch.cat([pseudo.precision, unseen], -1))
        order = times.argsort(stable=True)
        in_order = PseudoObservations(all_of.mean[:, order], all_of.precision[:, order])
        q = MarkovPosterior(self._process, times[order], in_order).marginals()
        places = order.argsort()[len(self._times) :]
        return Marginals(q.mean[:, places], q.variance[:, places])


class Markov(Family):
    """q(Z) is the exact posterior, as in `Exact`, of groups whose instances are taken in the order of time."""

    rests_on_observations: ClassVar[bool] = True
    is_smoother: ClassVar[bool] = True

    def check(self, prior: GPPrior) -> None:
        process_of(prior)

    def approximate(
        self, prior: GPPrior, inputs: Float[Tensor, "G T F"], pseudo: PseudoObservations, share: float
    ) -> Approximation:
        times, order = inputs[..., 0].sort(stable=True)
        by_channel = order.unsqueeze(-2).expand_as(pseudo.mean)
        in_order = PseudoObservations(pseudo.mean.gather(-1, by_channel), pseudo.precision.gather(-1, by_channel))
        posterior = MarkovPosterior(process_of(prior), times, in_order)
        q = posterior.marginals()
        kl = (in_order.expected_log(q).sum(-1) - posterior.log_evidence()).sum(-1)
        back = by_channel.argsort(-1)
        return Approximation(Marginals(q.mean.gather(-1, back), q.variance.gather(-1, back)), kl)

    def given(self, prior: GPPrior, inputs: Float[Tensor, "N F"], pseudo: PseudoObservations) -> Predictor:
        return MarkovPredictor(prior, inputs, pseudo)


@INFERENCES.register("markov")
class MarkovConfig(WholeGroupsConfig):
    """Exact GP-VAE of time series with a Matern kernel, in time linear in the number of frames."""

    kind: ClassVar[str] = "markov"
    method: ClassVar[str] = "markov"

    def family(self, width: int, latent_dim: int) -> Markov:
        return Markov()
