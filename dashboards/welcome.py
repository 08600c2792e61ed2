"""What a page shows while nothing is trained: why, how far, how long still, and the latent space as it forms."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards.first_start import FirstStart
from dashboards.jobs import Report
from dashboards.request import as_json
from dashboards.widgets.card import Card, Content
from gpvae_core.plots import latent_live
from gpvae_core.plots.theme import DARK, LIGHT

INTRO = (
    "Nothing is trained on this machine yet, so a VAE and a VAE with the GP encoder are being trained on 1,797 real "
    "8x8 digits, with a latent space of two dimensions. The views fill by themselves."
)
READ = (
    "Each point is a test image at the mean of its code. Before training all lie together; as training goes on, "
    "classes separate and the cloud takes the shape of the prior."
)


def time_left(seconds: float | None) -> str:
    """'about 40 s left', rounded as it deserves; '' while unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5)):d} s left"
    return f"about {round(seconds / 60):d} min left"


def progress_words(report: Report) -> str:
    """One line about a job."""
    if report.outcome == "cancelled":
        return "Cancelled. What was trained so far is kept; training goes on from there."
    if report.outcome == "failed":
        return report.error
    count = f" {report.done} of {report.total}" if report.total else ""
    left = time_left(report.left)
    what = report.what or "starting"
    return f"{what[0].upper()}{what[1:]}{count}" + (f", {left}" if left else "")


class Welcome:
    """The panel; `tick` brings it up to date."""

    def __init__(self, first: FirstStart) -> None:
        self._first = first
        self._seen: tuple[int, bool] | None = None
        self.bar = pmui.LinearProgress(value=0, variant="determinate", width=320, margin=(16, 8))
        self.words = pn.pane.HTML(
            "Starting", margin=(4, 8), sizing_mode="stretch_width", css_classes=["progress-words"]
        )
        self.cancel = pmui.Button(label="Cancel", size="small", variant="outlined", margin=(4, 8))
        self.again = pmui.Button(label="Train", size="small", visible=False, margin=(4, 8))
        self.card = Card(
            {},
            view="latent_live",
            kinds=["PNG", "SVG"],
            title="Latent space while training",
            visible=False,
            margin=(8, 8),
            width=660,
        )
        self.cancel.on_click(lambda _: self._first.cancel())
        self.again.on_click(lambda _: self._first.start())
        self.intro = pn.pane.HTML(INTRO, margin=(8, 8), max_width=760)
        line = pn.Row(self.bar, self.words, self.cancel, self.again, align="center", sizing_mode="stretch_width")
        self.panel = pn.Column(self.intro, line, self.card, visible=False, sizing_mode="stretch_width")

    def tick(self, dark: bool, views_below: bool) -> None:
        """Read the job and show it; once there are views below, only how far it is."""
        report, snapshot = self._first.report(), self._first.snapshot()
        self.words.object = f'<span role="status">{progress_words(report)}</span>'
        self.bar.value = round(100 * report.share)
        self.cancel.visible, self.again.visible = report.running, report.outcome in ("cancelled", "failed")
        self.intro.visible = self.card.visible = not views_below
        if snapshot is None or views_below or self._seen == (snapshot.number, dark):
            return
        self._seen = (snapshot.number, dark)
        theme = DARK if dark else LIGHT
        fig = latent_live.figure(snapshot.means, snapshot.class_index, snapshot.class_names, snapshot.title, theme)
        alt = f"Latent means of {len(snapshot.means)} test images, coloured by class. {snapshot.title}"
        self.card.show(
            Content(sentence=READ, alt=alt, dark=dark, file="latent-space", stamp=snapshot.number), as_json(fig)
        )
