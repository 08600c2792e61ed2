"""Network passes for a gradient, as Yacoby et al. 2024 count them (D.2): per training point of a batch.

MAPA encodes and decodes every distinct index of a batch once. IWAE encodes each point once and decodes S samples of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from gpvae_core.mapa.batches import Batching
from gpvae_core.mapa.bound import check_counts
from gpvae_core.mapa.empirical import distinct_of
from gpvae_core.mapa.proposals import Proposal
from gpvae_core.progress import Progress, silent


@dataclass(frozen=True)
class Passes:
    """Passes per point of a batch; mean over the batches."""

    method: str
    """'MAPA', 'IWAE', or 'MAPA max', the most that MAPA can need."""
    samples: int
    """S."""
    k: int | None
    """Indices summed over, where the method has any."""
    decoder: float
    """Codes decoded for each point."""
    encoder: float
    """Images encoded for each point."""

    @property
    def both(self) -> float:
        """Encoder and decoder passes together (Fig. 5); `decoder` alone is Fig. 4."""
        return self.decoder + self.encoder


def share_of_samples(samples: int, percent: int) -> int:
    """k as the paper sets it, in percent of S (C.2); at least 1."""
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
    """Measured over `batches` batches; codes decoded to find the indices count as passes too.

    Raises:
        UserError: k and S that do not go together, or with N.
    """
    check_counts(k, samples, n_total)
    generator = torch.Generator().manual_seed(seed)
    codes = points = 0
    for index in _batches(batching, batch_size, batches, generator):
        draw = proposal.draw(index, k, samples, generator)
        codes += len(distinct_of(torch.cat([draw.head, draw.tail], dim=1), n_total)[0]) + draw.passes
        points += len(index)
    return Passes("MAPA", samples, k, codes / points, codes / points)


def iwae_passes(samples: int) -> Passes:
    """S decoder passes and one encoder pass a point."""
    return Passes("IWAE", samples, None, float(samples), 1.0)


def most_passes(samples: int, n_total: int, batch_size: int = 100) -> Passes:
    """ "MAPA max": all N codes in every batch."""
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
    """Fig. 4 and 5: MAPA with k = 10 % and 90 % of S, IWAE and MAPA's most, for each S.

    An S whose k leaves nothing of N to draw is left out for MAPA.
    """
    found: list[Passes] = []
    for number, s in enumerate(samples):
        progress(number, len(samples), "counting passes")
        for k in dict.fromkeys(share_of_samples(s, percent) for percent in percents):
            if k < n_total:
                found.append(mapa_passes(proposal, batching, s, k, n_total, batch_size, batches, seed))
        found += [iwae_passes(s), most_passes(s, n_total, batch_size)]
    progress(len(samples), len(samples), "counting passes")
    return found


def _batches(batching: Batching, size: int, count: int, generator: torch.Generator) -> Iterator[Int64[Tensor, " B"]]:
    """The first `count` whole batches of as many epochs as they take."""
    done = 0
    while done < count:
        order = batching.order(generator)
        size = min(size, len(order))
        for start in range(0, len(order) - size + 1, size):
            if done < count:
                yield order[start : start + size]
            done += 1
