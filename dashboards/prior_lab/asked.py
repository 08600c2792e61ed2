"""Panes of the GP-Prior Lab whose views take long: they are computed once the user presses a button in the card."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from typing import ClassVar

from dashboards.prior_lab.request import PriorLabPane, PriorLabRequest
from dashboards.widgets.card import Content

Asked = tuple[str, Hashable]
"""A pane's name, and what the view that was asked for is of."""


class AskedPane(PriorLabPane):
    """One card with a button; the view is computed in a job, whose progress is shown and which can be cancelled."""

    in_job = True
    button: ClassVar[str] = "Compute"

    @abstractmethod
    def of(self, request: PriorLabRequest) -> Hashable:
        """Return all that the view depends on, without computing anything."""

    @abstractmethod
    def lacking(self, request: PriorLabRequest) -> Content | None:
        """Return what says what there must be before the view can be computed; None for nothing."""

    @abstractmethod
    def offered(self, request: PriorLabRequest) -> str:
        """Return what the button computes, and how long that takes, in a sentence or two."""

    def asked(self, request: PriorLabRequest) -> Asked:
        """Return what a press of the button asks for."""
        return self.name, self.of(request)

    def key(self, request: PriorLabRequest) -> Hashable:
        return self.of(request) if self.asked(request) in request.asked else None

    def missing(self, request: PriorLabRequest) -> Content:
        if (lacking := self.lacking(request)) is not None:
            return lacking
        return Content(sentence=self.offered(request), actions=((self.name, self.button),))
