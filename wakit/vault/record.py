"""``session.json``: what must be remembered of a credential beside the credential itself.

It is the reason why a once-paired session is never paired anew in silence: the credential may be lost, this file still
says that there was one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from wakit.durable import write_file
from wakit.errors import CredentialError

VERSION = 1


class Verdict(msgspec.Struct, frozen=True):
    """A state that outlives the daemon: the session waits there for a person, or for a moment.

    Attributes:
        state: A :class:`~wakit.core.lifecycle.State`.
        reason: In words, without secrets.
        at: When (UTC).
        until: When it ends by itself (UTC), or None if only a person ends it.
    """

    state: str
    reason: str
    at: datetime
    until: datetime | None = None


class SessionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``session.json``.

    Attributes:
        version: Of this format.
        epoch: Grows with each start of the credential; a later start fences off an earlier one.
        paired_at: When it was last linked (UTC), or None if never.
        account: Keyed hash of the linked account.
        unlinked_at: When the phone or WhatsApp unlinked it (UTC), or None.
        retired_at: When it was retired and kept in place (UTC), or None.
        parked: A person parked it.
        verdict: Where it waits, or None.
    """

    version: int = VERSION
    epoch: int = 0
    paired_at: datetime | None = None
    account: str | None = None
    unlinked_at: datetime | None = None
    retired_at: datetime | None = None
    parked: bool = False
    verdict: Verdict | None = None


def read_record(folder: Path) -> SessionRecord:
    """Read the record of a credential's folder; a missing file is an empty record.

    Raises:
        CredentialError: The file is there and cannot be understood. Guessing "never paired" would pair anew.
    """
    path = folder / "session.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return SessionRecord()
    try:
        record = msgspec.json.decode(data, type=SessionRecord)
    except msgspec.DecodeError:
        raise CredentialError(
            f"{path} cannot be read", why="it is damaged", hint="put back the file from a copy of the state directory"
        ) from None
    if record.version > VERSION:
        raise CredentialError(
            f"{path} cannot be read", why="a newer wakit wrote it", hint="run the newer wakit, or an older copy"
        )
    return record


def write_record(folder: Path, record: SessionRecord) -> None:
    """Write the record durably."""
    write_file(folder / "session.json", msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
