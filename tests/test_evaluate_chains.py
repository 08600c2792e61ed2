"""`gpvae evaluate --simulated` and `--hmc` against closed forms, the moments on a grid, and through the command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpvae_core.cli.main import main
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.evaluation.chains import check_counts, encoder_and_chains, encoder_error, simulated_bounds
from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.evaluation.words import chains_in_words
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from gpvae_core.truth.ais import AISSettings
from gpvae_core.truth.best_gaussian import BestGaussians
from gpvae_core.truth.grid import GridPosterior
from gpvae_core.truth.posterior_samples import HMCSettings, PosteriorSamples
from gpvae_core.truth.settings import TruthSettings
from gpvae_core.truth.truth import truth_for
from tests.oracles import LinearGaussianVAE

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
MODEL = LinearGaussianVAE.make(3, (1, 4, 4), 0.7)
FEW = AISSettings(steps=5, chains=4, leapfrog=2)
HMC = HMCSettings(warmup=150, draws=250, leapfrog=5)
MANY = HMCSettings(warmup=150, draws=2000, leapfrog=5)
"""As many draws as a posterior with two modes needs for its moments."""
INSTANCES = 4


def small_run(folder: Path, latent_dim: int) -> Run:
    settings = {"epochs": 3, "net.hidden": 32, "latent_dim": latent_dim, "lr": 2e-3}
    return load_run(train(make_config("vae", DATA, DIGITS.event_shape, settings), folder, data=DIGITS), device="cpu")


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "plane", 2)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "space", 3)


@pytest.fixture(scope="module")
def result(plane: Run) -> dict[str, Any]:
    few = {"instances": INSTANCES, "truths": INSTANCES, "k": 2, "truth": TruthSettings(annealing=FEW)}
    return evaluate(plane, EvaluationSettings(**few, simulated=30, hmc=3, sampling=MANY)).to_json()


def gpvae(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `gpvae evaluate ...`."""
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, arguments), "--device", "cpu"])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


# -- closed forms ------------------------------------------------------------------------------------------------------


def test_an_encoder_whose_error_is_known() -> None:
    """q(z|x) has the posterior's mean plus `shift`, and `std`, both known in the posterior's deviations."""
    shift, std = torch.tensor([0.5, -0.2, 0.1]).double(), torch.tensor([0.3, 0.2, 0.6]).double()
    exact = MODEL.posterior_covariance.diagonal().sqrt()
    x = MODEL.images(6)
    scale = torch.linalg.cholesky(MODEL.posterior_covariance).float().expand(6, 3, 3)
    elbo, vae = torch.zeros(6), MODEL.vae(shift, std)
    best = BestGaussians(torch.zeros(6, 3), torch.ones(6, 3), elbo, torch.zeros(6, 3), scale, elbo, elbo)
    actual: dict[str, Any] = encoder_and_chains(truth_for(vae), vae, x, best, HMC, seed=1).to_json()
    assert actual["mean_distance"]["mean"] == pytest.approx(float((shift / exact).square().mean().sqrt()), rel=0.08)
    assert actual["std_ratio"]["mean"] == pytest.approx(float((std / exact).log().mean().exp()), rel=0.05)
    assert (actual["n"], actual["mean_distance"]["n"], actual["chains"], actual["draws"]) == (6, 6, 4, HMC.draws)
    assert 1 < actual["r_hat"]["mean"] < actual["r_hat"]["max"] < 1.05
    assert 200 < actual["ess"]["min"] < actual["ess"]["mean"] < 2000
    assert 0.5 < actual["acceptance"] < 0.8


def test_errors_of_each_instance_over_its_dimensions_by_hand() -> None:
    """Draws 0 and 2 in two chains: mean 1, variance 4/3. One dimension is right, one off by 2 and twice as wide."""
    z = torch.tensor([[0.0, 2.0], [2.0, 0.0]])[..., None, None].expand(2, 2, 1, 2)
    samples, std = PosteriorSamples(z, torch.ones(1), torch.ones(1)), math.sqrt(4 / 3)
    with torch.no_grad():
        q = MODEL.vae().infer(MODEL.images(1))
    q.m, q.s = torch.tensor([[1.0, 3.0]]), torch.tensor([[std, 2 * std]])  # pyright: ignore[reportAttributeAccessIssue]
    distance, wider = encoder_error(q, samples)
    assert distance.tolist() == pytest.approx([math.sqrt((2 / std) ** 2 / 2)])
    assert wider.tolist() == pytest.approx([math.sqrt(2)])


def test_the_means_over_simulated_images_enclose_minus_the_entropy() -> None:
    """E[log p(x)] over the model's own images is -1/2 log det(2 pi e S), S the covariance of p(x)."""
    covariance = MODEL.w @ MODEL.w.T + MODEL.sigma_x**2 * torch.eye(16, dtype=torch.float64)
    exact = -0.5 * (torch.logdet(covariance).item() + 16 * math.log(2 * math.pi * math.e))
    actual: dict[str, Any] = simulated_bounds(
        truth_for(MODEL.vae(), TruthSettings(annealing=FEW)), 240, seed=3
    ).to_json()
    for side, sign in (("lower", 1), ("upper", -1)):
        assert sign * (exact - actual[side]["mean"]) > -3 * actual[side]["se"]
        assert actual[side]["se"] == pytest.approx(math.sqrt(8 / 240), rel=0.3), "Var[log p(x)] is 16 / 2"
    assert actual["gap"]["mean"] == pytest.approx(actual["upper"]["mean"] - actual["lower"]["mean"])
    assert actual["gap"]["mean"] > 3 * actual["gap"]["se"]
    assert (actual["n"], actual["chains"], actual["temperatures"]) == (240, 4, 5)


@pytest.mark.parametrize(
    ("simulated", "hmc", "message"),
    [
        (-1, 0, "wanted 0 or at least 2 simulated images, got -1"),
        (1, 0, "wanted 0 or at least 2 simulated images, got 1"),
        (0, -2, "wanted HMC samples of 0 to 5 instances, the size of the sample for the gaps, got -2"),
        (0, 6, "wanted HMC samples of 0 to 5 instances, the size of the sample for the gaps, got 6"),
    ],
)
def test_numbers_that_cannot_be(simulated: int, hmc: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_counts(simulated, hmc, 5)


# -- a run on digits ---------------------------------------------------------------------------------------------------


def moments(grid: GridPosterior) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviations by many draws from the grid, another way than by its own sums."""
    draws = grid.sample(40_000, torch.Generator().manual_seed(3))
    return draws.mean(0), draws.std(0)


def plane_posteriors(run: Run, x: torch.Tensor) -> list[GridPosterior]:
    grids = run.true_posterior(x)
    assert isinstance(grids, list)
    return [grid for grid in grids if isinstance(grid, GridPosterior)]


def test_chains_of_a_run_have_the_grids_moments(plane: Run) -> None:
    x = DIGITS.test.pixels(slice(0, 3))
    grids = plane_posteriors(plane, x)
    actual = plane.posterior_samples(x, MANY, seed=2)
    assert actual.z.shape == (2000, 4, 3, 2)
    assert (actual.r_hat < 1.05).all()
    draws = actual.z.double().flatten(0, 1)
    for i, grid in enumerate(grids):
        mean, std = moments(grid)
        assert (np.abs(draws[:, i].mean(0).numpy() - mean) < 4.5 * std / np.sqrt(actual.ess[i])).all()
        assert draws[:, i].std(0).numpy() == pytest.approx(std, rel=0.1)
    short = HMCSettings(warmup=2, draws=4)
    once, again = (plane.posterior_samples(x, short, seed=2).z for _ in range(2))
    assert torch.equal(once, again)
    assert plane.posterior_samples(x[0], short).z.shape == (4, 4, 1, 2)


def test_the_encoders_distance_is_that_from_the_grids_moments(plane: Run, result: dict[str, Any]) -> None:
    x = DIGITS.test.pixels(np.random.default_rng(0).permutation(len(DIGITS.test))[:3])
    q, grids = plane.posterior(x), plane_posteriors(plane, x)
    mean, std = (np.stack(parts) for parts in zip(*map(moments, grids), strict=True))
    distance = np.sqrt((((q.mean.numpy() - mean) / std) ** 2).mean(1))
    wider = np.exp(np.log(q.variance.sqrt().numpy() / std).mean(1))
    hmc = result["hmc"]
    assert hmc["mean_distance"]["mean"] == pytest.approx(distance.mean(), abs=0.15)
    assert hmc["std_ratio"]["mean"] == pytest.approx(wider.mean(), rel=0.1)
    assert (hmc["n"], hmc["draws"], hmc["start"]) == (3, MANY.draws, "encoder")


def test_both_bounds_stand_beside_the_grid(result: dict[str, Any]) -> None:
    both = result["bidirectional"]
    assert result["log_px"]["truth"] == "grid"
    assert (both["n"], both["chains"], both["temperatures"]) == (30, 4, 5)
    assert {both[name]["n"] for name in ("lower", "upper", "gap")} == {30}
    assert both["gap"]["mean"] > -3 * both["gap"]["se"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.slow
def test_the_command_says_both_in_words_at_any_d(space: Run, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--k", 2, "--instances", 2, "--ais-steps", 3, "--ais-chains", 12)
    chains = ("--simulated", 3, "--hmc", 2, "--hmc-draws", 8)
    code, out, _ = gpvae(space.dir, *few, *chains, "--json", capsys=capsys)
    actual = json.loads(out)
    both, hmc = actual["bidirectional"], actual["hmc"]
    assert code == 0
    assert (both["n"], both["chains"], both["temperatures"]) == (3, 12, 3)
    assert (hmc["n"], hmc["draws"], hmc["mixed"]) == (2, 8, 0)
    code, out, _ = gpvae(space.dir, *few, *chains, capsys=capsys)
    words, gap = " ".join(out.split()), both["gap"]
    assert code == 0
    assert (
        f"on 3 simulated images AIS's lower and upper bound on log p(x) differ by {gap['mean']:.3f} ± {gap['se']:.3f} "
        "nats (12 chains, 3 temperatures)"
    ) in words
    assert "p(z|x) of 2 instances by Hamiltonian Monte Carlo (4 chains of 8 draws" in words
    assert "0 of 2 have mixed; largest R-hat" in words
    assert "posterior standard deviations off, and its standard deviations are" in words
    assert "HMC: 2 of 2 instances: R-hat > 1.01 or fewer than 100 effective draws a chain, not to be trusted" in words
    rows = {cells[1].strip(): cells[5].strip() for cells in (line.split("│") for line in out.splitlines()) if cells[1:]}
    units = {"r_hat": "", "ess": "count", "mean_distance": "sd", "std_ratio": ""}
    assert {name: rows[f"hmc.{name}"] for name in units} == units
    assert {rows[f"bidirectional.{name}"] for name in ("lower", "upper", "gap")} == {"nats"}


def test_without_them_nothing_is_said(space: Run) -> None:
    actual = evaluate(space, EvaluationSettings(instances=2, k=2, truth=TruthSettings(annealing=FEW)))
    assert (actual.bidirectional, actual.hmc) == (None, None)
    assert chains_in_words(actual.bidirectional, actual.hmc) == []
    assert not [line for line in actual.warnings() if "HMC" in line]


def test_chains_that_start_where_a_refiner_diverged_are_not_told_to_be_longer(plane: Run) -> None:
    run = load_run(plane.dir, device="cpu", refiner="svi:8,step_size=1e9")
    few = EvaluationSettings(instances=2, truths=2, k=2, hmc=2, sampling=HMCSettings(warmup=2, draws=8))
    (told,), n = [line for line in evaluate(run, few).warnings() if "HMC" in line], len(DIGITS.test)
    assert told.endswith(
        f"not to be trusted; they start at samples of q(z|x), whose ELBO is no number for {n} of {n} images: the "
        "refiner svi:8,step_size=1e9 diverged; a smaller step size or fewer steps may help"
    )
    answer = evaluate(plane, few)
    (told,) = [line for line in answer.warnings() if "HMC" in line]
    assert told.endswith("not to be trusted; more --hmc-draws may do")
    part = answer.model_copy(update={"elbo": answer.elbo.model_copy(update={"n": n - 3})})
    (told,) = [line for line in part.warnings() if "HMC" in line]
    assert f"for 3 of {n} images: the posterior or the decoder's output overflows; for the others more" in told


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("--simulated", -1, "--simulated"),
        ("--simulated", 1, "wanted 0 or at least 2 simulated images, got 1"),
        ("--hmc", -1, "--hmc"),
        ("--hmc", 3, "wanted HMC samples of 0 to 2 instances"),
        ("--hmc-draws", 3, "--hmc-draws"),
    ],
)
def test_a_bad_number_is_one_line(
    space: Run, option: str, value: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = gpvae(space.dir, "--instances", 2, option, value, capsys=capsys)
    lines = [line for line in err.splitlines() if line.startswith("gpvae:")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert "Traceback" not in err
    assert part in lines[0]
