"""The file's text as the journal may keep it: every number and every proxy password masked, comments included.

Three nets, the widest last: declared phones and proxies are masked where they stand (whatever escapes or spaces they
are written with), declared passwords wherever else they occur, and everything with the shape of a number or a key
anywhere, because old numbers live on in comments. It masks rather too much than too little.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from wakit.core.declaration import SessionSpec
from wakit.declare.positions import Positions
from wakit.redact import Secret, scrub

# Wider than scrub's own: several separators between digits, and digits glued to letters.
_NUMBER: Final = re.compile(r"\+?\(?[0-9](?:[ \t().\-/]{0,3}[0-9]){7,}")
_SHORTEST_PASSWORD: Final = 4  # shorter ones are masked only where they are declared, or no word would be left


def mask_text(positions: Positions, sessions: Mapping[str, SessionSpec], shared_proxy: Secret | None) -> str:
    """Mask a declaration's text.

    Args:
        positions: The text and the places of its values.
        sessions: The sessions it declares.
        shared_proxy: The proxy of ``[defaults]``.

    Returns:
        Text of the same lines, no longer valid as a declaration.
    """
    pieces: list[str] = []
    done = 0
    for start, end, shown in sorted(_declared(positions, sessions, shared_proxy)):
        pieces += positions.text[done:start], json.dumps(shown, ensure_ascii=False)
        done = end
    text = "".join((*pieces, positions.text[done:]))
    for password in _leaked(_passwords(sessions, shared_proxy), text):
        text = text.replace(password, "[credentials]")
    return scrub(_NUMBER.sub("[number]", text))


def mask_proxy(url: str) -> str:
    """Show a proxy without its user and password.

    Example:
        >>> mask_proxy("socks5://me:secret@127.0.0.1:1080")
        'socks5://[credentials]@127.0.0.1:1080'
    """
    scheme, mark, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}{mark}{'[credentials]' if credentials else ''}{at}{host}"


def _declared(
    positions: Positions, sessions: Mapping[str, SessionSpec], shared_proxy: Secret | None
) -> Iterator[tuple[int, int, str]]:
    if shared_proxy is not None and (span := positions.values.get(("defaults", "proxy"))):
        yield (*span, mask_proxy(shared_proxy.reveal()))
    for name, spec in sessions.items():
        if spec.phone is not None and (span := positions.values.get(("sessions", name, "phone"))):
            yield (*span, str(spec.phone))
        if spec.proxy is not None and (span := positions.values.get(("sessions", name, "proxy"))):
            yield (*span, mask_proxy(spec.proxy.reveal()))


def _leaked(passwords: list[str], text: str) -> list[str]:
    """Return the passwords that occur in the text; far quicker than looking for each when there are thousands."""
    width = _SHORTEST_PASSWORD
    if not passwords:
        return []
    grams = {text[at : at + width] for at in range(len(text) - width + 1)}
    return [word for word in passwords if all(word[at : at + width] in grams for at in range(len(word) - width + 1))]


def _passwords(sessions: Mapping[str, SessionSpec], shared_proxy: Secret | None) -> list[str]:
    urls = {spec.proxy.reveal() for spec in sessions.values() if spec.proxy is not None}
    if shared_proxy is not None:
        urls.add(shared_proxy.reveal())
    passwords = {urlsplit(url).password or "" for url in urls}
    passwords |= {unquote(password) for password in passwords}
    # Longest first, so that one password inside another does not leave the rest of it standing.
    return sorted((word for word in passwords if len(word) >= _SHORTEST_PASSWORD), key=len, reverse=True)
