"""Encryption for copies that lie where others may come by, in the age format (age-encryption.org/v1).

Sealing needs public keys only (``age1…``, ``ssh-ed25519 …`` or ``ssh-rsa …``), so what makes the copies cannot read
them. Opening needs an age identity file or an ssh private key; a bundle may be sealed with a passphrase instead.

This module is the one door to ``pyrage``, which is loaded when it is first needed: a daemon whose backups are not
sealed never pays for it. Its reading and writing calls are used with Python objects on both ends, because the others
keep the interpreter's lock until the last byte, and would stop a daemon's loop for as long (120 ms at 54 MB, instead of
6). A passphrase is stretched under that lock, for more than a second: that belongs into a command, not into the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from wakit.errors import WakitError
from wakit.redact import Secret

_SSH: Final = (["ssh-ed25519"], ["ssh-rsa"])
_SECRET_KEY: Final = "AGE-SECRET-KEY-1"  # noqa: S105 (how every such key begins)
_MAGIC: Final = b"age-encryption.org/v1\n"
_PASSPHRASE_STANZA: Final = b"-> scrypt "
_TOO_MUCH_WORK: Final = "xcessive work"
_TRIES: Final = 5
"""How often a passphrase is tried that would be too much work. The library judges that by how fast this machine is at
that moment, so on a busy one it refuses what it sealed itself (the age crate, scrypt.rs)."""
_LARGEST_KEY: Final = 1 << 20


class SealError(WakitError):
    """Something could not be sealed or opened: a key is wrong, or the sealed bytes are damaged."""


def check_recipients(recipients: Sequence[str]) -> None:
    """Refuse what is no public key.

    Raises:
        SealError: It names the first one by its position; a key pasted by mistake may be a secret one.
    """
    _recipients(recipients)


def fingerprints(recipients: Sequence[str]) -> tuple[str, ...]:
    """Name public keys in short, in an order of their own: what was sealed for the same keys has the same names.

    Example:
        >>> fingerprints(["ssh-ed25519 AAAA me@host"]) == fingerprints(["ssh-ed25519  AAAA"])
        True
    """
    return tuple(sorted({sha256(" ".join(text.split()[:2]).encode()).hexdigest()[:16] for text in recipients}))


def seal(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt for the holders of the private keys.

    Args:
        data: What to seal.
        recipients: Public keys, at least one.

    Raises:
        SealError: There is none, or one is not a public key.
    """
    import pyrage  # noqa: PLC0415

    keys = _recipients(recipients)
    if not keys:
        raise SealError("Nothing can be sealed", why="there is no public key to seal for", hint="name at least one")
    sink = _Sink()
    pyrage.encrypt_io(_Source(data), sink, keys)
    return bytes(sink.data)


def seal_with_passphrase(data: bytes, passphrase: Secret) -> bytes:
    """Encrypt with a passphrase; takes more than a second by design.

    Raises:
        SealError: The passphrase is empty.
    """
    import pyrage  # noqa: PLC0415

    if not passphrase.reveal():
        raise SealError("Nothing can be sealed", why="the passphrase is empty", hint="choose a long one")
    return bytes(pyrage.passphrase.encrypt(data, passphrase.reveal()))


def unseal(data: bytes, *, identities: Sequence[Path] = (), passphrase: Secret | None = None) -> bytes:
    """Decrypt, all or nothing.

    Args:
        data: What was sealed.
        identities: age identity files and ssh private keys; any one of them is enough.
        passphrase: What it was sealed with instead.

    Raises:
        SealError: No key fits, a key file cannot be used, or the bytes are not what was sealed.
    """
    if not data.startswith(_MAGIC):
        raise _unopened("it is not an age file, or its beginning is damaged", "fetch another copy of it")
    if data[len(_MAGIC) :].startswith(_PASSPHRASE_STANZA):
        return _unseal_with_passphrase(data, passphrase)
    import pyrage  # noqa: PLC0415

    keys = [key for path in identities for key in _identities(path)]
    if not keys:
        raise _unopened("it is sealed for the holder of a key, and none was given", "name the key with --identity")
    sink = _Sink()
    # A damaged body is told as an OSError, by whose text it cannot be told from others: all of them mean "not opened".
    with _telling(_unopened("none of the keys fits, or it is damaged", "try the other key, or another copy")):
        pyrage.decrypt_io(_Source(data), sink, keys)
    return bytes(sink.data)


def _unseal_with_passphrase(data: bytes, passphrase: Secret | None) -> bytes:
    import pyrage  # noqa: PLC0415

    if passphrase is None:
        raise _unopened("it is sealed with a passphrase, and none was given", "give it with --passphrase-file")
    with _telling(_unopened("the passphrase is wrong, or it is damaged", "try it again, or another copy")):
        for _ in range(_TRIES):
            try:
                return bytes(pyrage.passphrase.decrypt(data, passphrase.reveal()))
            except pyrage.DecryptError as error:
                if _TOO_MUCH_WORK not in str(error):
                    raise
    why = "its passphrase is stretched further than this machine, as busy as it is now, would do in reasonable time"
    raise _unopened(why, "try again when it is less busy, or on a faster one")


def _recipients(texts: Sequence[str]) -> list[Any]:
    from pyrage import ssh, x25519  # noqa: PLC0415

    keys: list[Any] = []
    for position, text in enumerate(texts, 1):
        read = ssh.Recipient.from_str if text.split()[:1] in _SSH else x25519.Recipient.from_str
        trouble = SealError(
            f"Recipient {position} cannot be used",
            why="it is not a public key that can be sealed for",
            hint="use a key that begins with age1, ssh-ed25519 or ssh-rsa",
        )
        with _telling(trouble):
            keys.append(read(text.strip()))
    return keys


def _identities(path: Path) -> list[Any]:
    """Read the keys of an age identity file, or the one of an ssh private key."""
    from pyrage import ssh, x25519  # noqa: PLC0415

    text = _key_file(path)
    if text.startswith(b"-----BEGIN"):
        hint = "use an ed25519 or RSA key without a passphrase (ssh-keygen -p takes it off a copy), or an age identity"
        with _telling(_bad_key(path, "it is damaged, of a kind that age cannot use, or has a passphrase", hint)):
            return [ssh.Identity.from_buffer(text)]
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not all(key.startswith(_SECRET_KEY) for key in keys):
        why = "it is neither an age identity file nor an ssh private key"
        raise _bad_key(path, why, "name the file that age-keygen wrote, or ~/.ssh/id_ed25519")
    with _telling(_bad_key(path, "a key in it is damaged", "fetch a copy of it")):
        return [x25519.Identity.from_str(key) for key in keys]


def _key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_KEY + 1)
    except OSError as error:
        raise _bad_key(path, error.strerror or type(error).__name__, "check the path and its permissions") from None
    if len(text) > _LARGEST_KEY:
        raise _bad_key(path, "it is too large for a key", "check the path")
    return text


def _bad_key(path: Path, why: str, hint: str) -> SealError:
    return SealError(f"The key file {path} cannot be used", why=why, hint=hint)


def _unopened(why: str, hint: str) -> SealError:
    return SealError("The sealed file cannot be opened", why=why, hint=hint)


@contextmanager
def _telling(trouble: SealError) -> Iterator[None]:
    """Say in our words what the library says in its own, which may quote what it was given."""
    import pyrage  # noqa: PLC0415

    library = (pyrage.RecipientError, pyrage.IdentityError, pyrage.EncryptError, pyrage.DecryptError)
    try:
        yield
    except (*library, OSError, ValueError):
        raise trouble from None


class _Source:
    """Bytes that are read piece by piece; in Python, so that others get the interpreter in between."""

    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)

    def read(self, size: int) -> bytes:
        piece, self._view = self._view[:size], self._view[size:]
        return piece.tobytes()


class _Sink:
    """Bytes that are written piece by piece."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, piece: bytes) -> int:
        self.data += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing waits."""
