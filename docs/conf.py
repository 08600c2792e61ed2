"""The documentation, built by `make docs`: the reference of the public interface comes from the docstrings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

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
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}

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


def describe_settings(app: Sphinx) -> None:
    """Take the description of a setting, which `gpvae list settings` prints too, as the docstring of its attribute."""
    for settings in (getattr(gpvae_core, name) for name in gpvae_core.__all__):
        if isinstance(settings, type) and issubclass(settings, BaseModel):
            analyzer = ModuleAnalyzer.for_module(settings.__module__)
            analyzer.analyze()
            for name, field in settings.model_fields.items():
                if field.description:
                    default = "" if field.is_required() or field.default is None else f" Default: `{field.default!r}`."
                    text = f"{field.description[0].upper()}{field.description[1:]}.{default}"
                    analyzer.attr_docs[settings.__name__, name] = [text, ""]


def no_model_config(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Leave out pydantic's configuration of a class."""
    return True if name == "model_config" else None


def no_class_signature(
    app: Sphinx, what: str, name: str, obj: object, options: Any, signature: str | None, result: str | None
) -> tuple[str, None] | None:
    """Leave out a class's arguments: they are the fields below it, or users do not construct it."""
    return ("", None) if what == "class" and signature else None


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", describe_settings)
    app.connect("autodoc-process-docstring", google_style)
    app.connect("autodoc-skip-member", no_model_config)
    app.connect("autodoc-process-signature", no_class_signature)
