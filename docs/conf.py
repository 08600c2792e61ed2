"""The documentation, built by `make docs`: the reference of the public interface comes from the docstrings."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

import gpvae_core

project = "gpvae-core"
author = "the authors of gpvae-core"
release = version = gpvae_core.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files of the repository

default_role = "code"  # docstrings write code in single backticks
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "alabaster"  # it makes no outside request
html_theme_options = {"description": "Can I trust what this encoder says about this image?", "page_width": "1100px"}
html_show_sourcelink = False

GOOGLE = Config(napoleon_use_rtype=False)


def google_style(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Turn `Args:` and `Raises:` into fields.

    The extension itself would also split an attribute's docstring at its first colon, as a type and a description.
    """
    if what in ("function", "method", "class", "module", "exception"):
        lines[:] = GoogleDocstring(lines, GOOGLE, app, what, name, obj, options).lines()


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", google_style)
