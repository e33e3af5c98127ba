"""What is at this path? A guess by names and first bytes, good enough to give the right answer to the wrong thing.

Most people who bring something that cannot be carried have typed a path that is one step off, or come from a tool
whose keys sit in a browser. Each gets the shortest way on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from wakit.vault.migration import files
from wakit.vault.migration.octets import read_json

Kind = Literal["baileys", "whatsmeow"]

_PAIR: Final = "link the phone anew: `wakit pair NAME`"
_NAME_IT: Final = "name a Baileys folder (it holds creds.json) or a whatsmeow database"
_SQLITE: Final = b"SQLite format 3\x00"
_AGE: Final = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
_ARCHIVES: Final = (b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
_MOST_JSON: Final = 64 << 20
_HEAD: Final = 64
# What Chromium makes in a profile, and the folders whatsapp-web.js puts profiles into (LocalAuth).
_BROWSER: Final = frozenset(
    {"Default", "Local State", "IndexedDB", "Local Storage", "DevToolsActivePort", "SingletonLock", ".wwebjs_auth"}
)
_KEY_FILES: Final = ("pre-key-", "session-", "sender-key-", "app-state-sync-")
_DATABASES: Final = (".db", ".sqlite", ".sqlite3")


@dataclass(frozen=True, slots=True)
class Found:
    """What a path holds.

    Attributes:
        kind: How it is carried, or None if it is not.
        what: What it is, in words: "it is a browser's profile".
        way: The shortest way on, for what is not carried.
    """

    kind: Kind | None
    what: str
    way: str = _PAIR


def recognise(source: Path) -> Found:
    """Say what there is at a path. Total: there is an answer to everything, and nothing is changed."""
    if str(source).startswith(("postgres:", "postgresql:")):
        return Found(
            None, "it is the address of a PostgreSQL server", f"only a database in a file can be carried; {_PAIR}"
        )
    try:
        if source.is_symlink():
            return Found(None, "it is a symbolic link", "name what it points to")
        if source.is_dir():
            with files.opened(source) as folder:
                return _folder(source, frozenset(folder.names))
        with files.open_plain(source) as descriptor:
            del descriptor
        return _file(source)
    except FileNotFoundError:
        return Found(None, "there is nothing at that path", "check the path")
    except OSError as error:
        return Found(None, f"it cannot be read: {error.strerror}", "check the path and its permissions")
    except ValueError:  # a NUL in the path
        return Found(None, "it is no path", "check the path")
    except files.NotPlainError:
        return Found(None, "it is neither a file nor a folder", _NAME_IT)
    except files.TooLargeError:
        return Found(None, "it has more files than a credential has", _NAME_IT)


def _folder(source: Path, names: frozenset[str]) -> Found:
    if "creds.json" in names:
        return Found("baileys", "it is a Baileys folder")
    if names & _BROWSER or _holds_profiles(source, names):
        return Found(
            None,
            "it is a browser's profile, as whatsapp-web.js keeps it, and the keys in a browser cannot be carried",
        )
    if any(name.startswith(_KEY_FILES) and name.endswith(".json") for name in names):
        return Found(
            None,
            "it is a Baileys folder without its creds.json, which is the device itself",
            f"put creds.json back from a copy, or {_PAIR}",
        )
    if any(name.endswith(_DATABASES) for name in names):
        return Found(None, "it is a folder with a database in it", "name the database, not its folder")
    if any((source / name / "creds.json").is_file() for name in names):
        return Found(
            None, "it is a folder of Baileys folders", "name one of them; each is a session with a name of its own"
        )
    if not names:
        return Found(None, "it is an empty folder", f"check the path, or {_PAIR}")
    return Found(None, "it is a folder that holds no credential wakit knows", f"{_NAME_IT}, or {_PAIR}")


def _holds_profiles(source: Path, names: frozenset[str]) -> bool:
    return any(name.startswith("session") and (source / name / "Default").is_dir() for name in names)


def _file(source: Path) -> Found:
    with files.open_plain(source) as descriptor, open(descriptor, "rb", closefd=False) as file:
        head = file.read(_HEAD)
    if head.startswith(_SQLITE):
        return Found("whatsmeow", "it is an SQLite database")
    if not head:
        return Found(None, "it is an empty file (zero bytes)", f"put it back from a copy, or {_PAIR}")
    if head.startswith(_AGE):
        return Found(None, "it is an encrypted file", "a bundle of wakit's is taken in without --from")
    if head.startswith(_ARCHIVES):
        return Found(None, "it is an archive", "unpack it, and name what comes out")
    if head.lstrip()[:1] == b"{":
        return _json(read_json(files.read_file(source, _MOST_JSON)))
    return Found(None, "it is a file of a kind wakit does not know", f"{_NAME_IT}, or {_PAIR}")


def _json(value: Any) -> Found:
    match value:
        case {"creds": dict(), "keys": _}:
            return Found(
                None,
                "it is Baileys' single-file state, which Baileys itself has given up",
                f"have Baileys keep it in a folder (useMultiFileAuthState), or {_PAIR}",
            )
        case {"noiseKey": _}:
            return Found(None, "it is a file out of a Baileys folder", "name the folder, not the file")
        case {"WABrowserId": _}:
            return Found(None, "it is a session from before linked devices, which WhatsApp no longer takes")
        case _:
            return Found(None, "it is a JSON file that holds no credential wakit knows", f"{_NAME_IT}, or {_PAIR}")
