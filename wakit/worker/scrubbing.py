"""Masks what must not be seen in a worker's output: by shape, and by value where the value is known.

:func:`wakit.redact.scrub` knows shapes. A pairing code without its dash or a proxy's password has no shape, but the
host has seen it pass, so it is masked by value. Only the newest values are kept: a worker shows a QR every 20 seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from wakit.redact import PhoneNumber, Secret, scrub
from wakit.whatsapp.port import CodeShown, Connected, News, Paired, QrShown, SessionStart

_MASK: Final = "•••"
_KEPT: Final = 64
_SHORTEST: Final = 6  # anything shorter would mask ordinary words


class Scrubber:
    """Cleans lines, and learns what to clean from them.

    Example:
        >>> scrubber = Scrubber()
        >>> scrubber.learn_event(CodeShown(code=Secret("ABCD-2345"), expires_at=None))
        >>> scrubber.clean("the code is ABCD2345")
        'the code is •••'
    """

    def __init__(self) -> None:
        self._orders: set[str] = set()
        self._shown: deque[str] = deque(maxlen=_KEPT)

    def learn_start(self, start: SessionStart) -> None:
        """Remember the secrets of a start order for good: the number, and the proxy's URL with its password."""
        if isinstance(start.phone, PhoneNumber):
            self._orders.add(start.phone.digits)
        if isinstance(start.proxy, Secret):
            url = start.proxy.reveal()
            userinfo = url.rpartition("@")[0].rpartition("//")[2]
            self._orders.update(part for part in (url, *userinfo.split(":", 1)) if len(part) >= _SHORTEST)

    def learn_event(self, event: News) -> None:
        """Remember the secrets an event carries, the newest of them."""
        match event:
            case QrShown(payload=payload):
                self._shown.append(payload.reveal())
            case CodeShown(code=code):
                self._shown.extend((code.reveal(), code.reveal().replace("-", "")))
            case Paired(account=Secret() as account) | Connected(account=Secret() as account):
                if account.reveal() not in self._orders and len(account.reveal()) >= _SHORTEST:
                    self._orders.add(account.reveal())
            case _:
                pass

    def clean(self, line: str) -> str:
        """Return the line with everything known or suspected to be secret masked."""
        for value in (*self._orders, *self._shown):
            line = line.replace(value, _MASK)
        return scrub(line)
