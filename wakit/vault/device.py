"""Which device a credential database is: its account, and the one thing about it that never changes.

WhatsApp knows a linked device by its Noise key, which the library makes before it shows a code and keeps for the
device's life. Every copy of the credential has it, whatever became of the record beside it, so it says whether two
credentials are one. It leaves this module as a fingerprint only.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from wakit.errors import CredentialError, CredentialUnreadableError
from wakit.redact import Secret


@dataclass(frozen=True, slots=True)
class Device:
    """A linked device.

    Attributes:
        user: The account's number, as digits.
        fingerprint: Of its Noise key.
    """

    user: Secret
    fingerprint: str


def read_device(database: Path) -> Device:
    """Read which device a credential database holds; it was inspected before, or its client is alive.

    Raises:
        CredentialError: It holds none, or not as the library would have it.
        CredentialUnreadableError: The system does not let it be read now.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=5.0)) as connection:
            row = connection.execute("SELECT jid, noise_key FROM whatsmeow_device LIMIT 1").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", type(error).__name__)
        if code == "SQLITE_ERROR":
            raise CredentialError(f"{database} cannot be used", why="it lacks what the library needs") from None
        raise CredentialUnreadableError(
            f"{database} cannot be read now",
            why=code,
            hint="mend the disk or the permissions; it is looked at again by itself",
        ) from None
    if row is None:
        raise CredentialError(f"{database} cannot be used", why="it holds no device")
    return device_of(*row)


def device_of(jid: object, noise_key: object) -> Device:
    """Return the device of a row; what a damaged database holds instead of a key names a device that nobody knows."""
    key = noise_key if isinstance(noise_key, bytes) else str(noise_key or "").encode()
    return Device(Secret(user_of(str(jid))), sha256(key).hexdigest())


def user_of(jid: str) -> str:
    """Return the account's number from a device's JID, ``user.agent:device@server`` (whatsmeow types/jid.go).

    Example:
        >>> user_of("34600000001.0:12@s.whatsapp.net")
        '34600000001'
    """
    return jid.partition("@")[0].partition(":")[0].partition(".")[0]
