"""The comparison of Yacoby et al. 2024 (sec. 6, D.1) from a sweep's results: test KL by method, S and data set.

The test KL is KL[p_GT || p_model] in nats. For each draw of a data set it is that of the restart with the best
validation log-likelihood, and it is averaged over draws. The paper reports its KLs only in figures; the statements of
its text are tested with our KLs by paired t-tests over draws. Torch is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpvae_core.errors import UserError, unknown
from gpvae_core.sweep.results import Results, Setup, open_results
from gpvae_core.tables.mapa_claims import Verdict, verdicts
from gpvae_core.tables.mapa_entries import SETS, Entry, make_entries, sort_key


@dataclass(frozen=True)
class Comparison:
    """The comparison of all methods and data sets of a sweep."""

    setup: str
    name: str
    """Name of the sweep."""
    others: tuple[str, ...]
    """Names of other sweeps in the folder with test KLs."""
    content: dict[str, object]
    """The sweep's epochs, settings and score."""
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    entries: tuple[Entry, ...]
    verdicts: tuple[Verdict, ...]

    def entry(self, dataset: str, method: str) -> Entry | None:
        """Return the entry of a method on a data set; None if there is none."""
        return next((entry for entry in self.entries if (entry.dataset, entry.method) == (dataset, method)), None)


def comparison(path: Path, setup: str | None = None) -> Comparison:
    """Return the comparison from the results in a sweep's folder (or its results.sqlite), also of an unfinished sweep.

    Args:
        setup: name or key of one of several setups in the folder; by default the one with test KLs of the most methods,
            and of these the latest.

    Raises:
        UserError: there are no results, none with a test KL, or no such setup.
    """
    results = open_results(path)
    chosen, others = _choose(results, setup)
    rows = [row for row in results.rows(chosen.setup) if row.latent_dim == 1]
    entries = make_entries(rows)
    return Comparison(
        setup=chosen.setup,
        name=chosen.name,
        others=others,
        content=chosen.content,
        datasets=_in_order({entry.dataset for entry in entries}, SETS),
        methods=tuple(sorted({entry.method for entry in entries}, key=sort_key)),
        entries=entries,
        verdicts=verdicts(entries),
    )


def _choose(results: Results, name: str | None) -> tuple[Setup, tuple[str, ...]]:
    """Return the requested setup, and the names of the others."""
    known = results.setups()
    with_kl: dict[str, set[str]] = {}
    for row in results.rows():
        if row.test_kl is not None:
            with_kl.setdefault(row.setup, set()).add(row.method)
    if name is not None:
        candidates = [setup for setup in known if name in (setup.name, setup.setup)]
        if not candidates:
            raise unknown("setup", name, {setup.name for setup in known})
    else:
        candidates = known
    candidates = sorted((s for s in candidates if s.setup in with_kl), key=lambda setup: -len(with_kl[setup.setup]))
    if not candidates:
        raise UserError(
            f"'{results.path}' has no test KL: wanted the results of a sweep over data of known truth such as "
            f"'{SETS[0]}' (gpvae sweep docs/mapa.toml), at least one of them done"
        )
    chosen = candidates[0]
    others = [setup.name for setup in known if setup.setup in with_kl and setup.setup != chosen.setup]
    return chosen, tuple(dict.fromkeys(others))


def _in_order(names: set[str], first: Sequence[str]) -> tuple[str, ...]:
    return tuple([name for name in first if name in names] + sorted(names - set(first)))
