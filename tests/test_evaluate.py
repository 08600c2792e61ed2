"""The evaluation of small runs on real digits: names, order of the bounds, independent ways to the same numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import rankdata

from gpvae_core.cli.main import main
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.errors import UserError
from gpvae_core.evaluation.estimates import BidirectionalMeans, Check, IwaeScore
from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.mean import Mean
from gpvae_core.evaluation.parts import BestGaussianElbo, SampleSizes
from gpvae_core.evaluation.result import Evaluation
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.evaluation.whole_split import iwae_score
from gpvae_core.evaluation.words import chains_in_words, collapse_in_words, sizes_in_words
from gpvae_core.files import write_json
from gpvae_core.gaps import instance_gaps
from gpvae_core.run_files import read_json
from gpvae_core.runs import Run, load_run
from gpvae_core.training import train
from gpvae_core.truth.settings import TruthSettings
from tests.oracles import kl_to_standard_normal
from tests.short_training import evaluated

DATA = DataConfig(name="digits")
DIGITS = load(DATA)
K, INSTANCES = 20, 12


def small_run(folder: Path, method: str, latent_dim: int) -> Run:
    settings = {"epochs": 4, "net.hidden": 32, "latent_dim": latent_dim, "lr": 2e-3}
    return load_run(train(make_config(method, DATA, DIGITS.event_shape, settings), folder, data=DIGITS), device="cpu")


@pytest.fixture(scope="module")
def gp(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "gp", "gp", 2)


@pytest.fixture(scope="module")
def result(gp: Run) -> dict[str, Any]:
    return evaluated(gp, instances=INSTANCES, k=K)


@pytest.fixture(scope="module")
def vae_in_space(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = small_run(tmp_path_factory.mktemp("runs") / "vae", "vae", 3)
    return evaluated(run, split="validation", instances=INSTANCES, k=K)


def sigma_x_of(run: Run) -> float:
    return float(run.model.state_dict()["likelihood.log_sigma_x"].exp())


def means(value: Any) -> list[dict[str, Any]]:
    """Every entry with a mean."""
    if not isinstance(value, dict):
        return []
    return [value] if "mean" in value else [entry for item in value.values() for entry in means(item)]


def test_the_names_others_build_on(result: dict[str, Any], vae_in_space: dict[str, Any]) -> None:
    for actual, truth in ((result, "grid"), (vae_in_space, "ais")):
        assert actual["iwae"]["k"] == K
        assert actual["log_px"]["truth"] == truth
        assert set(actual["best_gaussian_elbo"]) == {"diagonal", "full"}
        assert set(actual["gaps"]) == {"inference", "approximation", "approximation_full", "amortization"}
        assert actual["units"] == "nats"
        entries = means(actual)
        assert len(entries) >= 9
        assert all({"mean", "se", "n"} <= set(entry) and entry["n"] > 1 and entry["se"] >= 0 for entry in entries)


def test_it_is_json_without_nan(result: dict[str, Any], vae_in_space: dict[str, Any]) -> None:
    for actual in (result, vae_in_space):
        assert json.loads(json.dumps(actual, allow_nan=False)) == actual


def test_it_says_what_was_evaluated(result: dict[str, Any], vae_in_space: dict[str, Any]) -> None:
    about = {"run": "gp", "dataset": "digits", "split": "test", "method": "gp", "latent_dim": 2, "epochs": 4}
    assert about.items() <= result.items()
    n = len(DIGITS.test)
    assert {result[name]["n"] for name in ("elbo", "iwae", "training_bound", "log_px", "negentropy")} == {n}
    assert {entry["n"] for entry in result["gaps"].values()} == {INSTANCES}
    assert result["sample"] == {
        "how": "seeded, without replacement",
        "seed": 0,
        "gaps": INSTANCES,
        "truth": n,
        "of": n,
    }
    assert result["checks"]["grid"]["n"] == n
    assert result["checks"]["grid"]["failed"] == 0
    assert vae_in_space["elbo"]["n"] == len(DIGITS.validation)
    assert vae_in_space["log_px"]["n"] == INSTANCES


def test_bounds_are_ordered(result: dict[str, Any]) -> None:
    """All three are means over the same instances."""
    assert result["training_bound"]["mean"] < result["elbo"]["mean"] < result["iwae"]["mean"]
    assert result["iwae"]["mean"] < result["log_px"]["mean"] + 0.05
    best = result["best_gaussian_elbo"]
    assert best["diagonal"]["mean"] <= best["full"]["mean"]


@pytest.mark.parametrize("method", ["iwae:20", "miwae:5", "piwae:5", "ciwae:20", "renyi:20", "cubo:20", "free-bits"])
def test_the_training_bound_is_by_the_runs_objective_and_samples(tmp_path: Path, method: str) -> None:
    """By its own formula on importance weights, over many draws of K samples."""
    run = small_run(tmp_path / "run", method, 2)
    with torch.no_grad():
        log_w = run.model.log_weights(DIGITS.test.pixels(), 400, torch.Generator().manual_seed(3)).double()
    groups = log_w.reshape(20, 20, -1)  # draws, samples, images
    iwae = torch.logsumexp(groups, 1) - math.log(20)
    iwae_5 = torch.logsumexp(log_w.reshape(80, 5, -1), 1) - math.log(5)
    formulas = {
        "iwae": iwae,
        "miwae": iwae_5,
        "piwae": iwae,  # of all 4 groups of 5
        "ciwae": 0.5 * log_w.mean(0) + 0.5 * iwae,
        "renyi": 2.0 * (torch.logsumexp(0.5 * groups, 1) - math.log(20)),
        "cubo": 0.5 * (torch.logsumexp(2.0 * groups, 1) - math.log(20)),
        "free-bits": log_w,
    }
    expected = float(formulas[run.config.objective.kind.replace("_", "-")].mean())
    actual = evaluated(run, instances=2, truths=2, k=5)["training_bound"]["mean"]
    assert actual == pytest.approx(expected, abs=0.15)
    assert run.config.objective.kind == "free_bits" or abs(actual - float(log_w.mean())) > 0.3


def test_the_training_bound_of_a_denoising_run_is_at_the_corrupted_images(tmp_path: Path) -> None:
    """Of an encoder that was trained without noise, so that noise makes a difference."""
    long = make_config("vae", DATA, DIGITS.event_shape, {"epochs": 30, "net.hidden": 64, "lr": 5e-3})
    folder = train(long, tmp_path / "run", data=DIGITS)
    raw = read_json(folder / "config.json")
    write_json(
        folder / "config.json", {**raw, "method": "dvae", "regulariser": {"kind": "denoising", "corruption": 1.0}}
    )
    run = load_run(folder, device="cpu")
    x, generator = DIGITS.test.pixels(), torch.Generator().manual_seed(4)
    bounds = []
    with torch.no_grad():
        for _ in range(100):
            q = run.model.encoder(x + torch.randn(x.shape, generator=generator))
            z, log_q = q.rsample_and_log_prob(1, generator)
            bounds.append(float((run.model.log_joint(x, z) - log_q).mean()))
    actual = evaluated(run, instances=2, truths=2, k=5)
    assert actual["training_bound"]["mean"] == pytest.approx(np.mean(bounds), abs=3.5 * float(np.std(bounds)))
    assert actual["elbo"]["mean"] > actual["training_bound"]["mean"] + 5.0 * float(np.std(bounds))


def test_the_gap_falls_into_its_parts(result: dict[str, Any], vae_in_space: dict[str, Any]) -> None:
    for actual in (result, vae_in_space):
        gaps = {name: entry["mean"] for name, entry in actual["gaps"].items()}
        assert gaps["inference"] == pytest.approx(gaps["approximation"] + gaps["amortization"], abs=1e-6)
        assert gaps["amortization"] >= 0
        assert gaps["approximation"] > -0.05


def test_the_gaps_name_their_reference(result: dict[str, Any], vae_in_space: dict[str, Any]) -> None:
    for actual in (result, vae_in_space):
        gaps, best = actual["gaps"], actual["best_gaussian_elbo"]
        assert gaps["approximation"]["reference"] == gaps["amortization"]["reference"] == "best diagonal Gaussian"
        full = gaps["approximation_full"]
        assert full["reference"] == "best full Gaussian"
        assert full["mean"] == pytest.approx(
            gaps["approximation"]["mean"] - (best["full"]["mean"] - best["diagonal"]["mean"]), abs=1e-6
        )
        assert (full["truth"], full["estimator_se"]) == (actual["log_px"]["truth"], actual["log_px"]["estimator_se"])


@torch.no_grad()
def test_elbo_iwae_and_rmse_by_an_independent_way(gp: Run, result: dict[str, Any]) -> None:
    """ELBO from the Gaussian KL in closed form and many samples; IWAE by the bound's definition."""
    x, vae = DIGITS.test.pixels(), gp.model
    q = vae.encoder(x)
    normal = torch.distributions.Normal(q.mean, q.variance.sqrt())
    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.manual_seed(1)
    z = normal.sample(torch.Size([400]))
    log_likelihood = torch.distributions.Normal(vae.decode(z), sigma_x_of(gp)).log_prob(x)
    log_px_z = log_likelihood.sum((-3, -2, -1))
    assert result["elbo"]["mean"] == pytest.approx(float((log_px_z.mean(0) - kl).mean()), abs=0.15)
    log_w = log_px_z + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1) - normal.log_prob(z).sum(-1)
    bound = (
        log_px_z.mean()
        - kl_to_standard_normal(q, torch.Generator().manual_seed(2)).mean()
        - vae.encoder.global_kl() / len(DIGITS.train)
    )
    assert result["training_bound"]["mean"] == pytest.approx(float(bound), abs=0.3)
    weights = log_w.double().exp().reshape(-1, K, len(x)).mean(1)
    assert result["iwae"]["mean"] == pytest.approx(float(weights.log().mean()), abs=0.15)
    error = (x - vae.decode(q.mean)).double()
    assert result["reconstruction_rmse"] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-5)


def test_sigma_x_is_the_models_and_mapas_bandwidth(gp: Run, result: dict[str, Any]) -> None:
    assert result["sigma_x"] == pytest.approx(sigma_x_of(gp))
    assert result["mapa"] == {"bandwidth": result["sigma_x"], "source": "sigma_x of the likelihood"}


def test_mapas_bandwidth_on_validation_images_is_the_best_one(gp: Run) -> None:
    """By the kernel density of all validation images in numpy: a little wider or narrower is worse."""
    actual = evaluated(gp, instances=2, k=2, truths=2, bandwidth="validation")["mapa"]
    assert actual["source"] == "chosen on validation images"
    assert actual["train_images"] == len(DIGITS.train)
    assert actual["bandwidth"] != pytest.approx(sigma_x_of(gp), rel=0.01)
    train, validation = (split.pixels().flatten(1).double().numpy() for split in (DIGITS.train, DIGITS.validation))
    square = ((validation[:, None] - train[None]) ** 2).sum(-1)

    def score(width: float) -> float:
        return float((logsumexp(-0.5 * square / width**2, axis=1) - train.shape[1] * math.log(width)).mean())

    assert score(actual["bandwidth"]) > max(score(actual["bandwidth"] * ratio) for ratio in (0.87, 1.15))


def gpvae(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `gpvae evaluate ...`."""
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


@pytest.mark.parametrize(
    ("option", "value", "parts"),
    [
        ("--bandwidth", "sigma", ["unknown bandwidth 'sigma'", "did you mean 'sigma_x'", "validation"]),
        ("--truth", "asi", ["unknown truth 'asi'", "did you mean 'ais'", "auto, grid, iwae"]),
        ("--ais-chains", "1", ["--ais-chains", "2"]),
        ("--seed", "-1", ["--seed", "0"]),
        ("--seed", str(2**63), ["--seed"]),
    ],
)
def test_a_bad_option_is_one_line(
    gp: Run, option: str, value: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = gpvae(gp.dir, option, value, "--device", "cpu", capsys=capsys)
    lines = [line for line in err.splitlines() if line.startswith("gpvae:")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert "Traceback" not in err
    assert all(part in lines[0] for part in parts)


@pytest.mark.parametrize(
    ("given", "needs"),
    [
        (("--hmc-draws", 8), "--hmc-draws has no effect without --hmc"),
        (("--ais-steps", 3), "--ais-steps has no effect without --truth ais or --simulated"),
        (("--ais-chains", 3, "--truth", "iwae"), "--ais-chains has no effect without"),
        (("--truths", 9, "--truth", "ais"), "--truths has no effect without 2 latent dimensions"),
    ],
)
def test_an_option_that_is_not_read_is_refused(
    gp: Run, given: tuple[object, ...], needs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--k", 2, "--instances", 2, "--device", "cpu")
    code, out, err = gpvae(gp.dir, *few, *given, capsys=capsys)
    assert (code, out) == (2, "")
    assert [needs in line for line in err.splitlines() if line.startswith("gpvae:")] == [True]


def test_the_table_names_the_unit_of_each_row(gp: Run, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ("--k", 2, "--instances", 2, "--truths", 2, "--seed", 2**63 - 1, "--device", "cpu")
    code, out, _ = gpvae(gp.dir, *quick, capsys=capsys)
    assert code == 0
    units = {
        cells[1].strip(): cells[5].strip() for cells in (line.split("│") for line in out.splitlines()) if cells[1:]
    }
    counts, squares = {"n_modes"}, {"uncertainty.f", "uncertainty.h", "uncertainty.total"}
    assert {name for name, unit in units.items() if unit == "count"} == counts
    assert {name for name, unit in units.items() if unit == "latent²"} == squares
    assert {"elbo", "iwae", "log_px", "gaps.inference", "negentropy"} <= {
        n for n, unit in units.items() if unit == "nats"
    }
    assert {"gaps.approximation (diagonal)", "gaps.approximation_full", "gaps.amortization (diagonal)"} <= set(units)
    assert "best_gaussian_elbo.diagonal" in units, "the table does not fit 80 columns"


def test_correlations_are_a_table_for_people(gp: Run, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ("--k", 2, "--instances", 8, "--truths", 8, "--device", "cpu")
    code, out, _ = gpvae(gp.dir, *quick, capsys=capsys)
    assert (code, '{"' in out) == (0, False)
    assert "Spearman's rho of the GP encoder's uncertainty with" in out
    entry = evaluated(gp, instances=8, k=2, truths=8)["correlations"]["f"]["inference"]
    assert f"{entry['rho']:.2f} ({entry['low']:.2f} to {entry['high']:.2f})" in out
    assert "Tr V[f]" in out
    row = next(line for line in out.splitlines() if "inference gap" in line)
    assert [cell.strip() for cell in row.split("│")][4] == "8"


def test_means_over_other_instances_are_said_so() -> None:
    """A mean bound over all points may exceed a mean log p(x) over some of them."""

    def words(gaps: int, truth: int, of: int) -> str:
        return " ".join(sizes_in_words(SampleSizes(seed=0, gaps=gaps, truth=truth, of=of)))

    assert words(359, 359, 359) == ""
    fewer = "bounds are means over all 1000 instances, log_px, gaps and best Gaussians over 200, a seeded sample"
    assert words(200, 200, 1000).startswith(fewer)
    assert "--instances 1000 takes all" in words(200, 200, 1000)
    assert "log_px over all and gaps and best Gaussians over 200" in words(200, 1000, 1000)
    assert "log_px over 1000 and gaps and best Gaussians over 200" in words(200, 1000, 10_000)


def test_collapse_is_said_in_words() -> None:
    def words(variance: Sequence[float | None], kl: Sequence[float | None]) -> str:
        return collapse_in_words(tuple(variance), tuple(kl))

    assert words([1.0, 0.5], [2.0, 1.0]) == "none has collapsed"
    assert words([1.0, 0.001], [2.0, 0.02]).startswith("1 of 2 has collapsed onto the prior")
    assert "2 of 2 have collapsed onto the prior" in words([0.0, 0.001], [0.5, 0.25])
    assert "KL to the prior at most 0.500 nats" in words([0.0, 0.001], [0.5, 0.25])
    assert "KL to the prior at most ? nats" in words([0.0, 0.001], [0.5, None])
    for unknown in ([None, None], [None, 1.0], [0.001, None]):
        assert words(unknown, [None, 0.1]) == "whether any has collapsed onto the prior is not known"


def test_a_refiner_that_diverges_is_told_and_is_no_collapse(gp: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run = load_run(gp.dir, device="cpu", refiner="svi:8,step_size=1e9")
    answer = evaluate(run, EvaluationSettings(instances=2, truths=2))
    n, asked = len(DIGITS.test), answer.iwae
    assert json.loads(json.dumps(answer.to_json(), allow_nan=False)) == answer.to_json()
    assert Evaluation.from_json(answer.to_json()) == answer
    assert (asked.k, asked.n, asked.mean, asked.untrusted) == (100, 0, None, 0), "k-hat is that of no number"
    assert (answer.active_units.count, answer.collapse.fraction, answer.reconstruction_rmse) == (None, None, None)
    told = [line for line in answer.warnings() if "are not numbers" in line]
    assert len(told) == 1
    assert told[0].startswith(f"the bounds of {n} of {n} images")
    assert told[0].endswith(
        "left out of the means: the refiner svi:8,step_size=1e9 diverged; a smaller step size or fewer steps may help"
    )
    assert not any("k-hat" in line for line in answer.warnings())
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", str(gp.dir), "--refiner", "svi:8,step_size=1e9", "--instances", "2"])
    said = capsys.readouterr().out
    assert "active latent dimensions: ? of 2; whether any has collapsed onto the prior is not known\n" in said
    assert f"the bounds of {n} of {n} images" in said


def test_bounds_that_are_no_numbers_are_counted(gp: Run, result: dict[str, Any]) -> None:
    """Of images without a number, of which there are a few, k-hat and the effective sample size are not counted."""
    bad = np.array([np.nan, -np.inf, np.inf])
    k_hat, ess = np.array([0.5, 0.9, 0.8, np.inf, np.inf, -np.inf]), np.array([4.0, 1.0, 2.0, np.nan, np.nan, np.nan])
    score = iwae_score({"iwae": np.append([-1.0, -2.0, -3.0], bad), "k_hat": k_hat, "ess": ess}, 100)
    assert (score.mean, score.n, score.untrusted, score.ess) == (-2.0, 3, 2, 2.0)
    whole = Evaluation.from_json(result)
    assert not any("are not numbers" in line for line in whole.warnings())
    few = Mean(mean=-1.0, se=0.1, n=whole.elbo.n - 4)
    part = whole.model_copy(update={"elbo": few})
    assert part.warnings()[0] == (
        f"the bounds of 4 of {whole.elbo.n} images are not numbers and are left out of the means: the posterior or the "
        "decoder's output overflows"
    )
    best = BestGaussianElbo(diagonal=Mean(mean=-1.0, se=0.1, n=INSTANCES - 1), full=whole.best_gaussian_elbo.full)
    refined = whole.model_copy(update={"best_gaussian_elbo": best, "refiner": "svi:8"})
    assert refined.warnings()[0].startswith(f"the best Gaussians of 1 of {INSTANCES} images are not numbers")
    assert "the refiner svi:8 diverged" in refined.warnings()[0]
    lower, upper, gap = (Mean(mean=mean, se=None, n=1) for mean in (-9.0, -8.5, 0.5))
    both = BidirectionalMeans(n=2, chains=64, temperatures=31, lower=lower, upper=upper, gap=gap)
    assert chains_in_words(both, None)[0].startswith("on 1 of 2 simulated images AIS's lower and upper bound")
    warned = whole.model_copy(update={"bidirectional": both}).warnings()[0]
    assert warned.startswith("the bidirectional bounds of 1 of 2 images are not numbers")


def test_the_help_says_what_log_px_is_beyond_the_plane(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = gpvae("--help", capsys=capsys)
    words = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "log_px.truth is 'ais'" in words
    assert "log_px.estimator_se is the standard error" in words
    assert "lower bound" in words
    assert "--refiner svi:8,step_size=0.05" in words
    assert "--simulated 50 --hmc 10" in words


def test_correlations_are_those_of_the_sampled_instances(gp: Run, result: dict[str, Any]) -> None:
    index = np.random.default_rng(0).permutation(len(DIGITS.test))[:INSTANCES]
    x = DIGITS.test.pixels(index)
    gaps = instance_gaps(gp.model, x, gp.truth)
    assert gaps.uncertainty_f is not None
    assert gaps.uncertainty_h is not None
    f, h = gaps.uncertainty_f.sum(1), gaps.uncertainty_h.sum(1)
    for name, u in {"f": f, "h": h, "total": f + h}.items():
        entry = result["correlations"][name]["inference"]
        assert entry["rho"] == pytest.approx(np.corrcoef(rankdata(u), rankdata(gaps.inference))[0, 1], abs=1e-6)
        assert entry["low"] <= entry["rho"] <= entry["high"]
        assert entry["n"] == INSTANCES
        assert result["correlations"][name]["negentropy"]["n"] == len(DIGITS.test)
    assert result["gaps"]["inference"]["mean"] == pytest.approx(gaps.inference.mean(), abs=1e-3)
    with torch.no_grad():
        trace = gp.model.encoder(DIGITS.test.pixels()).uncertainty()
    assert trace is not None
    assert result["uncertainty"]["total"]["mean"] == pytest.approx(float(trace.total.mean()), rel=1e-5)


def test_an_encoder_without_uncertainty_beyond_the_plane(vae_in_space: dict[str, Any]) -> None:
    assert vae_in_space["uncertainty"] is None
    assert vae_in_space["correlations"] == {}
    assert vae_in_space["negentropy"] is None
    assert vae_in_space["n_modes"] is None
    assert vae_in_space["log_px"]["bound"] == "lower"


def test_beyond_the_plane_the_truth_and_its_uncertainty_are_stated(vae_in_space: dict[str, Any]) -> None:
    log_px, check = vae_in_space["log_px"], vae_in_space["checks"]["ais"]
    assert (log_px["chains"], log_px["temperatures"]) == (64, 30)
    assert 0 < log_px["estimator_se"] < 0.3
    for name in ("inference", "approximation"):
        gap = vae_in_space["gaps"][name]
        assert (gap["truth"], gap["estimator_se"]) == ("ais", log_px["estimator_se"])
    assert (check["n"], check["untrusted"], check["few_effective"]) == (INSTANCES, 0, 0)
    assert 10 < check["ess"] <= 64
    assert 1 < vae_in_space["iwae"]["ess"] <= K
    assert vae_in_space["iwae"]["untrusted"] is None, "of 20 weights the tail cannot be judged"


@pytest.fixture(scope="module")
def three_ways(gp: Run) -> dict[str, dict[str, Any]]:
    """The plane's log p(x) by each way, of the same instances."""
    return {
        way: evaluated(gp, instances=8, k=2, truths=8, truth=TruthSettings(name=way)) for way in ("grid", "ais", "iwae")
    }


def test_each_way_to_the_truth_agrees_with_the_grid(three_ways: dict[str, dict[str, Any]]) -> None:
    grid = three_ways["grid"]["log_px"]
    assert grid["estimator_se"] is None
    assert "bound" not in grid
    for way in ("ais", "iwae"):
        actual = three_ways[way]["log_px"]
        assert (actual["truth"], actual["n"], actual["bound"]) == (way, 8, "lower")
        assert actual["mean"] == pytest.approx(grid["mean"], abs=4 * actual["estimator_se"] / 8**0.5 + 0.01)
        assert three_ways[way]["negentropy"] is None
    assert three_ways["iwae"]["log_px"]["k"] == 5000
    assert {"untrusted", "n", "few_effective", "ess", "k_hat_above_limit"} == set(three_ways["iwae"]["checks"]["iwae"])


def test_how_it_is_annealed_can_be_chosen(gp: Run, capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--k", 2, "--instances", 2, "--truth", "ais", "--ais-steps", 3, "--ais-chains", 4, "--device", "cpu")
    code, out, _ = gpvae(gp.dir, *few, capsys=capsys)
    words = " ".join(out.split())
    assert code == 0
    assert "annealed importance sampling (4 chains, 3 temperatures), a lower bound" in words
    assert "standard error of an instance" in words
    assert "log p(x) by ais: 2 of 2 instances: fewer than 10 effective samples, not to be trusted" in words


def test_a_bound_whose_weights_have_too_heavy_a_tail_says_so() -> None:
    def score(k: int, n: int, untrusted: int) -> IwaeScore:
        return IwaeScore(mean=0.0, se=1.0, n=n, k=k, ess=1.0, untrusted=untrusted)

    (truth,) = Check(n=200, untrusted=3, few_effective=0, k_hat_above_limit=3).warnings("iwae")
    (bound,) = score(100, 359, 99).warnings()
    assert truth == "log p(x) by iwae: 3 of 200 instances: k-hat > 0.7, not to be trusted"
    assert bound.startswith("IWAE-100: 99 of 359 instances: k-hat > 0.7, not to be trusted")
    assert score(2, 5, 0).warnings() == []
    assert Check(refined=3, failed=0, n=5).warnings("grid") == []


def test_a_grid_beyond_the_plane_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run(tmp_path / "vae", "vae", 3)
    code, out, err = gpvae(run.dir, "--truth", "grid", "--device", "cpu", capsys=capsys)
    lines = [line for line in err.splitlines() if line.startswith("gpvae:")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert "wanted truth 'auto', 'ais' or 'iwae' for a run with 3 latent dimensions, got 'grid'" in lines[0]


def test_it_repeats_with_the_seed(gp: Run) -> None:
    first, again, other = (evaluated(gp, instances=4, k=2, seed=seed, truths=4) for seed in (0, 0, 1))
    assert {**again, "seconds": 0} == {**first, "seconds": 0}
    assert other["elbo"]["mean"] != first["elbo"]["mean"]
    assert other["gaps"]["inference"]["mean"] != first["gaps"]["inference"]["mean"]


def test_an_unknown_split_is_one_clear_line(gp: Run) -> None:
    with pytest.raises(UserError, match="did you mean 'test'"):
        evaluated(gp, split="tests")


def test_the_sample_for_the_truth_alone_has_its_own_size(gp: Run) -> None:
    actual = evaluated(gp, instances=4, k=2, truths=9)
    assert (actual["gaps"]["inference"]["n"], actual["log_px"]["n"], actual["negentropy"]["n"]) == (4, 9, 9)


def test_a_folder_in_place_of_a_run_is_told() -> None:
    folder: Any = "runs/vae"
    with pytest.raises(UserError, match=r"wanted a run, as load_run returns it, got str: evaluate\(load_run"):
        evaluate(folder)
