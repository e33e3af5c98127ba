"""A QR as an image: the whole URL at level L with a border of 4, black on white whatever the page's theme.

Phones read a dense QR better when its modules are big, so the level is the lowest and is not boosted.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final, Literal

import segno

_BORDER: Final = 4
MEDIA_TYPES: Final = {"svg": "image/svg+xml", "png": "image/png"}


def draw(payload: str, image: Literal["svg", "png"], scale: int) -> bytes:
    """Return the image's bytes; ``scale`` is pixels a module."""
    code = segno.make(payload, error="l", boost_error=False, micro=False)
    drawn = BytesIO()
    if image == "svg":
        code.save(
            drawn, kind="svg", scale=scale, border=_BORDER, dark="#000", light="#fff", title="WhatsApp pairing QR"
        )
    else:
        code.save(drawn, kind="png", scale=scale, border=_BORDER, dark="#000", light="#fff")
    return drawn.getvalue()
