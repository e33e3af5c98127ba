"""A QR payload as black and white modules, encoded so that phones read it from a screen."""

from __future__ import annotations

from typing import Final

import segno

BORDER: Final = 4  # modules of white around it: ISO/IEC 18004 asks for four


def modules(payload: str) -> list[str]:
    """Encode the whole payload; return one string of ``0`` and ``1`` a row, without the border.

    Level L and no "boost" to a higher one: WhatsApp's payload is long, and on a screen larger modules help a camera
    more than error correction does.

    Example:
        >>> rows = modules("https://wa.me/settings/linked_devices#a,b,c,d,e")
        >>> len(rows) == len(rows[0]), rows[0][:7]
        (True, '1111111')
    """
    code = segno.make(payload, error="l", boost_error=False, micro=False)
    return ["".join("1" if module else "0" for module in row) for row in code.matrix]
