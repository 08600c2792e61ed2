"""The GP-Prior Lab's numbers, against the evaluation's and against Gaussian process regression by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.hidden_frames import HIDDEN, hidden_frames
from gpvae_core.evaluation.known_path import AffineFit, path_column
from gpvae_core.inspection.prior_lab import export
from gpvae_core.inspection.prior_lab.prior import PriorLab
from gpvae_core.inspection.prior_lab.series import SeriesLab
from gpvae_core.inspection.prior_lab.training_curves import training_curve
from gpvae_core.inspection.views import Array
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, DATA, trained
from tests.tidy import tidy

METHODS = {"gp-vae": BY_TIME, "markov": BY_TIME, "svgp:6": BY_TIME}


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PriorLab]:
    root = tmp_path_factory.mktemp("runs")
    return {
        method: PriorLab(trained(method, settings, root / method.replace(":", "")))
        for method, settings in METHODS.items()
    }


@pytest.mark.parametrize("method", METHODS)
def test_given_all_frames_latents_are_those_of_the_evaluation(labs: dict[str, PriorLab], method: str) -> None:
    lab = labs[method]
    series, q = SeriesLab(lab), lab.latents("test")
    for position in range(len(series)):
        index, view = series.frames_of(position), series.view(position, "none")
        fit = series.fit()
        np.testing.assert_allclose(view.curves.mean[view.at_frames], fit.path(q.mean.numpy()[index]), atol=1e-5)
        wanted = fit.deviation(q.variance.numpy()[index])
        np.testing.assert_allclose(view.curves.deviation[view.at_frames], wanted, rtol=1e-4)
        np.testing.assert_allclose(view.decoded[view.at_frames], lab.decoded(q.mean.numpy()[index], {}), atol=1e-5)
    evaluation = evaluate_conditional(lab.run, k=2)
    errors = [series.view(position, "none").mse for position in range(len(series))]
    assert float(np.concatenate(errors).mean()) == pytest.approx(evaluation.mse.mean, rel=1e-4)
    mean, path = q.mean.numpy(), lab.auxiliary("test")["place"]
    assert AffineFit.of(mean, path).rmse(mean, path) == pytest.approx(evaluation.path_rmse)


def regression(
    lab: PriorLab, times: Array, seen: NDArray[np.bool_], y: Array, noise: Array, at: Array
) -> tuple[Array, Array]:
    """Means and variances of one latent channel by a dense solve: k(at, o) (K_oo + Sigma)^-1 y, and what is left."""

    def kernel(left: Array, right: Array) -> Array:
        columns = [torch.as_tensor(part[:, None]) for part in (left, right)]
        return lab.prior.kernel.matrix(*columns).detach().numpy()

    inverse = np.linalg.inv(kernel(times[seen], times[seen]) + np.diag(noise[seen]))
    weights = kernel(at, times[seen]) @ inverse
    return weights @ y[seen], np.diag(kernel(at, at) - weights @ kernel(times[seen], at))


@pytest.mark.parametrize("hide", [key for key in HIDDEN if key != "none"])
@pytest.mark.parametrize("method", ["gp-vae", "markov"])
def test_hidden_frames_are_predicted_as_by_regression(labs: dict[str, PriorLab], method: str, hide: str) -> None:
    lab = labs[method]
    series = SeriesLab(lab)
    index = series.frames_of(3)
    view = series.view(3, hide)
    assert 0 < view.seen.sum() < len(index)
    with torch.no_grad():
        q = lab.run.model.encoder(lab.run.data.test.pixels(index))
    noise = q.variance.double().numpy().clip(*lab.process._bounds)
    predicted = [
        regression(lab, view.times, view.seen, q.mean.double().numpy()[:, d], noise[:, d], view.curves.at)
        for d in range(q.mean.shape[1])
    ]
    mean, variance = (np.stack(part, 1) for part in zip(*predicted, strict=True))
    np.testing.assert_allclose(view.curves.mean, series.fit().path(mean), atol=1e-4)
    np.testing.assert_allclose(view.curves.deviation, series.fit().deviation(variance), rtol=1e-3)
    assert view.counted.tolist() == hidden_frames(hide, len(index)).tolist()


def test_hidden_frames_change_nothing_but_what_the_model_is_given(labs: dict[str, PriorLab]) -> None:
    series = SeriesLab(labs["gp-vae"])
    whole, part = series.view(0, "none"), series.view(0, "middle")
    np.testing.assert_array_equal(whole.frames, part.frames)
    hidden = part.curves.deviation[part.at_frames][~part.seen]
    assert (hidden >= whole.curves.deviation[whole.at_frames][~part.seen]).all(), "less is known of a hidden frame"
    inside, count = part.inside
    assert (count, inside <= count) == (2 * int((~part.seen).sum()), True)
    at = part.curves.at
    assert (np.diff(at) > 0).all()
    np.testing.assert_array_equal(at[part.at_frames], part.times)


def test_an_affine_fit_undoes_an_affine_map() -> None:
    rng = np.random.default_rng(0)
    z, a, b = rng.standard_normal((40, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    fit = AffineFit.of(z, z @ a + b)
    assert fit.rmse(z, z @ a + b) < 1e-12
    draws = z[0] + rng.standard_normal((200_000, 3)) * np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(fit.deviation(np.array([[0.25, 1.0, 4.0]]))[0], (draws @ a + b).std(0), rtol=0.01)
    assert path_column(None) is None
    assert path_column(DATA.test.auxiliary) == DATA.columns[-1]


def test_layouts_follow_the_roles_of_the_kernels_columns(labs: dict[str, PriorLab], tmp_path: Path) -> None:
    assert labs["gp-vae"].layout == "series"
    turn = PriorLab(trained("svgp:6", BY_VIEW, tmp_path / "view"))
    assert (turn.layout, turn.number) == ("turn", DATA.columns[1])
    with pytest.raises(UserError, match="has no series of frames"):
        SeriesLab(turn)
    two = {"prior.kernel": "linear(series, dim=2) * linear(object, dim=2)"}
    assert PriorLab(trained("svgp:6", two, tmp_path / "grid")).layout == "grid"
    place = {"prior.kernel": "rbf(place)"}
    assert PriorLab(trained("svgp:6", place, tmp_path / "place")).layout == ""


def test_series_and_curves_as_tables(labs: dict[str, PriorLab]) -> None:
    lab = labs["markov"]
    view = SeriesLab(lab).view(1, "second")
    rows = tidy(export.series([view]))
    assert len(rows) == len(view.curves.at)
    frames = [row for row in rows if row["frame"] is not None]
    assert [row["given"] for row in frames] == view.seen.tolist()
    assert frames[-1]["place x_mean"] == view.curves.mean[view.at_frames[-1], 0]
    curve = training_curve("run", lab.run.metrics)
    rows = tidy(export.training([curve]))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["kl"] == dict(lab.run.metrics[1])["kl"]
    assert rows[0]["multiplier"] is None
