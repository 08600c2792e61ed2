"""The flow prior: its inverse, its density against autodiff and by quadrature, and runs that have it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gpvae_core import load_run
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.priors.flow import Coupling, FlowPriorConfig, SplineFlow
from gpvae_core.priors.pushforward import Pushforward
from gpvae_core.run_config import RunConfig
from gpvae_core.training import train
from tests.short_training import assert_trains_and_resumes

DATA = DataConfig(name="digits")
SMALL = {"net.hidden": 16, "latent_dim": 2, "train.epochs": 2, "prior.kind": "flow", "flow_hidden": 8, "transforms": 2}


def noise(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def flow(d: int, wild: float = 0.0) -> SplineFlow:
    """A new flow; with `wild` above 0 one whose weights were moved at random, far from the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(d)
        h = SplineFlow(d, 4, 6, 16)
        with torch.no_grad():
            for p in h.parameters():
                p.add_(wild * torch.randn(p.shape))
    return h


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_it_starts_near_the_identity_and_stays_sane_far_out(d: int) -> None:
    u = noise(500, d)
    torch.testing.assert_close(flow(d)(u), u, atol=0.2, rtol=0.0)
    far = 1e4 * torch.sign(noise(20, d))
    z = flow(d, wild=0.1)(far)
    assert bool((z.abs() < 1e6).all())
    assert bool(flow(d, wild=0.1).log_density(far).isfinite().all())


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_its_inverse_undoes_it_in_float32(d: int) -> None:
    h, u = flow(d, wild=0.1), noise(4, 500, d, scale=1.5)
    z = h(u)
    assert bool((z - u).abs().mean() > 0.3)
    torch.testing.assert_close(h.inverse(z)[0], u, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_its_density_is_the_change_of_variables_by_autodiff(d: int) -> None:
    h, u = flow(d, wild=0.1).double(), noise(20, d).double()
    jacobians = torch.stack([torch.autograd.functional.jacobian(h, row) for row in u])  # pyright: ignore[reportArgumentType]
    log_u = -0.5 * u.square().sum(1) - 0.5 * d * math.log(2 * math.pi)
    torch.testing.assert_close(h.log_density(h(u)), log_u - torch.linalg.slogdet(jacobians).logabsdet)


@torch.no_grad()
def test_its_density_integrates_to_one() -> None:
    axis = torch.linspace(-9, 9, 451, dtype=torch.float64)
    cell = float(axis[1] - axis[0])
    assert abs(float(flow(1, wild=0.1).double().log_density(axis[:, None]).exp().sum()) * cell - 1) < 1e-3
    h = flow(2, wild=0.1).double()
    h.start_at(torch.zeros(2), torch.tensor([[1.0, 0.0], [0.8, 0.6]]))
    total = sum(float(h.log_density(rows).exp().sum()) for rows in torch.cartesian_prod(axis, axis).split(1 << 18))
    assert abs(total * cell**2 - 1) < 1e-3


def test_it_starts_where_it_is_told() -> None:
    h, m, chol = flow(2), torch.tensor([3.0, -1.0]), torch.tensor([[2.0, 0.0], [-1.0, 0.5]])
    h.start_at(m, chol)
    z = h(noise(20000, 2))
    torch.testing.assert_close(z.mean(0), m, atol=0.05, rtol=0.0)
    torch.testing.assert_close(z.T.cov(), chol @ chol.T, atol=0.15, rtol=0.0)


@pytest.mark.parametrize("d", range(2, 18))
def test_any_two_coordinates_are_once_in_different_halves(d: int) -> None:
    h = SplineFlow(d, 2 * (d - 1).bit_length(), 2, 2)
    halves = [torch.isin(torch.arange(d), step.unchanged) for step in h.steps if isinstance(step, Coupling)]
    separated = torch.stack([half[:, None] != half[None, :] for half in halves]).any(0)
    assert bool((separated | torch.eye(d, dtype=torch.bool)).all())
    assert all(0 < int(half.sum()) < d for half in halves)


def config(settings: dict[str, object] | None = None, method: str = "vae") -> RunConfig:
    return make_config(method, DATA, (1, 8, 8), {**SMALL, **(settings or {})})


def test_its_gradient_reaches_every_weight() -> None:
    torch.manual_seed(0)
    decoder = FlowPriorConfig(transforms=2, bins=4, flow_hidden=8).wrap(nn.Linear(3, 5), 3)
    decoder(noise(10, 3)).square().sum().backward()
    names = [name for name, p in decoder.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert names == []


def test_an_ordinary_method_trains_with_it(tmp_path: Path) -> None:
    assert_trains_and_resumes(tmp_path, config({"latent_dim": 3, "train.lr": 2e-3}), load(DATA))


def test_a_run_with_it_loads_and_gives_its_decoder_to_others(tmp_path: Path) -> None:
    data = load(DATA)
    source = load_run(train(config(), tmp_path / "source", data=data))
    assert isinstance(source.model.decoder, Pushforward)
    gp_config = make_config("gp", DATA, data.event_shape, {"train.epochs": 1}, decoder_of=source.config)
    assert gp_config.prior == source.config.prior
    after = load_run(train(gp_config, tmp_path / "gp", data=data, decoder_from=("source", source.model)))
    assert after.decoder_fingerprint == source.decoder_fingerprint
    x = data.test.pixels([0, 1])
    left, right = (run.true_posterior(x) for run in (source, after))
    assert [t.log_px for t in left] == [t.log_px for t in right]  # pyright: ignore[reportGeneralTypeIssues]
    with pytest.raises(UserError, match="keeps the prior"):
        make_config("gp", DATA, data.event_shape, {"prior.kind": "normal"}, decoder_of=source.config)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="bins"):
        config({"bins": 1})
    with pytest.raises(UserError, match="transforms"):
        config({"transforms": 0})
    with pytest.raises(UserError, match="did you mean 'flow'"):
        config({"prior.kind": "flows"})


def test_the_laplace_refiner_says_that_it_wants_a_plain_prior() -> None:
    with pytest.raises(UserError, match=r"Pushforward.*prior\.kind=normal"):
        config(method="vlae").build((1, 8, 8))
