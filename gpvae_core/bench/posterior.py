"""The true posterior of one instance on a 201x201 grid: from an atlas decoded once, or decoding for each instance."""

from __future__ import annotations

import torch

from gpvae_core.bench.base import BENCHES, Bench, Row, time_in_turn, timed_rows
from gpvae_core.encoders.gaussian import GaussianEncoderConfig
from gpvae_core.likelihoods import GaussianConfig
from gpvae_core.nets.conv import ConvConfig
from gpvae_core.progress import Progress
from gpvae_core.truth.atlas import Atlas
from gpvae_core.vae import VAE

SHAPE, SIDE = (1, 28, 28), 201


@BENCHES.register("posterior")
class PosteriorBench(Bench):
    """True posterior of one 28x28 image on a 201x201 grid (d = 2): decoding each time, or from an atlas."""

    @torch.no_grad()
    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        torch.manual_seed(0)
        net = ConvConfig()
        encoder = GaussianEncoderConfig().build(net, SHAPE, 2)
        vae = VAE(net.decoder(2, SHAPE), GaussianConfig().build(), encoder, 2, SHAPE).to(device).eval()
        x = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
        atlas = Atlas.build(vae, side=SIDE)
        decoding = time_in_turn(
            {"decode the grid each time": lambda: Atlas.build(vae, side=SIDE).log_joint(x)},
            max(1, repeats // 5),
            device,
            progress,
            "decoding the grid",
            warmup=1,
        )
        cached = time_in_turn(
            {"atlas decoded once": lambda: atlas.log_joint(x)}, repeats, device, progress, "from the atlas"
        )
        rows = timed_rows(decoding | cached, "time per instance")
        ratio = rows[0].value / rows[1].value
        return [*rows, Row("decode the grid each time", "median over median", ratio, "1", "atlas decoded once", ratio)]
