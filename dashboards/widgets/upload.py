"""A button for an image file of the person's own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

from gpvae_core.errors import UserError

HERE = Path(__file__).parent
KINDS = ["image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp"]


def file_content(text: Any, limit: int) -> bytes:
    """The bytes of a file sent as base64.

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


class Upload(JSComponent):
    """Calls `got(content)` with a file's bytes, or `refused(line)` where it is too large or damaged."""

    kinds = param.List(default=KINDS)
    dark = param.Boolean(default=False)
    limit = param.Integer(default=5_000_000, doc="Most bytes of a file")

    _esm = HERE / "upload.js"
    _stylesheets: ClassVar[list[str]] = [(HERE / "upload.css").read_text(encoding="utf-8")]

    def __init__(self, got: Callable[[bytes], None], refused: Callable[[str], None], **params: Any) -> None:
        self._got, self._refused = got, refused
        super().__init__(**params)

    def _handle_msg(self, msg: Any) -> None:
        if "refused" in msg:
            self._refused(str(msg["refused"])[:200])
            return
        try:
            self._got(file_content(msg["content"], self.limit))
        except UserError as error:
            self._refused(str(error))
