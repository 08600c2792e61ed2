"""Gaps against the linear-Gaussian model, where each is known in closed form; the table's file; the proposal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gpvae_core.densities.base import Posterior
from gpvae_core.densities.defensive_mixture import DefensiveMixture
from gpvae_core.errors import UserError
from gpvae_core.gaps import GapTable, instance_gaps
from gpvae_core.likelihoods import GaussianLikelihood
from gpvae_core.truth.best_gaussian import best_gaussians
from gpvae_core.truth.evidence import Evidence
from gpvae_core.truth.settings import EstimatorName, TruthSettings
from gpvae_core.truth.truth import Truth, resolved_name, truth_for
from gpvae_core.vae import VAE
from tests.oracles import LinearEncoder, LinearGaussianVAE

SHAPE = (1, 2, 2)
PLANE = LinearGaussianVAE.make(2, SHAPE, sigma_x=0.3, seed=7)
SPACE = LinearGaussianVAE.make(3, SHAPE, sigma_x=0.3)
LINE = LinearGaussianVAE.make(1, SHAPE, sigma_x=0.3)
TOLERANCE = 0.02
OFF = {"shift": 0.3, "std": 0.25}


def off(model: LinearGaussianVAE) -> VAE:
    """With an encoder whose mean and deviations are wrong."""
    d = model.latent_dim
    return model.vae(shift=torch.full((d,), OFF["shift"]), std=torch.full((d,), OFF["std"]))


def by(name: EstimatorName, vae: VAE) -> Truth:
    return truth_for(vae, TruthSettings(name=name))


@pytest.fixture(scope="module")
def table() -> GapTable:
    return instance_gaps(off(PLANE), PLANE.images(5), indices=[3, 1, 4, 15, 9])


@pytest.mark.parametrize(
    ("model", "truth", "name"),
    [
        *((LINE, "line", "auto"), (PLANE, "grid", "auto"), (SPACE, "ais", "auto")),
        *((SPACE, "iwae", "iwae"), (SPACE, "ais", "ais"), (PLANE, "ais", "ais")),
    ],
)
def test_each_gap_is_the_closed_form(model: LinearGaussianVAE, truth: str, name: EstimatorName) -> None:
    x = model.images(6)
    vae = off(model)
    q = vae.encoder(x)
    log_px, best_diagonal = model.log_px(x).numpy(), model.best_diagonal_elbo(x).numpy()
    elbo = model.elbo(x, q.mean, torch.diag(q.variance[0])).numpy()
    # The model must tell the gaps apart; at d = 1 every Gaussian is diagonal, so that there is no approximation gap.
    if model.latent_dim == 1:
        np.testing.assert_allclose(best_diagonal, log_px, atol=1e-5)
    else:
        assert np.min(log_px - best_diagonal) > 5 * TOLERANCE
    assert np.min(best_diagonal - elbo) > 5 * TOLERANCE
    gaps = instance_gaps(vae, x, by(name, vae))
    assert gaps.truth == truth
    error = TOLERANCE + 4 * (np.zeros(6) if gaps.log_px_se is None else gaps.log_px_se)
    assert (np.abs(gaps.log_px - log_px) < error).all()
    assert (np.abs(gaps.inference - (log_px - elbo)) < error).all()
    assert (np.abs(gaps.approximation - (log_px - best_diagonal)) < error).all()
    np.testing.assert_allclose(gaps.best_full_elbo, log_px, atol=TOLERANCE)
    assert (np.abs(gaps.approximation_full) < error).all()
    np.testing.assert_allclose(gaps.amortization, best_diagonal - elbo, atol=TOLERANCE)


def test_a_gaussian_posterior_has_one_mode_and_no_negentropy(table: GapTable) -> None:
    assert table.negentropy is not None
    assert table.n_modes is not None
    assert table.passed is not None
    np.testing.assert_allclose(table.negentropy, 0.0, atol=1e-3)
    assert (table.n_modes == 1).all()
    assert table.passed.all()
    assert table.uncertainty_f is None
    assert table.index.tolist() == [3, 1, 4, 15, 9]


def test_beyond_the_plane_nothing_is_said_about_modes() -> None:
    gaps = instance_gaps(off(SPACE), SPACE.images(2), by("iwae", off(SPACE)))
    assert gaps.negentropy is None
    assert gaps.n_modes is None
    assert gaps.k == 5000
    annealed = instance_gaps(off(SPACE), SPACE.images(2))
    assert (annealed.truth, annealed.negentropy, annealed.n_modes) == ("ais", None, None)


class Parabola(nn.Module):
    """g(z) = (z_1^2, z_2): the posterior of x = (1, 0) has the modes (1, 0) and (-1, 0)."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.stack([z[:, 0] ** 2, z[:, 1]], dim=1).reshape(-1, 1, 1, 2)


def test_two_modes_cost_a_single_gaussian_log_two() -> None:
    """Each mode holds half the mass; a Gaussian fits one of them, up to its skewness."""
    encoder = LinearEncoder(torch.zeros(2, 2), torch.zeros(2), torch.tensor([0.8, 0.2]), torch.tensor([0.1, 0.1]))
    vae = VAE(Parabola(), GaussianLikelihood(0.05, learn=False), encoder, 2, (1, 1, 2))
    gaps = instance_gaps(vae, torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2))
    assert gaps.n_modes is not None
    assert gaps.negentropy is not None
    assert gaps.n_modes.tolist() == [2]
    assert gaps.approximation[0] == pytest.approx(np.log(2), abs=TOLERANCE)
    assert gaps.negentropy[0] > 1.0


class MixtureEncoder(LinearEncoder):
    """A family that is no Gaussian: half the mass at m, half of it at -m."""

    def forward(self, x: Tensor) -> Posterior:
        q = super().forward(x)
        chol = torch.diag_embed(q.s)
        return DefensiveMixture(-q.m, chol, q)


def test_an_encoder_that_is_no_gaussian_is_scored_with_its_own_density() -> None:
    """Against quadrature of q (log p(x,z) - log q) over the plane."""
    encoder = MixtureEncoder(torch.zeros(2, 4), torch.zeros(4), torch.tensor([0.7, 0.2]), torch.tensor([0.3, 0.2]))
    vae = off(PLANE)
    vae.encoder = encoder
    x = PLANE.images(3)
    axis = torch.linspace(-4, 4, 401)
    z = torch.cartesian_prod(axis, axis)[:, None].expand(-1, len(x), -1)
    log_q = encoder(x).log_prob(z).double()
    with torch.no_grad():
        expected = (log_q.exp() * (vae.log_joint(x, z).double() - log_q)).sum(0) * float(axis[1] - axis[0]) ** 2
    actual = instance_gaps(vae, x)
    spread = (vae.log_weights(x, 2000, torch.Generator().manual_seed(0)).std(0) / 2000**0.5).detach().numpy()
    assert (np.abs(actual.elbo - expected.numpy()) < 4 * spread).all()
    moments = best_gaussians(vae, x).encoder_elbo.numpy()
    assert (np.abs(moments - expected.numpy()) > 5 * spread).any(), "a Gaussian with the same moments must differ"


def test_importance_sampling_agrees_with_the_grid() -> None:
    x = PLANE.images(4)
    vae = off(PLANE)
    sampled = by("iwae", vae).log_px(x)
    grid = by("grid", vae).log_px(x)
    np.testing.assert_allclose(sampled.log_px, grid.log_px, atol=TOLERANCE)
    assert (sampled.kind, grid.kind) == ("iwae", "grid")


def test_annealing_finds_the_mode_that_the_best_gaussian_leaves_out() -> None:
    """Half the mass is in a mode that the Gaussian does not cover, and the encoder hardly: importance sampling misses
    most of it, with a small standard error, but its k-hat tells; annealing from Gaussian and prior finds it."""
    encoder = LinearEncoder(torch.zeros(2, 2), torch.zeros(2), torch.tensor([0.8, 0.2]), torch.tensor([0.1, 0.1]))
    vae = VAE(Parabola(), GaussianLikelihood(0.4, learn=False), encoder, 2, (1, 1, 2))
    x = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    best, exact = best_gaussians(vae, x), by("grid", vae).log_px(x).log_px[0]
    annealed, sampled = (
        Evidence.joined([by(name, vae).log_px(x, seed, best=best) for seed in range(24)]) for name in ("ais", "iwae")
    )
    assert annealed.se is not None
    assert sampled.log_px.mean() < exact - 0.15
    assert sampled.untrusted.all()
    assert annealed.log_px.mean() == pytest.approx(exact, abs=0.08)
    assert not annealed.untrusted.any()
    assert np.sqrt(np.mean(((annealed.log_px - exact) / annealed.se) ** 2)) < 2


def test_a_truth_knows_what_is_not_to_be_trusted() -> None:
    log_px, fine = np.zeros(3), np.full(3, 50.0)
    assert Evidence("grid", log_px, passed=np.array([True, False, True])).untrusted.tolist() == [False, True, False]
    assert Evidence("ais", log_px, se=log_px, ess=np.array([50.0, 2.0, np.nan])).untrusted.tolist() == [
        False,
        True,
        True,
    ]
    heavy = Evidence("iwae", log_px, ess=fine, k_hat=np.array([0.1, 0.69, 0.71]))
    assert heavy.untrusted.tolist() == [False, False, True]
    assert heavy.first(2).untrusted.tolist() == [False, False]
    assert (heavy.first(2).k, len(heavy.first(1).log_px)) == (None, 1)


def test_a_narrow_proposal_is_seen_by_its_k_hat() -> None:
    """Best Gaussians claimed to be a tenth as wide as the posterior, and an encoder no better."""
    x = SPACE.images(4)
    vae = SPACE.vae(std=torch.full((3,), 0.01))
    best = best_gaussians(vae, x)
    narrow = dataclasses.replace(best, full_chol=0.1 * best.full_chol)
    trusted, not_trusted = (by("iwae", vae).log_px(x, best=q) for q in (best, narrow))
    assert not trusted.untrusted.any()
    assert not_trusted.untrusted.all()
    assert not_trusted.k_hat is not None
    assert (not_trusted.k_hat > 0.7).all()


def test_the_ways_to_the_truth_have_names() -> None:
    assert [resolved_name("auto", d) for d in (1, 2, 3, 10)] == ["line", "grid", "ais", "ais"]
    assert resolved_name("iwae", 2) == "iwae"
    with pytest.raises(UserError, match="got 'grid': quadrature needs exactly 2"):
        by("grid", off(SPACE))
    with pytest.raises(UserError, match="unknown truth 'gird'; did you mean 'grid'"):
        by("gird", off(PLANE))  # pyright: ignore[reportArgumentType]
    assert by("auto", off(SPACE)).log_px(SPACE.images(1)).kind == "ais"


def test_a_truth_and_what_it_said_can_be_handed_in(table: GapTable) -> None:
    x = PLANE.images(5)
    vae = off(PLANE)
    truth = truth_for(vae)
    evidence = truth.log_px(x)
    first = instance_gaps(vae, x[:2], truth, evidence=evidence.first(2))
    np.testing.assert_array_equal(first.log_px, table.log_px[:2])
    np.testing.assert_allclose(first.best_full_elbo, table.best_full_elbo[:2], atol=1e-3)
    assert evidence.modes is not None
    assert len(evidence.first(2).modes or ()) == 2


def test_a_table_comes_back_from_its_file(table: GapTable, tmp_path: Path) -> None:
    path = tmp_path / "gaps.npz"
    table.save(path)
    actual = GapTable.load(path)
    for name in GapTable.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(actual, name), getattr(table, name))
    assert [p.name for p in tmp_path.iterdir()] == ["gaps.npz"]
    assert len(actual) == 5
    assert actual.k is None
    sampled = instance_gaps(off(SPACE), SPACE.images(2))
    sampled.save(path)
    actual = GapTable.load(path)
    assert (actual.truth, actual.k, actual.steps) == ("ais", 64, 30)
    for name in ("log_px", "log_px_se", "ess"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(sampled, name))


def test_a_table_of_an_earlier_version_can_be_read(table: GapTable, tmp_path: Path) -> None:
    new = {"log_px_se", "ess", "k_hat", "steps"}
    columns = {k: v for k, v in dataclasses.asdict(table).items() if v is not None and k not in new}
    np.savez(tmp_path / "gaps.npz", **columns, k=5000)
    actual = GapTable.load(tmp_path / "gaps.npz")
    assert (actual.k, actual.steps, actual.log_px_se, actual.ess, actual.k_hat) == (5000, None, None, None, None)
    np.testing.assert_array_equal(actual.log_px, table.log_px)


def test_a_damaged_table_is_one_clear_line(table: GapTable, tmp_path: Path) -> None:
    path = tmp_path / "gaps.npz"
    with pytest.raises(UserError, match="there is no gap table"):
        GapTable.load(path)
    table.save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not a file of arrays"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            GapTable.load(path)
    np.savez(path, elbo=np.zeros(3))
    with pytest.raises(UserError, match="not a gap table"):
        GapTable.load(path)
    np.savez(path, truth=np.array({"an": "object"}, dtype=object), elbo=np.zeros(3))
    with pytest.raises(UserError, match="damaged"):
        GapTable.load(path)
    np.savez(path, truth="guess", elbo=np.zeros(3))
    with pytest.raises(UserError, match="unknown estimator 'guess'"):
        GapTable.load(path)
