"""Network passes per gradient step and training point, counted as in Yacoby et al. 2024 (D.2).

MAPA encodes and decodes each distinct index of a batch once. IWAE encodes each point once and decodes S samples of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.mapa.batches import Batching
from gpvae_core.mapa.bound import check_counts
from gpvae_core.mapa.empirical import distinct_indices
from gpvae_core.mapa.proposals import Proposal
from gpvae_core.progress import Progress, silent


@dataclass(frozen=True)
class Passes:
    """Passes per point of a batch, as means over batches."""

    method: str
    """'MAPA', 'IWAE', or 'MAPA max', an upper bound for MAPA."""
    samples: int
    """Number of drawn indices or samples, S."""
    k: int | None
    """Number of indices summed over, if the method has any."""
    decoder: float
    """Codes decoded per point."""
    encoder: float
    """Images encoded per point."""

    @property
    def both(self) -> float:
        """Encoder and decoder passes together (Fig. 5); `decoder` alone is Fig. 4."""
        return self.decoder + self.encoder


def k_from_percent(samples: int, percent: int) -> int:
    """Return k as a percentage of S, as the paper sets it (C.2), but at least 1."""
    return max(1, round(samples * percent / 100))


def mapa_passes(
    proposal: Proposal,
    batching: Batching,
    samples: int,
    k: int,
    n_total: int,
    batch_size: int = 100,
    batches: int = 10,
    seed: int = 0,
) -> Passes:
    """Measure MAPA's passes over `batches` batches, including the codes decoded to draw the indices.

    Raises:
        UserError: k, S and N do not define a bound.
    """
    check_counts(k, samples, n_total)
    generator = torch.Generator().manual_seed(seed)
    codes = points = 0
    for index in _batches(batching, batch_size, batches, generator):
        draw = proposal.draw(index, k, samples, generator)
        codes += len(distinct_indices(torch.cat([draw.head, draw.tail], dim=1), n_total)[0]) + draw.passes
        points += len(index)
    return Passes("MAPA", samples, k, codes / points, codes / points)


def iwae_passes(samples: int) -> Passes:
    """Return IWAE's passes: S decoder passes and one encoder pass per point."""
    return Passes("IWAE", samples, None, float(samples), 1.0)


def max_passes(samples: int, n_total: int, batch_size: int = 100) -> Passes:
    """Return the upper bound "MAPA max": all N codes in every batch."""
    share = n_total / min(batch_size, n_total)
    return Passes("MAPA max", samples, None, share, share)


def pass_table(
    proposal: Proposal,
    batching: Batching,
    n_total: int,
    samples: Sequence[int] = (1, 10, 25, 50, 100, 150, 200),
    percents: Sequence[int] = (10, 90),
    batch_size: int = 100,
    batches: int = 10,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Passes]:
    """Return the passes of Fig. 4 and 5: MAPA with k = 10 % and 90 % of S, IWAE and the bound MAPA max, for each S.

    MAPA has no row at an S whose k leaves none of the N indices to draw.
    """
    table: list[Passes] = []
    for number, s in enumerate(samples):
        progress(number, len(samples), "counting passes")
        for k in dict.fromkeys(k_from_percent(s, percent) for percent in percents):
            if k < n_total:
                table.append(mapa_passes(proposal, batching, s, k, n_total, batch_size, batches, seed))
        table += [iwae_passes(s), max_passes(s, n_total, batch_size)]
    progress(len(samples), len(samples), "counting passes")
    return table


def _batches(batching: Batching, size: int, count: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """Yield the first `count` full batches, over as many epochs as needed."""
    done = 0
    while done < count:
        order = batching.order(generator)
        size = min(size, len(order))
        for start in range(0, len(order) - size + 1, size):
            if done < count:
                yield order[start : start + size]
            done += 1
