"""Bundles that wakit would make, and archives that it would not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from wakit.vault.bundle import BundledSession, Manifest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
IDENT = "a" * 16


def session(name: str, data: bytes, **changes: Any) -> BundledSession:
    fields: dict[str, Any] = {
        "name": name, "namespace": "shared", "account": "0" * 16, "paired_at": NOON, "epoch": 1,
        "sha256": sha256(data).hexdigest(), "size": len(data), "rows": {"whatsmeow_device": 1},
    }  # fmt: skip
    return BundledSession(**(fields | changes))


def manifest(sessions: Sequence[BundledSession], **changes: Any) -> Manifest:
    fields: dict[str, Any] = {"bundle": IDENT, "created_at": NOON, "wakit": "0.1.0", "library": "neonize 0.5.2"}
    return Manifest(sessions=tuple(sessions), **(fields | changes))


def archive(members: Sequence[tuple[str, bytes]] | Mapping[str, bytes], *, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Any archive, also one that no wakit would make."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
    return buffer.getvalue()


def bundled(*databases: bytes, **changes: Any) -> bytes:
    """A bundle of sessions ``s0``, ``s1``, …"""
    sessions = [session(f"s{index}", data) for index, data in enumerate(databases)]
    text = msgspec.json.encode(manifest(sessions, **changes))
    return archive({"manifest.json": text} | {f"{index}.db": data for index, data in enumerate(databases)})
