"""Inference time per batch as in Tables 5 and 11: every method compared with the VAE, and the GP encoder's algebra."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.encoders.gp import GPEncoder
from gpvae_core.methods import methods
from gpvae_core.progress import Progress
from gpvae_core.vae import VAE

BATCH, SHAPE = 128, (1, 28, 28)
D = 50
"""Number of latent dimensions of Tables 5 and 11."""
OTHER_DIMENSIONS = (10, 20)
"""Further numbers of latent dimensions at which the GP encoder's algebra is timed."""


def loop_over_dimensions(encoder: GPEncoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return m and v (B, D) of eq. 13, computed as in the paper (footnote 9): one dense Sigma_j after the other."""
    b, c = encoder.base(x)
    psi_m, psi_s = encoder.psi_m(x), encoder.psi_s(x)
    L_w, L_u = encoder.w.cholesky(), encoder.u.cholesky()
    means, variances = [], []
    for j in range(b.shape[1]):
        # psi_m' Sigma_j psi_m with Sigma_j = L_j L_j', and the second moment of c_j + u_j' psi_s likewise
        f_var = ((psi_m @ L_w[j]) @ L_w[j].T * psi_m).sum(-1)
        h_mean = psi_s @ encoder.u.mu[j]
        h_var = ((psi_s @ L_u[j]) @ L_u[j].T * psi_s).sum(-1)
        means.append(b[:, j] + psi_m @ encoder.w.mu[j])
        variances.append((c[:, j] + h_mean).square() + f_var + h_var)
    return torch.stack(means, 1), torch.stack(variances, 1)


def randomize(encoder: GPEncoder) -> GPEncoder:
    """Give the encoder a q(W,U) with dense Cholesky factors, as after training, and return it."""
    with torch.no_grad():
        for weights in (encoder.w, encoder.u):
            L = torch.randn(weights.below.shape).mul_(0.02).tril_(-1)
            L.diagonal(dim1=-2, dim2=-1).fill_(0.05)
            weights.set_cholesky(L)
            weights.mu.normal_(std=0.02)
    return encoder


def names_of_methods() -> list[str]:
    """Return the methods that differ in inference, with each number that the papers compare.

    Methods that differ only in training (objective, regulariser, MAPA) are left out.
    """
    return [
        name
        for method in methods().values()
        if (method.objective, method.regulariser, method.inference) == ("elbo", "none", "amortized")
        for name in method.names()
    ]


def model(name: str, d: int, device: torch.device) -> VAE:
    """Return an untrained model of a method for 28x28 images, with the paper's networks and dense GP factors."""
    torch.manual_seed(0)
    vae = make_config(name, DataConfig(name="mnist"), SHAPE, {"latent_dim": d}).build(SHAPE)
    if isinstance(vae.encoder, GPEncoder):
        randomize(vae.encoder)
    return vae.to(device).eval().requires_grad_(False)


def answer(vae: VAE, x: Tensor) -> Callable[[], object]:
    """Return a function that computes q(z|x) of a batch and one sample with its log density."""
    return lambda: vae.infer(x).rsample_and_log_prob(1)


@BENCHES.register("inference")
class InferenceBench(Bench):
    """Inference per batch of 128, d = 50, 28x28 networks: every method beside the VAE (Tables 5 and 11)."""

    @torch.no_grad()
    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        x = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
        cases = {name: answer(model(name, D, device), x) for name in names_of_methods()}
        times = time_in_turn(cases, repeats, device, progress, f"inference, d={D}")
        rows = timed_rows(times, "time per batch of 128", ratio_to="vae")
        for d in (*OTHER_DIMENSIONS, D):
            rows += gp_rows(d, x, device, repeats, progress)
        return rows


def gp_rows(d: int, x: Tensor, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
    """Time the moments of q(z|x) alone: VAE, GP encoder with a loop over dimensions as in the paper, and as shipped."""
    vae, gp = model("vae", d, device), model("gp", d, device).encoder
    assert isinstance(gp, GPEncoder)
    m, v = loop_over_dimensions(gp, x)
    q = gp(x)
    worst = max(float((q.mean - m).abs().max() / m.abs().mean()), float((q.variance / v - 1).abs().max()))
    cases = {
        f"VAE, d={d}": lambda: vae.encoder(x).variance,
        f"GP, loop over dimensions, d={d}": lambda: loop_over_dimensions(gp, x),
        f"GP, as shipped, d={d}": lambda: gp(x).variance,
    }
    times = time_in_turn(cases, repeats, device, progress, f"GP encoder, d={d}")
    rows = timed_rows(times, "moments per batch of 128", ratio_to=f"VAE, d={d}")
    return [*rows, Row(f"GP, as shipped, d={d}", "largest relative difference to the loop", worst, "1")]
