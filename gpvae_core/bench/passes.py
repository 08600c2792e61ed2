"""Network passes of MAPA and IWAE on the synthetic sets, counted as in Fig. 4 and 5 of Yacoby et al. 2024."""

from __future__ import annotations

import torch

from gpvae_core.bench.base import BENCHES, Bench, Row
from gpvae_core.data.synthetic.examples import draw, get_example
from gpvae_core.mapa.batches import RandomBatches
from gpvae_core.mapa.kernels.gaussian import GaussianKernel
from gpvae_core.mapa.neighbours import find_neighbours
from gpvae_core.mapa.passes import Passes, pass_table
from gpvae_core.mapa.proposals import MapaProposal
from gpvae_core.progress import Progress, silent

SETS = ("absolute-value", "circle", "clusters", "figure-8", "spiral-dots")
POINTS = (1000, 5000)
"""Numbers of training points: that of a data set, and a larger one. The paper states none, and MAPA needs up to N / 100
passes."""
SAMPLES = (50, 200)
STORED = 512


@BENCHES.register("passes")
class NetworkPasses(Bench):
    """Network passes per point of a batch of 100 on the synthetic sets: MAPA with k = 10 % and 90 % of S, and IWAE."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        rows: list[Row] = []
        for number, name in enumerate(SETS):
            progress(number, len(SETS), "counting passes")
            for n in POINTS:
                rows += _rows(f"{name}, N={n}", _count_passes(name, n, repeats))
        progress(len(SETS), len(SETS), "counting passes")
        return rows


def _count_passes(name: str, n: int, batches: int) -> list[Passes]:
    x, kernel = torch.from_numpy(draw(name, n, 0).points).flatten(1), GaussianKernel(get_example(name).sigma)
    posterior = find_neighbours(x, kernel, min(STORED, n), progress=silent).posterior(kernel)
    return pass_table(MapaProposal(posterior), RandomBatches(n), n, SAMPLES, batches=batches)


def _rows(label: str, table: list[Passes]) -> list[Row]:
    """Return decoder passes (Fig. 4) and all passes (Fig. 5), with ratios to IWAE with the same S."""
    rows = []
    for metric, count in (("decoder", lambda passes: passes.decoder), ("encoder and decoder", lambda p: p.both)):
        iwae = {passes.samples: count(passes) for passes in table if passes.method == "IWAE"}
        for passes in table:
            k = "" if passes.k is None else f", k={passes.k}"
            case, rival = f"{label}: {passes.method}, S={passes.samples}{k}", f"IWAE, S={passes.samples}"
            ratio = None if passes.method == "IWAE" else count(passes) / iwae[passes.samples]
            rows.append(Row(case, f"{metric} passes per point", count(passes), "1", ratio and rival, ratio))
    return rows
