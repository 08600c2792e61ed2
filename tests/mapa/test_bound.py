"""The bound against loops over everything, and what it promises: unbiased within the log, below, tighter in S and k."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.errors import UserError
from gpvae_core.likelihoods import LIKELIHOODS, GaussianConfig
from gpvae_core.mapa import empirical
from gpvae_core.mapa.bound import mapa_bound
from gpvae_core.mapa.draws import IndexDraw, draw_dense, draw_sparse, draw_uniform
from gpvae_core.mapa.empirical import EmpiricalizedModel, distinct_indices
from gpvae_core.mapa.proposals import MapaProposal, ModelProposal, UniformProposal
from gpvae_core.mapa.sparse import SparsePosterior
from gpvae_core.nets.fc import FullyConnectedConfig
from gpvae_core.priors.flow import FlowPriorConfig
from gpvae_core.vae import VAE

N, SHAPE, BANDWIDTH = 12, (1, 1, 2), 0.5
X = torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def model(sigma: float = 0.4) -> VAE:
    torch.manual_seed(1)
    net = FullyConnectedConfig(hidden=8, depth=2)
    likelihood = GaussianConfig(sigma_x=sigma).build()
    return VAE(net.decoder(1, SHAPE), likelihood, GaussianEncoderConfig().build(net, SHAPE, 1), 1, SHAPE).double()


def empiricalized(vae: VAE, x: Tensor = X) -> EmpiricalizedModel:
    return EmpiricalizedModel(vae, lambda index: x[index], len(x))


def log_kernel(x: Tensor = X) -> Tensor:
    return -0.5 * torch.cdist(x.flatten(1), x.flatten(1)).square() / BANDWIDTH**2


def posterior(x: Tensor = X, stored: int = N) -> SparsePosterior:
    log_k, index = log_kernel(x).sort(1, descending=True)
    rest = torch.logsumexp(log_k[:, stored:], 1) if stored < len(x) else torch.full((len(x),), -torch.inf).double()
    return SparsePosterior.normalized(index[:, :stored], log_k[:, :stored], rest, len(x))


def likelihood_of(vae: VAE, n: int, i: int) -> float:
    """p(x_n | f(g(x_i))) of one pair, from the definition."""
    with torch.no_grad():
        g = vae.decode(vae.encoder(X[i : i + 1]).mean)[0].flatten().tolist()
    sigma = float(vae.likelihood.noise_scale() or 0.0)
    square = sum((a - b) ** 2 for a, b in zip(X[n].flatten().tolist(), g, strict=True))
    return math.exp(-0.5 * square / sigma**2) / (2 * math.pi * sigma**2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_bound_is_that_of_a_loop_over_its_pairs() -> None:
    """Eq. 8, 9 and 29, written out."""
    vae, k = model(), 3
    index = torch.tensor([4, 0, 9])
    draw = MapaProposal(posterior()).draw(index, k, 5, generator())
    value, codes = empiricalized(vae).bound(index, draw)
    assert codes == len({*draw.head.flatten().tolist(), *draw.tail.flatten().tolist()})
    for row, n in enumerate(index.tolist()):
        kernel = [math.exp(-0.5 * float((X[n] - X[j]).square().sum()) / BANDWIDTH**2) for j in range(N)]
        q = [value / sum(kernel) for value in kernel]
        nearest = sorted(range(N), key=lambda j: -q[j])[:k]
        assert nearest == draw.head[row].tolist()
        rest = sum(q[j] for j in range(N) if j not in nearest)
        total = sum(likelihood_of(vae, n, i) for i in nearest)
        for i in draw.tail[row].tolist():
            assert i not in nearest
            total += likelihood_of(vae, n, i) / (q[i] / rest) / 5
        assert float(value[row].detach()) == pytest.approx(math.log(total / N), abs=1e-10)


def test_likelihood_and_index_posterior_are_those_of_the_loop() -> None:
    """Eq. 4 and 7."""
    vae = model()
    every = torch.arange(N)
    log_px = empiricalized(vae).log_likelihood(X, every)
    posteriors = empiricalized(vae).decoded(every).log_index_posterior(X)
    for n in range(N):
        each = [likelihood_of(vae, n, i) for i in range(N)]
        assert float(log_px[n]) == pytest.approx(math.log(sum(each) / N), abs=1e-6)
        assert posteriors[n].exp().tolist() == pytest.approx([p / sum(each) for p in each], abs=1e-9)


def of_table(log_p: Tensor, draw: IndexDraw) -> Tensor:
    """The bound, where log p(x_n | i) of every pair is known."""
    return mapa_bound(log_p.gather(1, draw.head), log_p.gather(1, draw.tail), draw.log_q, log_p.shape[1])


@pytest.mark.parametrize("k", [0, 1, 4])
@pytest.mark.parametrize("samples", [1, 2])
def test_inside_the_log_it_is_unbiased_and_outside_it_is_below(k: int, samples: int) -> None:
    """Over every possible draw, weighted with its probability: no noise at all."""
    log_p = torch.randn(1, 7, generator=generator(3), dtype=torch.float64) * 2
    log_q = torch.log_softmax(torch.randn(1, 7, generator=generator(4), dtype=torch.float64), 1)
    head = log_q.topk(k, 1).indices
    rest = torch.log_softmax(log_q.scatter(1, head, -torch.inf), 1)
    mean_exp = mean = weight = 0.0
    for chosen in product([i for i in range(7) if i not in head[0].tolist()], repeat=samples):
        tail = torch.tensor([chosen])
        share = float(rest.gather(1, tail).sum().exp())
        bound = float(of_table(log_p, IndexDraw(head, tail, rest.gather(1, tail))))
        mean_exp, mean, weight = mean_exp + share * math.exp(bound), mean + share * bound, weight + share
    exact = float(torch.logsumexp(log_p, 1)) - math.log(7)
    assert weight == pytest.approx(1.0)
    assert mean_exp == pytest.approx(math.exp(exact), rel=1e-12)
    assert mean < exact - 1e-3


def noisy_truth() -> Tensor:
    """log p(x_n | i) of a model whose outputs are the points less some noise, as MAPA assumes (eq. 17)."""
    outputs = X.flatten(1) + 0.3 * torch.randn(N, 2, generator=generator(8), dtype=torch.float64)
    return -0.5 * torch.cdist(X.flatten(1), outputs).square() / BANDWIDTH**2


def mean_bound(log_p: Tensor, k: int, samples: int, draws: int = 400) -> float:
    rng, q = generator(5), posterior()
    return sum(float(of_table(log_p, draw_sparse(q, k, samples, rng)).mean()) for _ in range(draws)) / draws


def test_it_tightens_in_s_and_in_k() -> None:
    log_p = noisy_truth()
    exact = float((torch.logsumexp(log_p, 1) - math.log(N)).mean())
    in_s = [mean_bound(log_p, 1, samples) for samples in (1, 4, 16)]
    in_k = [mean_bound(log_p, k, 2) for k in (1, 4, 10)]
    assert in_s == sorted(in_s)
    assert in_k == sorted(in_k)
    assert exact - in_s[0] > 2 * (exact - in_s[2]) > 0
    assert exact - in_k[0] > 2 * (exact - in_k[2]) > 0


def test_the_models_own_posterior_makes_it_exact() -> None:
    vae, every = model(), torch.arange(N)
    own = empiricalized(vae)
    log_px = own.log_likelihood(X, every)
    for k, samples in ((0, 1), (1, 1), (3, 7)):
        draw = ModelProposal(own).draw(every, k, samples, generator())
        assert draw.passes == N
        assert torch.allclose(own.bound(every, draw)[0], log_px, atol=1e-6)


def test_with_every_index_it_is_exact_and_takes_no_draws() -> None:
    vae, every = model(), torch.arange(N)
    own = empiricalized(vae)
    for proposal in (MapaProposal(posterior()), ModelProposal(own), UniformProposal(N)):
        value, codes = own.bound(every, proposal.draw(every, N, 0, generator()))
        assert torch.allclose(value, own.log_likelihood(X, every), atol=1e-6)
        assert codes == N
    whole, one = torch.zeros(2, 5), torch.zeros(2, 1)
    with pytest.raises(UserError, match="k=5 includes every training point"):
        mapa_bound(whole, one, one, 5)
    with pytest.raises(UserError, match="wanted k from 0 to the 4 training points"):
        mapa_bound(whole, one[:, :0], one[:, :0], 4)
    with pytest.raises(UserError, match="leave the bound without a term"):
        mapa_bound(whole[:, :0], one[:, :0], one[:, :0], 5)


def test_one_neighbour_and_no_draws_are_the_autoencoder() -> None:
    """B.1: log p(x_n | f(g(x_n))) - log N."""
    vae, every = model(), torch.arange(N)
    value, _ = empiricalized(vae).bound(every, MapaProposal(posterior()).draw(every, 1, 0, generator()))
    direct = vae.likelihood.log_prob(X, vae.decode(vae.encoder(X).mean)) - math.log(N)
    assert torch.allclose(value, direct, atol=1e-10)


def gradients(vae: VAE, value: Tensor) -> list[Tensor]:
    parameters = [p for p in vae.parameters() if p.requires_grad]
    actual = torch.autograd.grad(value.mean(), parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, actual, strict=True)]


def pair_by_pair(vae: VAE, index: Tensor, draw: IndexDraw) -> Tensor:
    """Every pair encoded and decoded anew."""
    pairs = torch.cat([draw.head, draw.tail], 1)
    rows = [
        [vae.likelihood.log_prob(X[n], vae.decode(vae.encoder(X[i][None]).mean)[0]) for i in pairs[row].tolist()]
        for row, n in enumerate(index.tolist())
    ]
    log_p, k = torch.stack([torch.stack(row) for row in rows]), draw.head.shape[1]
    return mapa_bound(log_p[:, :k], log_p[:, k:], draw.log_q, N)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_each_code_is_decoded_once_with_the_value_and_gradient_of_all_pairs(
    in_chunks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_chunks:
        monkeypatch.setattr(empirical, "AT_ONCE", 3)
        monkeypatch.setattr(empirical, "PAIR_VALUES", 50)
    vae, index = model(), torch.tensor([3, 7, 1, 8])
    draw = MapaProposal(posterior()).draw(index, 2, 8, generator(2))
    seen = {"encoder": 0, "decoder": 0}
    for name in seen:
        vae.get_submodule(name).register_forward_hook(
            lambda _module, given, _out, name=name: seen.__setitem__(name, seen[name] + len(given[0]))
        )
    value, codes = empiricalized(vae).bound(index, draw)
    assert seen == {"encoder": codes, "decoder": codes}
    assert codes < draw.head.numel() + draw.tail.numel()
    every_pair = pair_by_pair(vae, index, draw)
    assert torch.allclose(value, every_pair, atol=1e-10)
    for a, b in zip(gradients(vae, value), gradients(vae, every_pair), strict=True):
        assert torch.allclose(a, b, atol=1e-10)


def test_the_prior_map_has_no_part_in_it() -> None:
    vae, every = model(), torch.arange(N)
    draw = MapaProposal(posterior()).draw(every, 2, 3, generator())
    plain = empiricalized(vae).bound(every, draw)[0]
    vae.decoder = FlowPriorConfig().wrap(vae.decoder, 1).double()
    assert torch.equal(empiricalized(vae).bound(every, draw)[0], plain)


@pytest.mark.parametrize("kind", ["bernoulli", "continuous_bernoulli"])
def test_other_likelihoods(kind: str) -> None:
    vae, every = model(), torch.arange(N)
    vae.likelihood = LIKELIHOODS.get(kind)().build()
    x = X.sigmoid().round()
    own = empiricalized(vae, x)
    value, _ = own.bound(every, ModelProposal(own).draw(every, 2, 3, generator()))
    direct = vae.likelihood.log_prob(x[:, None], vae.decode(vae.encoder(x).mean)[None])
    assert torch.allclose(value, torch.logsumexp(direct, 1) - math.log(N), atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_draws_are_outside_of_the_head_with_their_probabilities(k: int) -> None:
    """Frequencies of 40,000 draws of one point, by each kind of posterior."""
    log_q = log_kernel()[:1].log_softmax(1)
    for draw in (
        draw_sparse(posterior(stored=6).rows(torch.tensor([0])), k, 40_000, generator()),
        draw_dense(log_q, k, 40_000, generator()),
        draw_uniform(1, N, k, 40_000, generator()),
    ):
        assert not set(draw.head[0].tolist()) & set(draw.tail[0].tolist())
        for i in set(draw.tail[0].tolist()):
            here = draw.tail[0] == i
            share = float(draw.log_q[0][here][0].exp())
            assert torch.all(draw.log_q[0][here] == draw.log_q[0][here][0])
            assert abs(float(here.double().mean()) - share) < 4 * math.sqrt(share / 40_000)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_even_draws_are_even(k: int) -> None:
    log_q = draw_uniform(3, N, k, 20, generator()).log_q
    assert torch.allclose(log_q, torch.full_like(log_q, -math.log(N - k)))


def test_without_mapa_the_even_proposal_draws_any_head() -> None:
    heads = [tuple(draw_uniform(1, N, 2, 1, generator(seed)).head[0].tolist()) for seed in range(30)]
    assert len(set(heads)) > 20
    assert all(len(set(head)) == 2 for head in heads)


def test_mapa_is_a_better_proposal_than_none() -> None:
    log_p, rng = noisy_truth(), generator(7)
    mapa = mean_bound(log_p, 1, 2)
    even = sum(float(of_table(log_p, draw_uniform(N, N, 1, 2, rng)).mean()) for _ in range(400)) / 400
    assert even < mapa - 0.3
    assert mapa < float((torch.logsumexp(log_p, 1) - math.log(N)).mean())


def test_distinct_indices_are_those_of_unique() -> None:
    pairs = torch.randint(50, (4, 9), generator=generator())
    distinct, place = distinct_indices(pairs, 50)
    expected, inverse = torch.unique(pairs, return_inverse=True)
    assert torch.equal(distinct, expected)
    assert torch.equal(place, inverse)
