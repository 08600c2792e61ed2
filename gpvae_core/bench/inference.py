"""Encoder inference: the VAE, the GP encoder with a loop over dimensions, and the GP encoder as shipped."""

from __future__ import annotations

import torch
from torch import Tensor

from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.gp import GPEncoder, GPEncoderConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.progress import Progress

BATCH, DIMENSIONS, SHAPE = 128, (10, 20, 50), (1, 28, 28)


def loop_over_dimensions(encoder: GPEncoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 13 as the paper computes it (footnote 9): one dense Sigma_j after the other. Returns m and v, (B, D)."""
    b, c = encoder.base(x)
    psi_m, psi_s = encoder.psi_m(x), encoder.psi_s(x)
    L_w, L_u = encoder.w.cholesky(), encoder.u.cholesky()
    means, variances = [], []
    for j in range(b.shape[1]):
        f_var = ((psi_m @ L_w[j]) @ L_w[j].T * psi_m).sum(-1)
        h_mean = psi_s @ encoder.u.mu[j]
        h_var = ((psi_s @ L_u[j]) @ L_u[j].T * psi_s).sum(-1)
        means.append(b[:, j] + psi_m @ encoder.w.mu[j])
        variances.append((c[:, j] + h_mean).square() + f_var + h_var)
    return torch.stack(means, 1), torch.stack(variances, 1)


def randomize(encoder: GPEncoder) -> GPEncoder:
    """A q(W,U) with dense factors, as after training."""
    with torch.no_grad():
        for weights in (encoder.w, encoder.u):
            L = torch.randn(weights.below.shape).mul_(0.02).tril_(-1)
            L.diagonal(dim1=-2, dim2=-1).fill_(0.05)
            weights.set_cholesky(L)
            weights.mu.normal_(std=0.02)
    return encoder


@BENCHES.register("inference")
class Inference(Bench):
    """Encoder inference per batch of 128: VAE, GP looping over dimensions, GP as shipped; d = 10, 20, 50."""

    @torch.no_grad()
    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        rows: list[Row] = []
        net = ConvConfig()
        x = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
        for d in DIMENSIONS:
            torch.manual_seed(0)
            vae = GaussianEncoderConfig().build(net, SHAPE, d).to(device).eval().requires_grad_(False)
            gp = randomize(GPEncoderConfig().build(net, SHAPE, d)).to(device).eval().requires_grad_(False)
            m, v = loop_over_dimensions(gp, x)
            q = gp(x)
            worst = max(float((q.mean - m).abs().max() / m.abs().mean()), float((q.variance / v - 1).abs().max()))
            cases = {
                f"VAE, d={d}": lambda e=vae: e(x).variance,
                f"GP, loop over dimensions, d={d}": lambda e=gp: loop_over_dimensions(e, x),
                f"GP, as shipped, d={d}": lambda e=gp: e(x).variance,
            }
            times = time_in_turn(cases, repeats, device, progress, f"inference, d={d}")
            rows += timed_rows(times, "time per batch of 128", ratio_to=f"VAE, d={d}")
            rows.append(Row(f"GP, as shipped, d={d}", "largest relative difference to the loop", worst, "1"))
        return rows
