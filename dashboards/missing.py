"""The answer at an address that is none of the server's: a short page with links to those that there are."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tornado.web import Application, RequestHandler

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>No such page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; font: 15px/1.5 Roboto, Helvetica, Arial, sans-serif; }}
header {{ background: #0072b5; color: #ffffff; padding: 10px 24px; font-size: 18px; font-weight: 600; }}
main {{ padding: 8px 24px; }}
</style></head>
<body><header>gpvae-core</header><main><p>There is no page at this address. These are the pages:</p>
<nav aria-label="Pages"><ul>{links}</ul></nav></main></body></html>
"""


class NotFound(RequestHandler):
    """Answers every request with the page, and status 404."""

    def initialize(self, pages: Sequence[tuple[str, str]]) -> None:
        self._pages = pages

    def prepare(self) -> None:
        links = (f'<li><a href="{html.escape(path)}">{html.escape(title)}</a></li>' for path, title in self._pages)
        self.set_status(404)
        self.finish(PAGE.format(links="".join(links)))


def name_pages(application: Application, pages: Sequence[tuple[str, str]]) -> None:
    """Let a server answer at unknown addresses with links to `pages`, (path, title) each."""
    application.settings |= {"default_handler_class": NotFound, "default_handler_args": {"pages": pages}}
