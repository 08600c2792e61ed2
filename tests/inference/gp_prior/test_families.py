"""The families of approximations in training: equal where mathematics says so, and bounds of one another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gpvae_core.errors import UserError
from gpvae_core.gp_prior.pseudo import Marginals, PseudoObservations
from gpvae_core.inference.base import INFERENCES, Step
from gpvae_core.inference.conditional import columns_of
from gpvae_core.inference.gp_prior.config import GPPriorInferenceConfig
from gpvae_core.inference.gp_prior.hensman import FreePosterior
from gpvae_core.inference.gp_prior.model import GPModel, LinearPredictor
from gpvae_core.inference.gp_prior.sparse import pooled
from gpvae_core.inference.gp_prior.svgp import BatchOptimum
from gpvae_core.training_bound import BoundSettings
from gpvae_core.vae import VAE
from gpvae_core.validation import DeviceSplit
from tests.inference.gp_prior.series_data import BY_TIME, BY_VIEW, CPU, DATA, inference, model

GROUPED = ["gp-vae", "markov", "titsias", "svgp"]
METHODS = [name for name in INFERENCES.summaries() if issubclass(INFERENCES.get(name), GPPriorInferenceConfig)]
ALL = torch.arange(len(DATA.train))


def whole_step(method: str, settings: dict[str, Any], vae: VAE) -> Step:
    """A step on all training images, with the same noise every time."""
    return inference(method, settings, vae).step(ALL, BoundSettings(), torch.Generator().manual_seed(1))


def with_shared_weights(method: str, settings: dict[str, Any], other: VAE) -> VAE:
    """A model of another method with the weights that both have."""
    vae = model(method, settings)
    vae.load_state_dict(other.state_dict(), strict=False)
    return vae


def gradients(step: Step, vae: VAE, of: tuple[str, ...]) -> dict[str, Tensor]:
    named = {name: p for name, p in vae.named_parameters() if name.startswith(of) and p.requires_grad}
    found = torch.autograd.grad(step.bound.surrogate, list(named.values()), allow_unused=True)
    return {name: g for name, g in zip(named, found, strict=True) if g is not None}


def at_the_data(vae: VAE) -> VAE:
    """The model with its inducing points at the times of all training images."""
    assert isinstance(vae.extra, GPModel)
    inputs = vae.extra.prior.at(columns_of(DeviceSplit(DATA.train, CPU)))
    inducing = vae.get_parameter("extra.family.inducing.inputs")
    inducing.data = inputs.detach().clone()
    return vae


def test_the_markov_form_is_the_exact_one_with_all_gradients() -> None:
    exact = model("gp-vae", BY_TIME)
    markov = with_shared_weights("markov", BY_TIME, exact)
    a, b = whole_step("gp-vae", BY_TIME, exact), whole_step("markov", BY_TIME, markov)
    torch.testing.assert_close(a.bound.value, b.bound.value)
    first, second = (gradients(s, v, ("encoder", "decoder", "extra")) for s, v in ((a, exact), (b, markov)))
    assert first.keys() == second.keys()
    assert any("length_scale" in name for name in first)
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name], atol=1e-5, rtol=1e-4)


def test_titsias_bound_of_whole_groups_is_that_of_svgp_at_full_batch() -> None:
    svgp = model("svgp:4", BY_TIME)
    titsias = with_shared_weights("titsias:4", BY_TIME, svgp)
    a, b = whole_step("svgp:4", BY_TIME, svgp), whole_step("titsias:4", BY_TIME, titsias)
    torch.testing.assert_close(a.bound.value, b.bound.value, atol=1e-5, rtol=1e-5)
    first, second = (gradients(s, v, ("encoder", "extra")) for s, v in ((a, svgp), (b, titsias)))
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["svgp", "titsias"])
def test_inducing_points_at_the_data_give_the_exact_bound(method: str) -> None:
    exact = model("gp-vae", BY_TIME)
    settings = {**BY_TIME, "inference.points": len(DATA.train), "prior.jitter": 1e-12}
    sparse = at_the_data(with_shared_weights(method, settings, exact))
    a, b = whole_step("gp-vae", BY_TIME, exact), whole_step(method, settings, sparse)
    torch.testing.assert_close(a.bound.value, b.bound.value, atol=1e-4, rtol=1e-4)


def test_fewer_inducing_points_give_a_larger_kl_than_the_exact_posterior_of_the_same_evidence() -> None:
    """L_PT <= L_P in the second term: E log q~ - L_T of q_S is the KL from q_S to the prior, which is not negative."""
    for method in GROUPED:
        settings = {**BY_TIME, **({} if method in ("gp-vae", "markov") else {"inference.points": 2})}
        engine = inference(method, settings)
        engine.step(ALL, BoundSettings(), torch.Generator().manual_seed(1))
        assert engine.figures()["kl"] > 0, method


@pytest.mark.parametrize("method", ["hensman", "deep-svigp"])
def test_the_encoder_has_no_gradient_where_q_is_free(method: str) -> None:
    vae = model(method, BY_VIEW)
    step = whole_step(method, BY_VIEW, vae)
    assert gradients(step, vae, ("encoder",)) == {}
    learned = gradients(step, vae, ("extra", "decoder", "likelihood"))
    assert all(float(gradient.abs().sum()) > 0 for name, gradient in learned.items() if "below" not in name)


def test_the_encoder_has_a_gradient_in_the_svgp_vae() -> None:
    vae = model("svgp:4", BY_VIEW)
    found = gradients(whole_step("svgp:4", BY_VIEW, vae), vae, ("encoder", "extra"))
    assert all(float(gradient.abs().sum()) > 0 for gradient in found.values())
    assert {"extra.prior.inputs.tables.object", "extra.family.inducing.inputs"} <= found.keys()


def test_a_step_on_a_batch_has_the_posterior_of_eq_9_and_the_kl_of_eq_10() -> None:
    """On b of N images, against dense algebra: mu_b and A_b with the factor N / b, and the KL with b / N."""
    settings = {**BY_VIEW, "prior.jitter": 1e-12}
    vae, index = model("svgp:4", settings), torch.arange(3, 12)
    engine, share = inference("svgp:4", settings, vae), 9 / len(ALL)
    engine.step(index, BoundSettings(), torch.Generator().manual_seed(1))
    gp, split = vae.extra, DeviceSplit(DATA.train, CPU)
    assert isinstance(gp, GPModel)
    assert isinstance(gp.family, BatchOptimum)
    with torch.no_grad():
        u, x = gp.family.inducing.inputs, gp.prior.at(columns_of(split, index))
        pseudo = engine._observations(vae, split, index)
        K_mm, K_mb = gp.prior.kernel.matrix(u, u.clone()), gp.prior.kernel.matrix(u, x)
        found = engine._terms(vae, split, index, share, torch.Generator().manual_seed(1))[1]
        kl = torch.zeros(())
        for d in range(2):
            Sigma = K_mm + (K_mb * pseudo.precision[d] @ K_mb.T) / share
            mu = K_mm @ torch.linalg.solve(Sigma, K_mb @ (pseudo.precision[d] * pseudo.mean[d])) / share
            A = K_mm @ torch.linalg.solve(Sigma, K_mm)
            prior = MultivariateNormal(torch.zeros(4).double(), K_mm)
            kl = kl + kl_divergence(MultivariateNormal(mu, (A + A.T) / 2), prior)
            torch.testing.assert_close(found.mean[:, d], K_mb.T @ torch.linalg.solve(K_mm, mu), atol=1e-5, rtol=1e-5)
    assert engine.figures()["kl"] * len(index) == pytest.approx(share * float(kl), rel=1e-5)


@pytest.mark.parametrize("method", ["hensman:4", "deep-svigp:4", "gppvae"])
def test_the_kl_terms_of_an_epochs_batches_add_up_to_that_of_all_images(method: str) -> None:
    vae = model(method, BY_VIEW)
    whole, parts = inference(method, BY_VIEW, vae), inference(method, BY_VIEW, vae)
    whole.step(ALL, BoundSettings(), torch.Generator().manual_seed(1))
    for index in ALL.split(10):
        parts.step(index, BoundSettings(), torch.Generator().manual_seed(1))
    # Both are sums over batches, divided by the number of images.
    assert parts.figures()["kl"] == pytest.approx(whole.figures()["kl"], rel=1e-6)


def test_images_that_are_pooled_in_pieces_are_those_pooled_at_once() -> None:
    vae = model("svgp:4", BY_VIEW)
    engine, split = inference("svgp:4", BY_VIEW, vae), DeviceSplit(DATA.train, CPU)
    gp = vae.extra
    assert isinstance(gp, GPModel)
    assert isinstance(gp.family, BatchOptimum)
    with torch.no_grad():
        points, inputs = gp.family.inducing.points(gp.prior), gp.prior.at(columns_of(split))
        parts = gp.family.inducing, gp.prior, points, inputs, engine.pseudo_observations(split)
        whole, pieces = pooled(*parts), pooled(*parts, chunk=5)
    torch.testing.assert_close(pieces.mean, whole.mean)
    torch.testing.assert_close(pieces.root, whole.root)


def test_deep_svigp_decodes_means_and_pays_for_the_spread() -> None:
    """C.5: log N(y; psi(m), sigma^2) - sum_l v^l / (2 sigma^2), against the formula."""
    vae = model("deep-svigp:4", BY_VIEW)
    engine = inference("deep-svigp:4", BY_VIEW, vae)
    step = engine.step(ALL, BoundSettings(), torch.Generator().manual_seed(1))
    assert isinstance(vae.extra, GPModel)
    split = DeviceSplit(DATA.train, CPU)
    inputs = vae.extra.prior.at(columns_of(split))
    none = PseudoObservations(torch.zeros(2, len(inputs)).double(), torch.zeros(2, len(inputs)).double())
    q: Marginals = vae.extra.family.given(vae.extra.prior, inputs, none).predict(inputs)
    sigma = float(vae.likelihood.noise_scale() or 0)
    log_p = vae.likelihood.log_prob(split.all(), vae.decode(q.mean.mT.float()))
    kl = vae.extra.family.approximate(vae.extra.prior, inputs[None], none, 1.0).kl.sum() / len(inputs)
    expected = log_p - 0.5 * q.variance.sum(0).float() / sigma**2 - kl.float()
    torch.testing.assert_close(step.bound.value, expected.detach(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_predicts_within_the_prior_variance(method: str) -> None:
    settings = {"markov": {"prior.kernel": BY_TIME["prior.kernel"]}}.get(method, BY_VIEW)
    vae = model(method, settings)
    with torch.no_grad():
        predictor = inference(method, settings, vae).predictor()
        assert isinstance(vae.extra, GPModel)
        inputs = vae.extra.prior.at(columns_of(DeviceSplit(DATA.test, CPU)))
        q = predictor.predict(inputs)
        prior = vae.extra.prior.kernel.diagonal(inputs)
    assert q.mean.shape == q.variance.shape == (2, len(DATA.test))
    assert (q.variance >= 0).all()
    if method not in ("hensman", "deep-svigp", "gppvae"):  # whose q, or whose noise alpha, is wider than the kernel
        assert (q.variance <= prior + 1e-9).all()


@pytest.mark.parametrize(
    ("method", "settings", "said"),
    [
        ("hensman", BY_TIME, "wanted no groups"),
        ("markov", BY_VIEW, "wants one Matern kernel of one number"),
        ("markov", {"prior.kernel": "matern(place)"}, "wants one Matern kernel of one number"),
        ("markov", {"prior.kernel": "matern(object, dim=1)"}, "where 'object' is a category"),
        ("svgp", {}, "wanted a kernel over the data's columns"),
        ("svgp", {}, "got none: such as --set prior.kernel='rbf(time) * linear(series)'"),
        ("svgp", {"prior.kernel": "rbf(tiem)"}, "did you mean 'time'"),
        ("svgp", {"prior.kernel": "same(time)"}, "wants a column that is a category, and 'time' is a number"),
        ("svgp", {"prior.kernel": "rbf(time)", "prior.group": "sereis"}, "did you mean 'series'"),
        ("svgp", {"prior.kernel": "linear(object) * same(object)"}, "two kernels take column 'object' in two ways"),
        ("svgp", {"prior.kernel": "linear(object, dim=2) + rbf(object, dim=3)"}, "two kernels take column 'object'"),
        ("svgp", {"prior.kernel": "rbf(time, dim=3)"}, "dim is for a category"),
        ("svgp", {"prior.kernel": "white()"}, "at least one column"),
        ("gp-vae", {**BY_TIME, "inference.learn_vectors": False}, "takes no vector of a category that is learned"),
        ("svgp", {**BY_VIEW, "inference.vectors": "no"}, "unknown start of vectors 'no'"),
        (
            "svgp",
            {"prior.kernel": "rbf(time)", "inference.vectors": "random"},
            "vectors has no effect: the kernel takes",
        ),
        ("deep-svigp", {**BY_VIEW, "likelihood.kind": "bernoulli"}, "only with --set likelihood.kind=gaussian, got"),
        ("svgp", {**BY_VIEW, "inference.tolerance": 0.1}, "tolerance has no effect with balance=elbo"),
        ("svgp", {**BY_VIEW, "inference.balance": "geco", "beta": 2}, "beta has no effect with balance=geco"),
        ("hensman", {**BY_VIEW, "least_variance": 0.1}, "least_variance has no effect for method 'hensman'"),
        ("svgp", {**BY_VIEW, "train.samples": 2}, "works only with --set train.samples=1"),
    ],
)
def test_what_does_not_suit_is_one_line(method: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        model(method, settings)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_all_instances_of_a_group_are_taken_at_once() -> None:
    with pytest.raises(UserError, match=r"wanted prior.group, or batch_size of at least the \d+ training images"):
        inference("gp-vae", BY_VIEW).batches(torch.Generator(), 5)


@pytest.mark.parametrize("method", METHODS)
def test_a_family_says_whether_its_predictions_have_weights(method: str) -> None:
    settings = BY_TIME if method == "markov" else BY_VIEW
    vae = model(method, {**settings, "train.batch_size": 100})
    assert isinstance(vae.extra, GPModel)
    predictor = inference(method, settings, vae).predictor(index=torch.arange(5))
    assert vae.extra.family.is_smoother == isinstance(predictor, LinearPredictor)


def test_the_root_of_a_free_posterior_stays_lower_triangular_where_gradients_reach_its_upper_half() -> None:
    found = model("hensman:4", BY_VIEW).extra
    assert isinstance(found, GPModel)
    family = found.family
    assert isinstance(family, FreePosterior)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        family.below.copy_(0.3 * torch.randn(family.below.shape, generator=generator, dtype=torch.float64))
        q = family.posterior()
        at = torch.eye(4, dtype=torch.float64)
        root = family.below.tril(-1) + torch.diag_embed(family.log_diagonal.exp())
        standard = MultivariateNormal(torch.zeros(4).double(), at)
        expected = kl_divergence(MultivariateNormal(family.mean, scale_tril=root), standard)
    torch.testing.assert_close(q.kl(), expected)
