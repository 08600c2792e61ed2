"""Active units and the KL of moments on encoders made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gpvae_core.cli.main import main
from gpvae_core.collapse import activity, collapse_report, moment_kl
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.base import sampled_kl
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.evaluate import evaluate
from gpvae_core.runs import load_run
from gpvae_core.train import train
from tests.oracles import LinearGaussianVAE, kl_to_standard_normal


def test_a_dimension_is_active_where_its_mean_moves_with_the_image() -> None:
    """Answers of a linear encoder that reads one pixel in its first dimension, a hundredth of it in its second."""
    oracle = LinearGaussianVAE.make(3, (1, 2, 2), 0.5)
    vae = oracle.vae(std=torch.tensor([0.3, 0.99, 1.0], dtype=torch.float64))
    a = torch.zeros(3, 4)
    a[0, 0], a[1, 0] = 1.0, 0.01
    vae.encoder.load_state_dict({**vae.encoder.state_dict(), "a": a})
    x = oracle.images(500)
    q = vae.infer(x)
    report = collapse_report(q.mean, q.variance)
    pixel = float(x.flatten(1)[:, 0].var(correction=0))
    assert report["active_units"]["count"] == 1
    assert report["active_units"]["of"] == 3
    assert report["active_units"]["variance"] == pytest.approx([pixel, 1e-4 * pixel, 0.0], rel=1e-3, abs=1e-8)
    assert report["collapse"]["fraction"] == pytest.approx(2 / 3)
    assert report["collapse"]["moment_kl"][2] == pytest.approx(0.0, abs=1e-6)
    assert report["collapse"]["moment_kl"][0] > 0.5


def test_all_and_none_collapsed() -> None:
    mean = 3.0 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert collapse_report(mean, torch.full((50, 4), 0.1))["collapse"]["fraction"] == 0.0
    flat = collapse_report(torch.zeros(50, 4), torch.ones(50, 4))
    assert (flat["active_units"]["count"], flat["collapse"]["fraction"]) == (0, 1.0)
    assert flat["collapse"]["moment_kl"] == [0.0] * 4
    assert torch.equal(activity(mean[:1]), torch.zeros(4))


def test_the_kl_of_moments_is_the_kl_of_a_diagonal_gaussian_and_below_that_of_another() -> None:
    generator = torch.Generator().manual_seed(0)
    m, s = torch.randn(6, 3, generator=generator), torch.rand(6, 3, generator=generator) + 0.1
    diagonal = DiagonalGaussian(m, s)
    of_moments = moment_kl(diagonal.mean, diagonal.variance).sum(-1)
    assert torch.allclose(of_moments, kl_to_standard_normal(diagonal), atol=1e-5)
    sampled = sampled_kl(diagonal.rsample_and_log_prob(50_000, generator), DiagonalGaussian.standard(m, 3))
    assert torch.allclose(of_moments, sampled, atol=0.1)
    chol = torch.tril(torch.randn(6, 3, 3, generator=generator), -1) + torch.diag_embed(s)
    full = FullGaussian(m, chol)
    assert torch.all(moment_kl(full.mean, full.variance).sum(-1) < kl_to_standard_normal(full))


def test_the_evaluation_shows_the_report_of_the_whole_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(DataConfig(name="digits"))
    settings = {"epochs": 3, "net.hidden": 32, "latent_dim": 3, "lr": 2e-3}
    run = load_run(train(make_config("vae", DataConfig(name="digits"), data.event_shape, settings), tmp_path / "vae"))
    found = evaluate(run, max_instances=2, k=2, truth="iwae")
    q = run.model.infer(data.test.pixels(slice(None)))
    wanted = collapse_report(q.mean, q.variance)
    assert found["active_units"]["count"] == wanted["active_units"]["count"]
    assert found["active_units"]["variance"] == pytest.approx(wanted["active_units"]["variance"], rel=1e-4)
    assert found["collapse"]["moment_kl"] == pytest.approx(wanted["collapse"]["moment_kl"], rel=1e-4)
    monkeypatch.setattr("gpvae_core.evaluate.evaluate", lambda *_, **__: found)
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", str(tmp_path / "vae")])
    assert f"active latent dimensions: {found['active_units']['count']} of 3" in capsys.readouterr().out
