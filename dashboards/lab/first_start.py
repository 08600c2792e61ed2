"""The first training where there are no runs: the default pair, with its progress and its latent space as it forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import panel as pn
import panel_material_ui as pmui
from numpy.typing import NDArray

from dashboards.lab.jobs import OF_RUN, JobSlot
from dashboards.lab.library import RunLibrary
from dashboards.lab.progress import BUTTON, ProgressLine
from dashboards.widgets.card import Card, Content, as_json
from gpvae_core.inspection.views import Array
from gpvae_core.plots import latent_live
from gpvae_core.plots.theme import DARK, LIGHT
from gpvae_core.progress import Progress

# Torch takes a second to import: the page is up by then.
if TYPE_CHECKING:
    from gpvae_core.training_loop import OnEpoch
    from gpvae_core.vae import VAE

Trainer = Callable[[Path, Progress, "OnEpoch"], Any]
INTRO = (
    "Nothing is trained on this machine yet, so a VAE and a VAE with the GP encoder are being trained on 1,797 real "
    "8x8 digits, with a latent space of two dimensions. The views fill by themselves."
)
READ = (
    "Each point is a test image at the mean of its code. Before training all lie together; as training goes on, "
    "classes separate and the cloud takes the shape of the prior."
)


@dataclass(frozen=True)
class Snapshot:
    """The latent means of the test images after an epoch."""

    number: int
    """How many snapshots were taken so far: by it a page recognises a new one."""
    title: str
    means: Array
    """(N, D)."""
    class_index: NDArray[np.integer]
    class_names: tuple[str, ...]


class FirstStart(JobSlot):
    """The one training of the default pair, shared by all pages; `trainer` writes the runs below `root`."""

    def __init__(self, root: Path, trainer: Trainer | None = None) -> None:
        super().__init__(OF_RUN)
        self._root, self._trainer = root, trainer
        self.snapshot: Snapshot | None = None
        """The latest snapshot, None before the first epoch has ended."""

    def start(self) -> None:
        """Start the training unless it is running; after it was cancelled or has failed, start it again."""
        self.begin("training the default pair", self._train)

    def _train(self, progress: Progress) -> None:
        from gpvae_core.data.base import DataConfig, load
        from gpvae_core.inspection.default_pair import train_default_pair
        from gpvae_core.inspection.encodings import encode_batch

        progress(0, 0, "loading the digits")
        data = load(DataConfig(name="digits"))
        x, labels = data.test.pixels(), data.test.labels

        # The default pair trains on the CPU, where x is.
        def on_epoch(epoch: int, model: VAE, metrics: dict[str, Any]) -> None:
            number = 1 if self.snapshot is None else self.snapshot.number + 1
            bound = metrics.get("validation_elbo")
            title = f"{self.report().what.removesuffix(': step') or 'training'}, epoch {epoch}"
            title += "" if bound is None else f": validation ELBO {bound:.1f} nats".replace("-", "−")
            self.snapshot = Snapshot(number, title, encode_batch(model, x).mean, labels, data.class_names)

        (self._trainer or train_default_pair)(self._root, progress, on_epoch)


class Welcome:
    """The panel of the first training on a page that needs runs on images; `views` is hidden until there are some."""

    def __init__(self, library: RunLibrary, first: FirstStart, views: pn.Column) -> None:
        self._library, self._first, self._views = library, first, views
        self._names = library.image_names()
        self._drawn: tuple[int, bool] | None = None
        self.line = ProgressLine(first)
        self.again = pmui.Button(label="Train", visible=False, **BUTTON)
        self.again.on_click(lambda _: first.start())
        self.line.panel.append(self.again)
        self.card = Card({}, view="latent_live", kinds=["PNG", "SVG"], title="Latent space while training")
        self.card.param.update(visible=False, margin=(8, 8), sizing_mode="stretch_width", max_width=660)
        self.intro = pn.pane.HTML(INTRO, margin=(8, 8), max_width=760)
        self.panel = pn.Column(self.intro, self.line.panel, self.card, visible=False, sizing_mode="stretch_width")

    def start(self) -> str:
        """Start the training if there are no runs at all; return a line where there are some, but none on images."""
        if not self._library.names():
            self._first.start()
        self.panel.visible = self._first.running
        self._views.visible = bool(self._library.image_names())
        return self._library.without_images()

    def tick(self, dark: bool) -> bool:
        """Show the progress, and the latent space until there are views; return whether there may be new runs."""
        if not self.panel.visible:
            return False
        views_below = self._views.visible
        # Read before the runs are: a training that ends between the two is noticed at the next tick.
        report = self._first.report()
        self.line.follow()
        self.again.visible = report.outcome in ("cancelled", "failed")
        self.intro.visible = self.card.visible = not views_below
        if not views_below:
            self._show_latents(dark)
        self._library.rescan(finished_only=True)  # a run in training is not shown yet
        before, self._names = self._names, self._library.image_names()
        self.panel.visible = report.outcome != "done"
        return report.outcome == "done" or self._names != before

    def _show_latents(self, dark: bool) -> None:
        snapshot = self._first.snapshot
        if snapshot is None or self._drawn == (snapshot.number, dark):
            return
        self._drawn = (snapshot.number, dark)
        theme = DARK if dark else LIGHT
        fig = latent_live.figure(snapshot.means, snapshot.class_index, snapshot.class_names, snapshot.title, theme)
        alt = f"Latent means of {len(snapshot.means)} test images, coloured by class. {snapshot.title}"
        content = Content(as_json(fig), sentence=READ, alt=alt, file="latent-space", stamp=snapshot.number, dark=dark)
        self.card.show(content)
