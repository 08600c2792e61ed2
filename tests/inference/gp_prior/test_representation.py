"""The representation network, and the vectors of categories that it finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gpvae_core.errors import UserError
from gpvae_core.evaluation.conditional import evaluate_conditional
from gpvae_core.evaluation.process import inference_of
from gpvae_core.inference.gp_prior.model import GPModel
from gpvae_core.inference.gp_prior.representation import PooledVectors, Representation, context
from gpvae_core.inference.gp_prior.represented import context_of, find_vectors
from gpvae_core.inference.gp_prior.svgp import BatchOptimum
from gpvae_core.progress import Cancelled
from gpvae_core.runs import load_run
from gpvae_core.training import resume, train
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import CPU, DATA, config, model, trained
from tests.inference.gp_prior.test_training import StopAfter


def test_the_layers_are_those_of_the_table() -> None:
    network = Representation((3, 64, 64), 16, 1000, 36, True)
    convolutions = [m for m in network.network.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size, c.stride) for c in convolutions] == [(16, (2, 2), (2, 2))] * 3
    assert network(torch.zeros(5, 3, 64, 64)).shape == (5, 16)
    assert Representation((1, 28, 28), 8, 3, 36, True)(torch.zeros(2, 1, 28, 28)).shape == (2, 8)


def test_a_vector_is_the_mean_over_the_images_of_its_category_in_any_number_of_pieces() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.tensor([2, 0, 2, 2, 0])
    values = torch.randn(5, 3, generator=generator)
    pool = PooledVectors(4, 3, values.device)
    for piece in torch.arange(5).split(2):
        pool.add(values[piece], codes[piece])
    assert pool.known.tolist() == [True, False, True, False]
    wanted = torch.stack(
        [values[codes == c].double().mean(0) if c in (0, 2) else torch.zeros(3).double() for c in range(4)]
    )
    torch.testing.assert_close(pool.vectors(), wanted)


def test_a_vector_has_the_gradient_of_its_images() -> None:
    network = Representation((1, 8, 8), 4, 2, 36, True)
    pool = PooledVectors(2, 4, torch.device("cpu"))
    pool.add(network(torch.randn(3, 1, 8, 8)), torch.tensor([0, 0, 1]))
    pool.vectors().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.network.parameters())


def test_the_classifier_scores_the_own_category() -> None:
    network, x, codes = (
        Representation((1, 8, 8), 4, 3, 36, True),
        torch.randn(5, 1, 8, 8),
        torch.tensor([0, 1, 2, 0, 1]),
    )
    wanted = network.classifier(network(x)).log_softmax(1)[torch.arange(5), codes]
    torch.testing.assert_close(network.log_prob(x, codes), wanted)


def test_the_context_are_the_first_images_of_each_category() -> None:
    codes = torch.tensor([1, 0, 1, 1, 0, 0, 2])
    assert context(codes, 2).tolist() == [True, True, True, False, True, False, True]


# -- in training ------------------------------------------------------------------------------------------------------

UNSEEN: dict[str, Any] = {
    "prior.kernel": "rbf(time) * linear(series, dim=2)",
    "inference.representation": "series",
    "inference.context": 2,
    "inference.points": 4,
    "train.batch_size": 8,
    "train.epochs": 4,
}
"""No series of the test split is one of the training split."""


def test_images_of_categories_that_are_known_are_no_context() -> None:
    gp = model("svgp", UNSEEN).extra
    assert isinstance(gp, GPModel)
    split, known = DeviceSplit(DATA.test, CPU), torch.arange(12) < 9  # of series 8 to 11 the first
    codes = split.columns["series"]
    wanted = [bool(code >= 9 and (codes[:place] == code).sum() < 2) for place, code in enumerate(codes.tolist())]
    assert context_of(gp, split, known).tolist() == wanted
    assert sum(wanted) == 3 * 2


def test_the_vector_of_a_known_category_is_that_of_its_training_images() -> None:
    gp = model("svgp", UNSEEN).extra
    assert isinstance(gp, GPModel)
    assert gp.representation is not None
    train, again = (
        DeviceSplit(split, CPU) for split in (DATA.train, replace(DATA.train, images=DATA.train.images + 1))
    )
    find_vectors(gp, train, again, DeviceSplit(DATA.test, CPU))
    codes = train.columns["series"]
    for code in codes.unique():
        wanted = gp.representation(train.batch((codes == code).nonzero().squeeze(1))).double().mean(0)
        torch.testing.assert_close(gp.prior.inputs.vectors[code], wanted.detach())


def test_a_stopped_run_resumes_exactly_in_both_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpvae_core.training.load", lambda _: DATA)
    whole = train(config("svgp", UNSEEN), tmp_path / "whole", data=DATA, device="cpu")
    for steps in (2, 7, 9, 13):
        stopped = tmp_path / f"stopped-{steps}"
        with pytest.raises(Cancelled):
            train(config("svgp", UNSEEN), stopped, data=DATA, device="cpu", progress=StopAfter(steps))
        resume(stopped, device="cpu")
        first, second = (load_run(f, weights="last", device="cpu").model.state_dict() for f in (whole, stopped))
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_network_learns_to_classify_first_and_the_bound_afterwards(tmp_path: Path) -> None:
    settings = {**UNSEEN, "train.epochs": 40, "train.lr": 5e-3}
    run = trained("svgp", settings, tmp_path / "run")
    rows: list[dict[str, Any]] = [dict(row) for row in run.metrics]
    assert "reconstruction" not in rows[19]
    assert rows[19]["classification"] > rows[0]["classification"]
    assert len({row["validation_elbo"] for row in rows[:20]}) == 1, "the decoder is not trained yet"
    assert "classification" not in rows[20]
    assert rows[39]["reconstruction"] > rows[20]["reconstruction"]
    assert isinstance(run.model.extra, GPModel)
    assert run.model.extra.representation is not None
    assert run.model.extra.representation.placed == 1


@pytest.mark.parametrize(("share", "times"), [(0.5, 2), (0.0, 1)])
def test_points_are_placed_again_only_after_pretraining(
    share: float, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[int] = []
    start = BatchOptimum.start

    def counted(*arguments: Any) -> None:
        placed.append(1)
        start(*arguments)

    monkeypatch.setattr(BatchOptimum, "start", counted)
    run = trained("svgp", {**UNSEEN, "inference.pretrain_share": share}, tmp_path / "run")
    assert len(placed) == times
    assert isinstance(run.model.extra, GPModel)
    assert run.model.extra.representation is not None
    assert run.model.extra.representation.placed == 1


def test_new_categories_are_predicted_from_their_context_which_is_not_scored(tmp_path: Path) -> None:
    run = trained("svgp", UNSEEN, tmp_path / "run")
    result = evaluate_conditional(run, k=2)
    assert DATA.test.auxiliary is not None
    codes = DATA.test.auxiliary["series"]
    first = context(torch.from_numpy(codes), 2)
    assert result.mse.n == len(codes) - int(first.sum())
    assert (result.context, result.unscored) == (int(first.sum()), None)
    assert result.given == "the training images, and the first 2 images of each new series"
    engine = inference_of(run)
    before = engine.latents(DeviceSplit(DATA.test, CPU))
    model = run.model.extra
    assert isinstance(model, GPModel)
    assert model.representation is not None
    one = int(codes[0])
    members = DATA.test.pixels()[torch.from_numpy(codes == one) & first]
    found = model.prior.inputs.vectors[one]
    torch.testing.assert_close(found, model.representation(members).double().mean(0).detach())
    for images, moves in ((first, True), (~first, False)):
        changed = DATA.test.images.copy()
        changed[images.numpy()] += 0.3
        other = engine.latents(DeviceSplit(replace(DATA.test, images=changed), CPU))
        assert torch.equal(other.mean, before.mean) != moves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inference.representation": "object"}, "the kernel takes no vector of a category 'object'"),
        ({"prior.group": "object"}, "representation has no effect with groups"),
        ({"inference.representation": ""}, "context has no effect without representation"),
    ],
)
def test_settings_without_an_effect_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config("svgp", UNSEEN | settings).build(DATA.event_shape, DATA.columns)
