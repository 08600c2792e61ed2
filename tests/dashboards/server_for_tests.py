"""A server as `gpvae explore` starts it, with a small sample of gaps and a quick first training.

python server_for_tests.py PORT PLACE...
"""

from __future__ import annotations

import sys
from pathlib import Path

from dashboards.app import serve
from dashboards.lab.first_start import FirstStart
from dashboards.lab.library import RunLibrary
from gpvae_core.config import make_config
from gpvae_core.data.base import DataConfig
from gpvae_core.inspection.explorer import Explorer
from gpvae_core.progress import Progress
from gpvae_core.runs import load_run
from gpvae_core.training import train
from gpvae_core.training_loop import OnEpoch


def quick_pair(root: Path, progress: Progress, on_epoch: OnEpoch) -> None:
    """Both methods, a few epochs each."""
    for method in ("vae", "gp"):
        settings = {"latent_dim": 2, "train.epochs": 3}
        config = make_config(method, DataConfig(name="digits"), (1, 8, 8), settings)
        named: Progress = lambda done, total, what, method=method: progress(done, total, f"{what} {method}")  # noqa: E731
        train(config, root / f"digits-{method}", device="cpu", progress=named, on_epoch=on_epoch)


def main() -> None:
    port, places = int(sys.argv[1]), [Path(place) for place in sys.argv[2:]]
    library = RunLibrary(places, opened=lambda path: Explorer(load_run(path), gap_sample=10))
    serve(library, FirstStart(library.root, quick_pair), port, open_browser=False)


if __name__ == "__main__":
    main()
