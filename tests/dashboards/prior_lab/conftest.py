"""Really trained small runs for the tests of the GP-Prior Lab, and a server over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboards.conftest import servers
from tests.dashboards.prior_runs import BY_ANGLE, BY_CONTEXT, BY_PAIR, BY_TIME, films, heroes, pairs, run_on, views


@pytest.fixture(scope="session")
def prior_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on films with a known path, one with a GP prior and a rival on views of objects, one on pairs."""
    folder = tmp_path_factory.mktemp("prior")
    of_films, of_views = films(folder / "films.npz"), views(folder / "views.npz")
    root = folder / "runs"
    root.mkdir()
    run_on(pairs(folder / "pairs.npz"), root / "pairs-svgp", "svgp:12", BY_PAIR)
    run_on(heroes(folder / "heroes.npz"), root / "heroes-svgp", "svgp:12", BY_CONTEXT)
    run_on(of_views, root / "views-cvae", "cvae", {})
    run_on(of_views, root / "views-svgp", "svgp:8", BY_ANGLE | {"balance": "geco", "train.keep_every": 1})
    run_on(of_films, root / "films-markov", "markov", BY_TIME)
    run_on(of_films, root / "films-svgp2", "svgp:2", BY_TIME)
    run_on(of_films, root / "films-svgp", "svgp:4", BY_TIME | {"train.keep_every": 1})
    return root


@pytest.fixture(scope="session")
def prior_url(tmp_path_factory: pytest.TempPathFactory, prior_runs: Path) -> Iterator[str]:
    """Address of the page over these runs."""
    with servers(tmp_path_factory) as start:
        yield start(prior_runs).url + "gp-prior-lab"
