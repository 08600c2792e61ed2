"""Network passes of MAPA and IWAE on the synthetic sets, as Fig. 4 and 5 of Yacoby et al. 2024 count them."""

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
"""N: of a data set here; and a larger one, because the paper states none and N / 100 is the most that MAPA can need."""
SAMPLES = (50, 200)
STORED = 512


@BENCHES.register("passes")
class NetworkPasses(Bench):
    """Network passes per point of a batch of 100: MAPA, k = 10 % and 90 % of S, beside IWAE, on the synthetic sets."""

    def run(self, device: torch.device, repeats: int, progress: Progress) -> list[Row]:
        rows: list[Row] = []
        for number, name in enumerate(SETS):
            progress(number, len(SETS), "counting passes")
            for n in POINTS:
                rows += _rows(f"{name}, N={n}", _counted(name, n, repeats))
        progress(len(SETS), len(SETS), "counting passes")
        return rows


def _counted(name: str, n: int, batches: int) -> list[Passes]:
    x, kernel = torch.from_numpy(draw(name, n, 0).points).flatten(1), GaussianKernel(get_example(name).sigma)
    posterior = find_neighbours(x, kernel, min(STORED, n), progress=silent).posterior(kernel)
    return pass_table(MapaProposal(posterior), RandomBatches(n), n, SAMPLES, batches=batches)


def _rows(where: str, counted: list[Passes]) -> list[Row]:
    """Fig. 4 counts decoder passes, Fig. 5 those of encoder and decoder; ratios are to IWAE with the same S."""
    rows = []
    for metric, of in (("decoder", lambda one: one.decoder), ("encoder and decoder", lambda one: one.both)):
        iwae = {one.samples: of(one) for one in counted if one.method == "IWAE"}
        for one in counted:
            k = "" if one.k is None else f", k={one.k}"
            case, rival = f"{where}: {one.method}, S={one.samples}{k}", f"IWAE, S={one.samples}"
            ratio = None if one.method == "IWAE" else of(one) / iwae[one.samples]
            rows.append(Row(case, f"{metric} passes per point", of(one), "1", ratio and rival, ratio))
    return rows
