"""The library's own credential, made by pairing with the loopback WhatsApp: copied while it runs, and put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
from backed import KEY, RECORD, backups, set_aside
from support.whatsapp import StockClient, fresh_number, loopback_whatsapp

from wakit.redact import account_hash
from wakit.vault.manifest import Why

# As a worker opens it (wakit.whatsapp.neonize_client, which only a worker may import).
_NAME = "creds.db?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=10000&_x="


def test_a_backup_taken_under_the_library_connects_without_a_code(tmp_path: Path) -> None:
    folder = tmp_path / "sales" / "shared"
    folder.mkdir(parents=True, mode=0o700)
    number = fresh_number()
    account = account_hash(number, KEY)
    kept = backups(folder)
    with loopback_whatsapp() as whatsapp:
        first = StockClient(whatsapp, folder / _NAME, dialer="first")
        try:
            whatsapp.sim.scan(number, first.expect("qr")["payload"])
            first.expect("connected")
            taken = kept.take(Why.PAIRED, msgspec.structs.replace(RECORD, account=account)).backup
            assert taken.manifest is not None
            assert taken.manifest.account == account
            assert taken.manifest.rows["whatsmeow_device"] == 1
            assert "disconnected" not in first.seen()
        finally:
            first.kill()
        set_aside(folder)
        kept.put_back(taken, folder / "creds.db", account=account)
        again = StockClient(whatsapp, folder / _NAME, dialer="again")
        try:
            again.expect("connected")
            assert "qr" not in again.seen()
        finally:
            again.kill()
        with closing(sqlite3.connect(f"{(folder / 'creds.db').as_uri()}?mode=ro", uri=True)) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        found = whatsapp.sim.status().account(number)
        assert found is not None
        assert [(device.logins, device.replaced) for device in found.devices] == [(2, 0)]
