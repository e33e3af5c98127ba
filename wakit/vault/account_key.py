"""The key that account hashes are made with: made once, because with another every session looks like a stranger's."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wakit.durable import write_file
from wakit.errors import StateDirectoryError
from wakit.vault.layout import Layout
from wakit.vault.record import RECORD, recording, refusal

_BYTES: Final = 32
# Looked for in the bytes, because a record that cannot be decoded still tells that there was an account.
_ACCOUNT: Final = re.compile(rb'"account"\s*:\s*"')
_WAY_OUT: Final = (
    'put it back from a copy of the state directory; if there is none, set "account" to null in every '
    "session.json below sessions/ and archive/ (each is learnt anew from its credential) and remove what is left of it"
)


def account_key(layout: Layout) -> bytes:
    """Read the key of account hashes, or make it in a state directory where nothing was linked yet.

    Raises:
        StateDirectoryError: It is lost although there are linked sessions, or it is damaged. A new one would make each
            of them look as if it belonged to another account.
    """
    path = layout.account_key
    try:
        why = refusal(path)
        key = b"" if why else path.read_bytes()
    except FileNotFoundError:
        return _make(layout, path)
    except OSError as error:
        raise StateDirectoryError(
            f"{path} cannot be read", why=error.strerror or str(error), hint="mend the disk or the permissions"
        ) from None
    if why or len(key) != _BYTES:
        raise StateDirectoryError(f"{path} cannot be used", why=why or "it is damaged", hint=_WAY_OUT)
    return key


def _make(layout: Layout, path: Path) -> bytes:
    with recording(layout.sessions):  # a daemon and a command may both come first, and must not end up with two keys
        if path.exists():
            return account_key(layout)
        for linked in _linked(layout):
            raise StateDirectoryError(
                f"{path} is lost", why=f"sessions are linked ({linked} names an account by it)", hint=_WAY_OUT
            )
        key = secrets.token_bytes(_BYTES)
        write_file(path, key)
        return key


def _linked(layout: Layout) -> Iterator[Path]:
    for parent in (layout.sessions, layout.archive):
        for record in sorted(parent.glob(f"*/*/{RECORD}")):
            try:
                linked = _ACCOUNT.search(record.read_bytes()) is not None
            except OSError:
                linked = True  # not to be told now, so not to be overruled
            if linked:
                yield record
