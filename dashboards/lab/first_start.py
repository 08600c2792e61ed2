"""With nothing trained yet: train the default pair in the background, with a live picture of the latent space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dashboards.lab.jobs import JobSlot
from gpvae_core.inspection.views import Array
from gpvae_core.progress import Progress

if TYPE_CHECKING:
    from gpvae_core.training import OnEpoch
    from gpvae_core.vae import VAE

Trainer = Callable[[Path, Progress, "OnEpoch"], Any]


@dataclass(frozen=True)
class Snapshot:
    """The latent means of the test images after an epoch."""

    number: int
    """Counts snapshots, so that a page knows a new one."""
    title: str
    means: Array
    """(N, D)."""
    class_index: NDArray[np.integer]
    class_names: tuple[str, ...]


class FirstStart(JobSlot):
    """One training for all pages; `trainer` (default: of the default pair) writes the runs below `root`."""

    def __init__(self, root: Path, trainer: Trainer | None = None) -> None:
        super().__init__()
        self._root, self._trainer = root, trainer or _train_default_pair
        self._snapshot: Snapshot | None = None

    def start(self) -> None:
        """Begin, unless it is running; after a cancel or a failure, begin again."""
        self.begin("training the default pair", self._train)

    def snapshot(self) -> Snapshot | None:
        """Return the latest picture, None before the first epoch."""
        return self._snapshot

    def _train(self, progress: Progress) -> None:
        from gpvae_core.data.base import DataConfig, load
        from gpvae_core.inspection.encodings import encode_batch

        progress(0, 0, "loading the digits")
        data = load(DataConfig(name="digits"))
        x, labels = data.test.pixels(), data.test.labels

        # The default pair trains on the CPU, where x is.
        def on_epoch(epoch: int, model: VAE, metrics: dict[str, Any]) -> None:
            number = 1 if self._snapshot is None else self._snapshot.number + 1
            bound = metrics.get("validation_elbo")
            title = f"{self.report().what or 'training'}, epoch {epoch}"
            title += "" if bound is None else f": validation ELBO {bound:.1f} nats"
            self._snapshot = Snapshot(number, title, encode_batch(model, x).mean, labels, data.class_names)

        self._trainer(self._root, progress, on_epoch)


def _train_default_pair(root: Path, progress: Progress, on_epoch: OnEpoch) -> Any:
    """Train the default pair. Torch takes a second to import; the page is up by then."""
    from gpvae_core.inspection.default_pair import train_default_pair

    return train_default_pair(root, progress, on_epoch)
