"""How long work still takes and where it stands, in words."""

from __future__ import annotations

from dashboards.lab.jobs import Report


def time_left(seconds: float | None) -> str:
    """Return 'about 40 s left', rounded as it deserves; '' while unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5)):d} s left"
    return f"about {round(seconds / 60):d} min left"


def progress_words(report: Report) -> str:
    """Return one line about a job."""
    if report.outcome == "cancelled":
        return "Cancelled. What was trained so far is kept; training goes on from there."
    if report.outcome == "failed":
        return report.error
    count = f" {report.done} of {report.total}" if report.total else ""
    left = time_left(report.left)
    what = report.what or "starting"
    return f"{what[0].upper()}{what[1:]}{count}" + (f", {left}" if left else "")
