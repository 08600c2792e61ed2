"""Active units and the KL of moments on encoders made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gpvae_core.cli.main import main
from gpvae_core.collapse import activity, moment_kl
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig, load
from gpvae_core.densities.base import sampled_kl
from gpvae_core.densities.diagonal_gaussian import DiagonalGaussian
from gpvae_core.densities.full_gaussian import FullGaussian
from gpvae_core.evaluation.evaluate import evaluate
from gpvae_core.evaluation.settings import EvaluationSettings
from gpvae_core.evaluation.whole_split import active_units, collapse
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.truth.settings import TruthSettings
from tests.oracles import LinearGaussianVAE, kl_to_standard_normal

STANDARD = {d: DiagonalGaussian.standard(torch.zeros(1), d) for d in (3, 4)}


def test_a_dimension_is_active_where_its_mean_moves_with_the_image() -> None:
    """Answers of a linear encoder that reads one pixel in its first dimension, a hundredth of it in its second."""
    oracle = LinearGaussianVAE.make(3, (1, 2, 2), 0.5)
    vae = oracle.vae(std=torch.tensor([0.3, 0.99, 1.0], dtype=torch.float64))
    a = torch.zeros(3, 4)
    a[0, 0], a[1, 0] = 1.0, 0.01
    vae.encoder.load_state_dict({**vae.encoder.state_dict(), "a": a})
    x = oracle.images(500)
    q = vae.infer(x)
    units, report = active_units(q.mean.numpy()), collapse(q.mean.numpy(), q.variance.numpy(), STANDARD[3])
    pixel = float(x.flatten(1)[:, 0].var(correction=0))
    assert units.count == 1
    assert units.of == 3
    assert units.variance == pytest.approx([pixel, 1e-4 * pixel, 0.0], rel=1e-3, abs=1e-8)
    assert report.fraction == pytest.approx(2 / 3)
    assert report.moment_kl[2] == pytest.approx(0.0, abs=1e-6)
    assert (report.moment_kl[0] or 0.0) > 0.5


def test_all_and_none_collapsed() -> None:
    mean = 3.0 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert collapse(mean.numpy(), np.full((50, 4), 0.1), STANDARD[4]).fraction == 0.0
    flat = collapse(np.zeros((50, 4)), np.ones((50, 4)), STANDARD[4])
    assert (active_units(np.zeros((50, 4))).count, flat.fraction) == (0, 1.0)
    assert flat.moment_kl == (0.0,) * 4
    assert torch.equal(activity(mean[:1]), torch.zeros(4))


def test_the_kl_of_moments_is_the_kl_of_a_diagonal_gaussian_and_below_that_of_another() -> None:
    generator = torch.Generator().manual_seed(0)
    m, s = torch.randn(6, 3, generator=generator), torch.rand(6, 3, generator=generator) + 0.1
    diagonal = DiagonalGaussian(m, s)
    of_moments = moment_kl(diagonal.mean, diagonal.variance, STANDARD[3]).sum(-1)
    assert torch.allclose(of_moments, kl_to_standard_normal(diagonal), atol=1e-5)
    sampled = sampled_kl(diagonal.rsample_and_log_prob(50_000, generator), DiagonalGaussian.standard(m, 3))
    assert torch.allclose(of_moments, sampled, atol=0.1)
    chol = torch.tril(torch.randn(6, 3, 3, generator=generator), -1) + torch.diag_embed(s)
    full = FullGaussian(m, chol)
    prior = DiagonalGaussian(torch.tensor([[0.8, -0.2, 0.0]]), torch.tensor([[0.5, 2.0, 1.0]]))
    torch.testing.assert_close(moment_kl(m, s.square(), prior).sum(-1), diagonal.kl(prior))
    assert torch.all(moment_kl(full.mean, full.variance, STANDARD[3]).sum(-1) < kl_to_standard_normal(full))


def test_the_evaluation_shows_the_report_of_the_whole_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(DataConfig(name="digits"))
    settings = {"epochs": 3, "net.hidden": 32, "latent_dim": 3, "lr": 2e-3}
    run = load_run(train(make_config("vae", DataConfig(name="digits"), data.event_shape, settings), tmp_path / "vae"))
    actual = evaluate(run, EvaluationSettings(instances=2, k=2, truth=TruthSettings(name="iwae")))
    q = run.model.infer(data.test.pixels(slice(None)))
    units = active_units(q.mean.numpy())
    assert actual.active_units.count == units.count
    assert actual.active_units.variance == pytest.approx(units.variance, rel=1e-4)
    kl = collapse(q.mean.numpy(), q.variance.numpy(), STANDARD[3]).moment_kl
    assert actual.collapse.moment_kl == pytest.approx(kl, rel=1e-4)
    monkeypatch.setattr("gpvae_core.evaluation.evaluate.evaluate", lambda *_, **__: actual)
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", str(tmp_path / "vae")])
    assert f"active latent dimensions: {actual.active_units.count} of 3" in capsys.readouterr().out
