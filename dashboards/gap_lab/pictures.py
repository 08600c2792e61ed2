"""The image and its reconstructions, as a strip of HTML."""

from __future__ import annotations

import html

from dashboards.gap_lab.request import GapLabRequest
from gpvae_core.plots.pictures import png_address

PICTURES = 8


def pictures(request: GapLabRequest) -> str:
    """Return the image, and what is decoded from each answer's mean, as HTML."""
    found = request.lab.picture(request.methods[:PICTURES], request.index)
    named = [("image", found.title, found.image, "")]
    for name, decoded in found.reconstructions.items():
        style = request.styles[name]
        named.append((style.label, f"decoded from the mean of {name}'s answer", decoded, style.colour))
    figures = [
        f'<figure style="--colour: {colour or "#7f8a95"}"><img alt="{html.escape(title)}" title="{html.escape(title)}" '
        f'src="{png_address(image, 56)}"><figcaption>{html.escape(label)}</figcaption></figure>'
        for label, title, image, colour in named
    ]
    return f'<div class="pictures" role="status"><b>{html.escape(found.title)}</b>{"".join(figures)}</div>'
