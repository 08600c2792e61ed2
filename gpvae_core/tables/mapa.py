"""The comparison of Yacoby et al. 2024 (sec. 6, D.1) from a sweep's results: test KL by method, S and data set.

The test KL is KL[p_GT || p_model] in nats, of each draw of a data set that of the restart with the best validation
log-likelihood, averaged over draws. The paper has its KLs in figures alone; what its text says of them is compared with
ours draw by draw, by a paired t-test. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.errors import UserError, unknown
from gpvae_core.sweep.results import Results, Setup, open_results
from gpvae_core.tables.mapa_claims import Verdict, verdicts
from gpvae_core.tables.mapa_entries import SETS, Entry, entries_of, place_of


@dataclass(frozen=True)
class Comparison:
    """The comparison as a page or a table shows it."""

    setup: str
    name: str
    """Name of the sweep."""
    others: tuple[str, ...]
    """Other sweeps in the folder with test KLs."""
    content: dict[str, object]
    """The sweep's epochs, settings and score."""
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]

    def entry(self, dataset: str, method: str) -> Entry | None:
        return next((one for one in self.entries if (one.dataset, one.method) == (dataset, method)), None)


def comparison(path: Path, setup: str | None = None) -> Comparison:
    """Return the comparison in a sweep's folder (or its results.sqlite), as far as it has got.

    Args:
        setup: name or key of one of several setups in the folder; by default that with test KLs of the most methods, of
            these the latest.

    Raises:
        UserError: no results, none on data of known truth, or no such setup.
    """
    results = open_results(path)
    chosen, others = _choose(results, setup)
    rows = [row for row in results.rows(chosen.setup) if row.latent_dim == 1]
    entries = entries_of(rows)
    return Comparison(
        setup=chosen.setup,
        name=chosen.name,
        others=others,
        content=chosen.content,
        datasets=_in_order({entry.dataset for entry in entries}, SETS),
        methods=tuple(sorted({entry.method for entry in entries}, key=place_of)),
        entries=entries,
        verdicts=verdicts(entries),
    )


def _choose(results: Results, name: str | None) -> tuple[Setup, tuple[str, ...]]:
    """Return the setup asked for, and the names of the others."""
    known = results.setups()
    with_kl: dict[str, set[str]] = {}
    for row in results.rows():
        if row.test_kl is not None:
            with_kl.setdefault(row.setup, set()).add(row.method)
    if name is not None:
        found = [one for one in known if name in (one.name, one.setup)]
        if not found:
            raise unknown("setup", name, {one.name for one in known})
    else:
        found = known
    found = sorted((one for one in found if one.setup in with_kl), key=lambda one: -len(with_kl[one.setup]))
    if not found:
        raise UserError(
            f"'{results.path}' has no test KL: wanted the results of a sweep over data of known truth such as "
            f"'{SETS[0]}' (gpvae sweep docs/mapa.toml), at least one of them done"
        )
    others = [one.name for one in known if one.setup in with_kl and one.setup != found[0].setup]
    return found[0], tuple(dict.fromkeys(others))


def _in_order(names: set[str], first: Sequence[str]) -> tuple[str, ...]:
    return tuple([name for name in first if name in names] + sorted(names - set(first)))
