"""One device out of a whatsmeow store (neonize, wuzapi, mautrix-whatsapp, …).

Such a store keeps several devices in the same tables, other tools keep tables of their own beside them, and it may be
years old. From a copy (:mod:`.store`) the chosen device is *distilled*: the library's tables are made anew in an empty
database, as the store itself describes them, with that device's rows. Other devices' keys and other tools' tables do
not come along. Then the library brings it up to date, if it is older, and only then are its rows what this release
reads.

Which tables and columns there are is read from the databases, not known here, but for two tables that have no owner:
the version, and the map of hidden numbers, which all devices share.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from wakit.errors import CredentialError
from wakit.redact import PhoneNumber, Secret
from wakit.vault.migration.belongings import (
    ACCOUNT_SERVER,
    DEVICES,
    LID_MAP,
    VERSIONS,
    Address,
    Belongings,
    Table,
    counted,
    masked,
)
from wakit.vault.migration.curve import DeviceKeys
from wakit.vault.migration.store import Store, Version, no_store, opened

_OWNERS: Final = ("our_jid", "jid")
_USER: Final = re.compile(r"[0-9]{1,20}")
_PEOPLE: Final = frozenset(
    {"jid", "lid", "their_id", "their_jid", "chat_id", "sender_id", "chat_jid", "sender_jid", "our_jid"}
)
_PROOFS: Final = (
    "identity_key",
    "signed_pre_key",
    "signed_pre_key_sig",
    "adv_details",
    "adv_account_sig",
    "adv_account_sig_key",
    "adv_device_sig",
)
_ANEW: Final = "link the phone anew: `wakit pair NAME`"


def choose(database: Path, account: PhoneNumber | None) -> Address:
    """Check a copied store, and say which of its devices is meant.

    Raises:
        CredentialError: It is damaged or no such store, or it is not clear which device; lists those it holds.
    """
    with opened(database, checked=True) as store:
        devices = [Address.read(row[0]) for row in store.rows(DEVICES, ("jid",))]
    found = sorted(
        (each for each in devices if each is not None and each.server == ACCOUNT_SERVER),
        key=lambda each: (each.user, each.device),
    )
    if not found:
        raise CredentialError("The store holds no linked device", why="it was unlinked, or never linked", hint=_ANEW)
    meant = [each for each in found if account is None or each.user == account.digits]
    if len(meant) == 1:
        return meant[0]
    listed = "it holds " + ", ".join(f"{masked(each.user)} (device {each.device})" for each in found)
    if not meant:
        raise CredentialError("The store holds no device of that account", why=listed, hint="check the number")
    if len({each.user for each in meant}) > 1:
        raise CredentialError("The store holds several devices", why=listed, hint="say which: --account NUMBER")
    raise CredentialError(
        "The store holds several devices of one account",
        why=f"which of them is in use cannot be told: {listed}",
        hint="unlink the others on the phone, run the other tool once so that it forgets them, then try again",
    )


def distil(database: Path, device: Address, target: Path) -> None:
    """Make a database that holds the library's tables with this device's rows, and nothing else.

    Raises:
        CredentialError: Its tables are not as the library makes them.
    """
    # What goes wrong in the new database is told by the block around it, as if it had in the old one.
    with opened(database) as store, closing(sqlite3.connect(target, isolation_level=None)) as new:
        new.execute("PRAGMA trusted_schema=OFF")
        new.execute("BEGIN")
        _distil(store, new, device)
        new.execute("COMMIT")


@contextmanager
def belongings(database: Path, device: Address, known: Path) -> Iterator[Belongings]:
    """Give a distilled device's belongings, as far as this release knows of them; their rows are read meanwhile.

    Args:
        database: Distilled, and brought up to date.
        device: Which device it is.
        known: A database with the tables of this release.

    Raises:
        CredentialError: The device's keys do not belong together.
    """
    with opened(known) as ours:
        wanted = ours.tables
    with opened(database) as store:
        if objection := _objection(store):
            raise CredentialError(
                "The store's device cannot be used",
                why=f"its keys do not belong together: {objection}",
                hint=f"put the store back from a copy, or {_ANEW}",
            )
        tables: list[Table] = []
        unknown = 0
        for table, columns in store.tables.items():
            shared = tuple(each for each in columns if each in wanted.get(table, ()))
            unknown += len(columns) - len(shared)
            if shared and table != VERSIONS:
                tables.append(Table(table, shared, store.rows(table, shared)))
        these = counted(unknown, "column of a newer release stays", "columns of a newer release stay")
        left = (f"{these} behind; this release makes do without.",) if unknown else ()
        yield Belongings(Secret(device.user), tuple(tables), left)


def version_of(database: Path) -> Version | None:
    """Return a store's version, or None if it does not say."""
    with opened(database) as store:
        return store.version()


def bring_up_to_date(database: Path, wanted: Version, upgrade: Callable[[Path], None]) -> None:
    """Have the library bring a store to its own version, if it is older.

    Raises:
        CredentialError: It is too new or too old for the library.
    """
    found = version_of(database)
    if found is None:
        raise no_store("it does not say which version its tables have")
    if found.number > wanted.number and found.compatible > wanted.number:
        raise CredentialError(
            "The store is too new",
            why=f"its tables have version {found.number}, and this release knows {wanted.number}",
            hint=f"upgrade wakit, or {_ANEW}",
        )
    if found.number < wanted.number:
        upgrade(database)
        now = version_of(database)
        if now is None or now.number < wanted.number:
            raise CredentialError(
                "The store is too old",
                why=f"the library cannot bring its tables from version {found.number} to {wanted.number}",
                hint=f"run the other tool once in its newest release, or {_ANEW}",
            )


def _distil(store: Store, new: sqlite3.Connection, device: Address) -> None:
    owner = _as_stored(store, device)
    people: set[str] = set()
    for table, columns in store.tables.items():
        owned_by = next((each for each in _OWNERS if each in columns), None)
        if owned_by is not None:
            rows = store.rows(table, columns, owner=(owned_by, owner))
            who = [index for index, each in enumerate(columns) if each in _PEOPLE]
            _make(store, new, table, _noting(rows, who, people))
    if VERSIONS in store.tables:
        _make(store, new, VERSIONS, store.rows(VERSIONS, store.tables[VERSIONS]))
    if LID_MAP in store.tables:  # last: by now it is known whom the device knows
        rows = store.rows(LID_MAP, store.tables[LID_MAP])
        _make(store, new, LID_MAP, (row for row in rows if not people.isdisjoint(map(str, row))))


def _make(store: Store, new: sqlite3.Connection, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    new.execute(store.described(table))
    columns = store.tables[table]
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    new.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 - names of its shape


def _noting(rows: Iterator[tuple[object, ...]], who: list[int], people: set[str]) -> Iterator[tuple[object, ...]]:
    """Pass rows on, and note the people in them."""
    for row in rows:
        people.update(user[0] for index in who if (user := _USER.match(str(row[index]))))
        yield row


def _as_stored(store: Store, device: Address) -> str:
    """Return a device's address as this store writes it: old ones have an agent in it."""
    return next(str(text) for (text,) in store.rows(DEVICES, ("jid",)) if Address.read(text) == device)


def _objection(store: Store) -> str:
    row = store.rows(DEVICES, _PROOFS).fetchone() if set(_PROOFS) <= set(store.tables[DEVICES]) else None
    if row is None or not all(isinstance(each, bytes) for each in row):
        return "some are missing"
    try:
        return DeviceKeys(*row).objection()
    except ValueError:
        return "one has a wrong size"
