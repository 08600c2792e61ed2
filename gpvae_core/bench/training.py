"""Time of a training step of the GP encoder, compared with the VAE."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gpvae_core.allocator import keep_freed_memory
from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.encoders.base import EncoderConfig
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.encoders.gp import GPEncoderConfig
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.progress import Progress
from gpvae_core.training_bound import training_bound
from gpvae_core.vae import VAE

BATCH, SHAPE, N_TRAIN = 128, (1, 28, 28), 54_000


def step(encoder: EncoderConfig, d: int, device: torch.device) -> Callable[[], None]:
    """Return a function that takes one optimizer step on a fixed batch."""
    torch.manual_seed(0)
    net = ConvConfig()
    model = VAE(net.decoder(d, SHAPE), GaussianConfig().build(), encoder.build(net, SHAPE, d), d, SHAPE).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0)).to(device)

    def once() -> None:
        optimizer.zero_grad(set_to_none=True)
        (-training_bound(model, x, N_TRAIN, 1, generator).surrogate).backward()
        optimizer.step()

    return once


@BENCHES.register("training")
class TrainingStep(Bench):
    """One training step (batch of 128, 28x28 networks) of the VAE and the GP encoder at d = 2, 10."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        keep_freed_memory()  # as training does
        rows: list[Row] = []
        for d in (2, 10):
            cases = {
                f"VAE, d={d}": step(GaussianEncoderConfig(), d, device),
                f"GP, Monte Carlo KL, d={d}": step(GPEncoderConfig(), d, device),
                f"GP, closed-form KL, d={d}": step(GPEncoderConfig(expected_kl="closed_form"), d, device),
            }
            times = time_in_turn(cases, repeats, device, progress, f"training step, d={d}")
            rows += timed_rows(times, "time per step", ratio_to=f"VAE, d={d}")
        return rows
