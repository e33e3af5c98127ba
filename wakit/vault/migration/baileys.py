"""A Baileys folder (``useMultiFileAuthState``) as a device's belongings.

``creds.json`` is the device: who it is and what it proves itself with. It must be whole, and its keys must belong
together. Every other file is one entry of a store, ``<kind>-<id>.json``; each is carried or left for itself, because
all of them can be made or fetched anew.

In an id, ``/`` was written as ``__`` and ``:`` as ``-`` (use-multi-file-auth-state.js). Of what is read here only the
ids of sync keys have the one, and only group, sender and device of a sender key are joined by the other; these are
taken apart from the right.
"""

from __future__ import annotations

import base64
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from wakit.errors import CredentialError
from wakit.redact import Secret
from wakit.vault.migration import files
from wakit.vault.migration.baileys_creds import Creds, read_creds
from wakit.vault.migration.belongings import DEVICES, LID_MAP, Address, Belongings, Table, Value, counted
from wakit.vault.migration.curve import KEY, public_of
from wakit.vault.migration.octets import member, octets, read_json, whole
from wakit.vault.migration.protobuf import fingerprint
from wakit.vault.migration.ratchets import sender_key, session

CREDS: Final = "creds.json"
_MOST_FILE: Final = 16 << 20
_MOST_FOLDER: Final = 1 << 30
_MOST_PRE_KEY: Final = (1 << 24) - 1  # whatsmeow's tables, and three bytes on the wire
_MOST_TIME: Final = (1 << 63) - 1
# Longer ones first where one begins like another. Those that are named and not read are explained in the design page.
_KINDS: Final = (
    "app-state-sync-version",
    "app-state-sync-key",
    "sender-key-memory",
    "sender-key",
    "pre-key",
    "session",
    "identity-key",
    "device-list",
    "lid-mapping",
    "tctoken",
)
_HIDDEN: Final = "_1"  # how a Signal address by hidden number ends its user part, in both libraries
_LIST_OF_TOKENS: Final = "__index"
_VERSIONS_STAY: Final = (
    "How far the account's settings were synced stays behind: Baileys keeps no contacts and no chat settings, so the "
    "library fetches them all once, with the keys that were carried."
)

T = TypeVar("T")


def read(source: Path) -> Belongings:
    """Read a folder.

    Raises:
        CredentialError: It is no whole credential; says what is wrong with it.
    """
    try:
        with files.opened(source) as folder:
            return _Reader(folder).belongings()
    except OSError as error:
        raise files.unreadable(source, error) from None
    except files.NotPlainError:
        raise CredentialError(
            f"The Baileys folder {files.shown(source)} is refused",
            why="one of its files is a link, or no plain file",
            hint="copy the real files into a folder, and name that one",
        ) from None
    except files.TooLargeError:
        raise CredentialError(
            f"The Baileys folder {files.shown(source)} is refused",
            why="there is more in it than a credential has",
            hint="name the folder that holds creds.json and what belongs to it, and nothing else",
        ) from None


class _Reader:
    """Turns one folder's files into rows, kind by kind; at no time is more than one file in memory as it was."""

    def __init__(self, folder: files.Folder) -> None:
        self._folder = folder
        self._creds: Creds = read_creds(folder.read(CREDS, _MOST_FILE))
        self._room = _MOST_FOLDER
        self._damaged = 0
        self._left: list[str] = []
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(folder.names):
            kind = next((each for each in _KINDS if name.startswith(f"{each}-")), None)
            if kind is not None and name.endswith(".json"):
                self._names[kind].append(name)
        self._lids = self._read_lids()

    def belongings(self) -> Belongings:
        device = self._creds.device_row()
        tables = (
            Table(DEVICES, tuple(device), [tuple(device.values())]),
            self._pre_keys(),
            *self._sessions(),
            self._sender_keys(),
            self._sync_keys(),
            self._tokens(),
            Table(LID_MAP, ("pn", "lid"), list(self._lids.items())),
        )
        if self._names["app-state-sync-version"]:
            self._left.append(_VERSIONS_STAY)
        if self._damaged:
            these = counted(self._damaged, "damaged file stays", "damaged files stay")
            self._left.append(f"{these} behind; what they held is made or fetched anew.")
        return Belongings(Secret(self._creds.address.user), tables, tuple(self._left))

    def _each(self, kind: str, convert: Callable[[str, Any], T | None]) -> list[T]:
        """Read every entry of a kind; one that cannot be converted is counted and left."""
        found: list[T] = []
        for name in self._names[kind]:
            data = self._folder.read(name, min(self._room, _MOST_FILE))
            self._room -= len(data)
            each = convert(name.removeprefix(f"{kind}-").removesuffix(".json"), read_json(data))
            if each is None:
                self._damaged += 1
            else:
                found.append(each)
        return found

    def _owned(self, name: str, columns: tuple[str, ...], rows: list[tuple[Value, ...]]) -> Table:
        owner = str(self._creds.address)
        return Table(name, columns, [(owner, *row) for row in rows])

    def _pre_keys(self) -> Table:
        keys = dict(self._each("pre-key", _pre_key))
        rows: list[tuple[Value, ...]] = [
            (number, key, int(number < self._creds.first_unuploaded)) for number, key in keys.items()
        ]
        following = self._creds.next_pre_key
        if max(keys, default=0) < following - 1 and following <= _MOST_PRE_KEY:
            # The library counts on from the highest number it has. A number that was given away once must not come
            # again with another key, so the counting goes on where Baileys would have gone on.
            rows.append((following, _fresh_key(), 0))
        return self._owned("whatsmeow_pre_keys", ("jid", "key_id", "key", "uploaded"), rows)

    def _sessions(self) -> tuple[Table, Table]:
        """Convert sessions, and take the correspondents' identities from them, or from what was noted of them."""
        identities = dict(self._each("identity-key", _identity))
        if self._creds.lid:
            # As the library does when a device is linked (pair.go): the phone's own identity is the account's.
            identities[f"{self._creds.lid.user}{_HIDDEN}:0"] = self._creds.keys.adv_account_key
        before, self._damaged = self._damaged, 0
        sessions = dict(self._each("session", self._session))
        unusable, self._damaged = self._damaged, before
        if unusable:
            these = counted(unusable, "closed or damaged session stays", "closed or damaged sessions stay")
            self._left.append(f"{these} behind; each is made anew with the next message, by itself.")
        identities |= {their_id: identity for their_id, (_, identity) in sessions.items()}
        kept = self._newest(sessions)
        known = self._newest(identities)
        return (
            self._owned(
                "whatsmeow_sessions", ("our_jid", "their_id", "session"), [(who, kept[who][0]) for who in kept]
            ),
            self._owned(
                "whatsmeow_identity_keys", ("our_jid", "their_id", "identity"), [(who, known[who]) for who in known]
            ),
        )

    def _session(self, name: str, value: Any) -> tuple[str, tuple[bytes, bytes]] | None:
        their_id = _signal_address(name)
        found = session(value, self._creds.public_identity, self._creds.registration)
        return None if their_id is None or found is None else (their_id, found)

    def _newest(self, by_address: Mapping[str, T]) -> dict[str, T]:
        """Leave out what is kept of a correspondent by number where there is the same by hidden number.

        The library moves the former over the latter when it meets the number, and would bring the older one back.
        """
        return {who: each for who, each in by_address.items() if self._hidden(who) not in by_address}

    def _hidden(self, address: str) -> str:
        number, _, device = address.partition(":")
        lid = self._lids.get(number)
        return f"{lid}{_HIDDEN}:{device}" if lid else ""

    def _sender_keys(self) -> Table:
        by_chat: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        for chat, sender, key in self._each("sender-key", _sender_key):
            by_chat[chat][sender] = key
        rows: list[tuple[Value, ...]] = [
            (chat, sender, key) for chat, keys in by_chat.items() for sender, key in self._newest(keys).items()
        ]
        return self._owned("whatsmeow_sender_keys", ("our_jid", "chat_id", "sender_id", "sender_key"), rows)

    def _sync_keys(self) -> Table:
        columns = ("jid", "key_id", "key_data", "timestamp", "fingerprint")
        return self._owned("whatsmeow_app_state_sync_keys", columns, self._each("app-state-sync-key", _sync_key))

    def _tokens(self) -> Table:
        columns = ("our_jid", "their_jid", "token", "timestamp", "sender_timestamp")
        self._names["tctoken"] = [name for name in self._names["tctoken"] if _LIST_OF_TOKENS not in name]
        return self._owned("whatsmeow_privacy_tokens", columns, self._each("tctoken", _token))

    def _read_lids(self) -> dict[str, str]:
        """Return number -> hidden number; the table allows each once."""
        found: dict[str, str] = {}
        if self._creds.lid:
            found[self._creds.address.user] = self._creds.lid.user
        self._names["lid-mapping"] = [name for name in self._names["lid-mapping"] if "_reverse" not in name]
        taken = set(found.values())
        for number, lid in self._each("lid-mapping", _lid):
            if number not in found and lid not in taken:
                found[number] = lid
                taken.add(lid)
        return found


def _pre_key(name: str, value: Any) -> tuple[int, bytes] | None:
    number = whole(name, 1, _MOST_PRE_KEY)
    private, public = octets(member(value, "private"), KEY), octets(member(value, "public"), KEY, KEY + 1)
    if number is None or str(number) != name or private is None or public is None:
        return None
    return (number, private) if public[-KEY:] == public_of(private) else None


def _identity(name: str, value: Any) -> tuple[str, bytes] | None:
    their_id, key = _signal_address(name), octets(value, KEY, KEY + 1)
    return None if their_id is None or key is None else (their_id, key[-KEY:])


def _sender_key(name: str, value: Any) -> tuple[str, str, bytes] | None:
    parts = name.rsplit("--", 2)
    if len(parts) != 3:  # noqa: PLR2004 - group, sender, device
        return None
    chat, user, device = parts
    sender, key = _signal_address(f"{user}.{device}"), sender_key(value)
    return (chat, sender, key) if chat and sender is not None and key is not None else None


def _signal_address(name: str) -> str | None:
    """Convert ``user.device`` to ``user:device``; the user may end in ``_N``, which says of which server it is."""
    user, _, device = name.rpartition(".")
    number, mark, server = user.partition("_")
    sound = _is_number(number, 1 << 64) and (not mark or _is_number(server, 255)) and _is_number(device, 255)
    return f"{user}:{device}" if sound else None


def _sync_key(name: str, value: Any) -> tuple[Value, ...] | None:
    text = name.replace("__", "/")
    key_id, key = octets(text), octets(member(value, "keyData"))
    timestamp = whole(member(value, "timestamp") or 0, 0, _MOST_TIME)
    if not key_id or base64.b64encode(key_id).decode() != text or not key or timestamp is None:
        return None
    return key_id, key, timestamp, fingerprint(member(value, "fingerprint"))


def _token(name: str, value: Any) -> tuple[Value, ...] | None:
    address, token = Address.read(name), octets(member(value, "token"))
    timestamp = whole(member(value, "timestamp") or 0, 0, _MOST_TIME)
    if address is None or str(address) != name or token is None or timestamp is None:
        return None
    return name, token, timestamp, whole(member(value, "senderTimestamp"), 0, _MOST_TIME)


def _lid(name: str, value: Any) -> tuple[str, str] | None:
    sound = isinstance(value, str) and _is_number(value, 1 << 64) and _is_number(name, 1 << 64)
    return (name, value) if sound else None


def _is_number(text: str, most: int) -> bool:
    return whole(text, 0, most) is not None


def _fresh_key() -> bytes:
    """Make a Curve25519 private key, clamped as the library clamps its own (util/keys/keypair.go)."""
    key = bytearray(secrets.token_bytes(KEY))
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return bytes(key)
