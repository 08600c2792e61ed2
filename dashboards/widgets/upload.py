"""A button that uploads an image file.

Panel's file inputs neither refuse a file that is too large before it is sent, nor say why in the page's own line.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import param

from dashboards.widgets.base import Widget
from gpvae_core.errors import UserError


def file_content(text: Any, limit: int) -> bytes:
    """Return the bytes of a file sent as base64.

    Raises:
        UserError: no base64, nothing in it, or more than `limit` bytes.
    """
    if not isinstance(text, str) or len(text) > 4 * (limit // 3 + 2):
        raise UserError(f"wanted a file of at most {limit / 1e6:g} MB")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UserError("the uploaded file arrived damaged: wanted base64") from None
    if not content:
        raise UserError("the uploaded file is empty")
    return content


class Upload(Widget):
    """Calls `on_content(bytes)` with an uploaded file, or `refused(line)` if it is too large or damaged."""

    limit = param.Integer(default=5_000_000, doc="Most bytes of a file")

    def __init__(self, on_content: Callable[[bytes], None], refused: Callable[[str], None], **params: Any) -> None:
        def received(text: Any) -> None:
            try:
                on_content(file_content(text, self.limit))
            except UserError as error:
                refused(str(error))

        super().__init__({"refused": lambda line: refused(str(line)[:200]), "content": received}, **params)
