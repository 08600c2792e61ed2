"""The GPPVAE against dense algebra: its bound, its gradients batch by batch, its predictions, and its regimes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.errors import UserError
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.gp_prior.engine import GPPriorInference
from gpvae_core.inference.gp_prior.gppvae import LowRank
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.progress import Cancelled
from gpvae_core.run_files import read_metrics
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, config, inference, model
from tests.inference.gp_prior.test_training import StopAfter

TRAIN = DeviceSplit(DATA.train, CPU)
ALL = torch.arange(len(TRAIN))
EXACT = {**BY_VIEW, "prior.jitter": 1e-12}


def prior_of(vae: VAE) -> tuple[GPModel, LowRank]:
    assert isinstance(vae.extra, GPModel)
    assert isinstance(vae.extra.family, LowRank)
    return vae.extra, vae.extra.family


def covariance(vae: VAE) -> Tensor:
    """K + alpha I of the training instances."""
    gp, family = prior_of(vae)
    x = gp.prior.at(columns_of(TRAIN))
    return gp.prior.kernel.matrix(x, x.clone()) + family.alpha() * torch.eye(len(x)).double()


def dense_kl(vae: VAE, engine: GPPriorInference) -> Tensor:
    """KL(q(Z) || N(0, K + alpha I)) summed over channels, by torch's own formula."""
    pseudo = engine._observations(vae, TRAIN, ALL)
    prior = MultivariateNormal(torch.zeros(len(ALL)).double(), covariance(vae))
    q = [MultivariateNormal(m, torch.diag(1 / p)) for m, p in zip(pseudo.mean, pseudo.precision, strict=True)]
    return torch.stack([kl_divergence(channel, prior) for channel in q]).sum()


def step_kl(vae: VAE, engine: GPPriorInference, index: Tensor) -> Tensor:
    """The KL term of a step on these images."""
    return engine._terms(vae, TRAIN, index, len(index) / len(ALL), torch.Generator().manual_seed(0))[0].kl


def gradient(value: Tensor, vae: VAE) -> dict[str, Tensor]:
    named = {
        name: p for name, p in vae.named_parameters() if name.startswith(("encoder.", "extra.")) and p.requires_grad
    }
    return dict(zip(named, torch.autograd.grad(value, list(named.values())), strict=True))


def test_the_kl_term_and_its_gradients_are_those_of_dense_algebra() -> None:
    vae = model("gppvae", EXACT)
    engine = inference("gppvae", EXACT, vae)
    kl, expected = step_kl(vae, engine, ALL), dense_kl(vae, engine)
    torch.testing.assert_close(kl, expected, atol=1e-7, rtol=1e-7)
    found, wanted = gradient(kl, vae), gradient(expected, vae)
    assert {"extra.family.alpha.log", "extra.prior.inputs.tables.object", "encoder.base.head.weight"} <= found.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


def test_the_gradients_of_an_epochs_batches_add_up_to_that_of_the_whole_term() -> None:
    vae = model("gppvae", EXACT)
    engine = inference("gppvae", EXACT, vae)
    batches = engine.batches(torch.Generator().manual_seed(0), 8)
    assert len(batches) > 2
    terms = [step_kl(vae, engine, index) for index in batches]
    wanted = dense_kl(vae, engine)
    torch.testing.assert_close(torch.stack(terms).sum(), wanted, atol=1e-6, rtol=1e-6)
    parts = [gradient(kl, vae) for kl in terms]
    for name, value in gradient(wanted, vae).items():
        torch.testing.assert_close(torch.stack([part[name] for part in parts]).sum(0), value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("where", ["at the training views", "at new views"])
def test_predictions_are_those_of_a_dense_gp(where: str) -> None:
    vae = model("gppvae", EXACT)
    gp, family = prior_of(vae)
    engine = inference("gppvae", EXACT, vae)
    new = gp.prior.at(columns_of(TRAIN if where == "at the training views" else DeviceSplit(DATA.test, CPU)))
    x = gp.prior.at(columns_of(TRAIN))
    with torch.no_grad():
        predicted, process = engine.predictor().predict(new), engine.predictor().process(new)
        pseudo = engine._observations(vae, TRAIN, ALL)
        gain = torch.linalg.solve(covariance(vae), gp.prior.kernel.matrix(x, new.clone())).T
        k_ss = gp.prior.kernel.diagonal(new) + family.alpha()
        left = k_ss - (gain * gp.prior.kernel.matrix(new, x.clone())).sum(1)
        variance = left + (1 / pseudo.precision) @ gain.square().T
    torch.testing.assert_close(predicted.mean, pseudo.mean @ gain.T, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(predicted.variance, variance, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(process.variance, variance - family.alpha().detach(), atol=1e-6, rtol=1e-6)


def test_an_instance_without_an_observation_takes_no_part() -> None:
    from gpvae_core.gp_prior.pseudo import PseudoObservations

    vae = model("gppvae", EXACT)
    gp, family = prior_of(vae)
    x = gp.prior.at(columns_of(TRAIN))
    pseudo = inference("gppvae", EXACT, vae).pseudo_observations(TRAIN)
    gone = PseudoObservations(pseudo.mean, pseudo.precision.clone())
    gone.precision[:, 3] = 0
    rest = torch.cat([ALL[:3], ALL[4:]])
    left = PseudoObservations(pseudo.mean[:, rest], pseudo.precision[:, rest])
    in_rows = [PseudoObservations(p.mean[None], p.precision[None]) for p in (gone, left)]
    a = family.approximate(gp.prior, x[None], in_rows[0], 1.0).kl
    b = family.approximate(gp.prior, x[None, rest], in_rows[1], 1.0).kl
    torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)
    for p, q in zip(
        family.given(gp.prior, x, gone).predict(x[:5]).__dict__.values(),
        family.given(gp.prior, x[rest], left).predict(x[:5]).__dict__.values(),
        strict=True,
    ):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=1e-6)


def test_the_first_stage_is_a_plain_vae() -> None:
    settings = {**BY_VIEW, "inference.regime": "pretrained"}
    vae = model("gppvae", settings)
    stage, *_ = config("gppvae", settings).inference.stages(vae)
    assert stage.enter is not None
    stage.enter()
    index = ALL[:7]
    kl = step_kl(vae, inference("gppvae", settings, vae), index)
    q = vae.encoder(TRAIN.batch(index))
    v = q.variance.double().clamp(1e-3, 10.0)
    torch.testing.assert_close(kl, 0.5 * (v + q.mean.double().square() - 1 - v.log()).sum(), atol=1e-8, rtol=1e-8)


def states(settings: dict[str, Any], out: Path) -> list[dict[str, Tensor]]:
    """The model after every epoch of a training with one step in each; the first is its start."""
    found = [{name: p.detach().clone() for name, p in model("gppvae", settings).named_parameters()}]

    def keep(epoch: int, vae: VAE, row: dict[str, Any]) -> None:
        found.append({name: p.detach().clone() for name, p in vae.named_parameters()})

    run = config("gppvae", {**settings, "train.epochs": 4, "train.batch_size": 64})
    train(run, out, data=DATA, device="cpu", on_epoch=keep)
    return found


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The parts of the model that differ."""
    return {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}


def test_the_disjoint_regime_trains_the_vae_and_then_the_prior_at_its_own_rate(tmp_path: Path) -> None:
    settings = {**BY_VIEW, "inference.regime": "disjoint", "train.lr": 1e-3, "inference.prior_rate": 20}
    start, _, first, third, last = states(settings, tmp_path / "run")
    assert changed(start, first) == {"encoder", "decoder", "likelihood"}
    assert changed(first, last) == {"extra"}
    # Adam's first step is the learning rate.
    step = float((third["extra.family.alpha.log"] - first["extra.family.alpha.log"]).abs())
    assert step == pytest.approx(20 * 1e-3, rel=1e-3)


def test_the_other_regimes_end_with_all_parts(tmp_path: Path) -> None:
    everything = {"encoder", "decoder", "likelihood", "extra"}
    joint = states(BY_VIEW, tmp_path / "joint")
    assert changed(joint[0], joint[1]) == everything
    pretrained = states({**BY_VIEW, "inference.regime": "pretrained", "vae_share": 0.25}, tmp_path / "pretrained")
    assert changed(pretrained[0], pretrained[1]) == everything - {"extra"}
    assert changed(pretrained[1], pretrained[2]) == everything


def test_a_run_stopped_in_its_last_stage_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    cfg = config("gppvae", {**BY_VIEW, "inference.regime": "pretrained", "train.batch_size": 8, "train.epochs": 4})
    whole, stopped = train(cfg, tmp_path / "whole", data=DATA, device="cpu"), tmp_path / "stopped"
    steps = math.ceil(len(ALL) / 8)
    with pytest.raises(Cancelled):
        train(cfg, stopped, data=DATA, device="cpu", progress=StopAfter(3 * steps + 1))
    assert len(read_metrics(stopped / "metrics.jsonl")) == 3
    resume(stopped, device="cpu")
    first, second = (load_run(f, weights="last", device="cpu").model.state_dict() for f in (whole, stopped))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (BY_TIME, "wanted no groups (--set prior.group=), such as a kernel times same(series)"),
        ({"prior.kernel": "rbf(time) + white()"}, "prior.kernel='rbf(time)'"),
        ({"prior.kernel": "rbf(time) + white() * same(object)"}, "leave white() out of the kernel"),
        ({**BY_VIEW, "prior_rate": 2}, "prior_rate has no effect with regime=joint"),
        ({**BY_VIEW, "regime": "pretrained", "prior_rate": 2}, "prior_rate has no effect with regime=pretrained"),
        ({**BY_VIEW, "vae_share": 0.2}, "vae_share has no effect with regime=joint"),
    ],
)
def test_what_does_not_suit_is_one_line(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        model("gppvae", settings)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
