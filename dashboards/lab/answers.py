"""What a card shows for a request: the view of its pane, drawn, and under which names it is saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from dashboards.lab.pane import Pane, R
from dashboards.widgets.card import Content
from gpvae_core.progress import silent

TABLE = ": "
"""What parts 'CSV' from the name of one of several tables that a card can be saved as."""
LONGEST_NAME = 180
"""Largest length of an exported file's name; file systems take 255 bytes."""


def merged(subject: str, sub: str) -> str:
    """Return both texts, or the longer one where it contains the other."""
    return subject if sub in subject else sub if subject in sub else f"{subject} · {sub}"


def file_name(*parts: str) -> str:
    """Return these texts as a file's name without its ending, of letters, digits, underscores and hyphens."""
    return re.sub(r"\W+", "-", " ".join(parts)).strip("-")[:LONGEST_NAME]


@dataclass(frozen=True)
class Answer:
    """What a card shows: its content, the view it was drawn from and the keys of both; no view for a mere message."""

    content: Content
    key: Hashable = None
    view: Any = None
    drawing_key: Hashable = None
    aside: str = ""


def kinds(pane: Pane[Any]) -> list[str]:
    """Return what a card can be saved as."""
    return ["PNG", "SVG", *(f"CSV{table and TABLE + table}" for table in pane.to_csv)]


def answer_of(pane: Pane[R], request: R, known: Iterable[Answer | None], of_job: Callable[[], Any]) -> Answer:
    """Compute and draw the view of a pane, as far as none of the `known` answers is that of the request too.

    Args:
        of_job: returns the view that the pane's job has computed, for a pane that is slow.
    """
    if waiting := pane.waits_for(request):
        return Answer(Content(message=waiting, busy=True))
    key, drawing_key = pane.key(request), pane.drawing_key(request)
    if key is None:
        return Answer(pane.missing(request))
    same = next((answer for answer in known if answer is not None and answer.key == key), None)
    if same is not None:
        if same.drawing_key is not None and same.drawing_key == drawing_key:
            return same
        view = same.view
    elif pane.slow(request):
        view = of_job()
    else:
        view = pane.compute(request, silent)
    content = pane.draw(view, request)
    about = merged(pane.subject(request), content.sub)
    content = replace(content, about=about, file=file_name(pane.title, about))
    return Answer(content, key, view, drawing_key, pane.aside(view, request))
