"""The declaration: what ``sessions.toml`` says, checked and complete, before anybody acts on it.

:mod:`wakit.declare` makes one out of a file and the environment; the planner compares it with what is observed.
Everything here is frozen and hashable by value, so that "did it change?" is ``==``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Literal

from wakit.redact import PhoneNumber, Secret

_MASKED: Final = re.compile(r"\[(?:number|key|code|qr|jid|credentials)\]")  # as wakit.redact puts them
SESSION_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Pairing(StrEnum):
    """How a phone is linked: by scanning a QR, or by typing eight characters on the phone."""

    QR = "qr"
    CODE = "code"


class RetirePolicy(StrEnum):
    """What leaving the file means for a credential."""

    ARCHIVE = "archive"
    LOGOUT = "logout"
    KEEP = "keep"


class Change(StrEnum):
    """What a changed key costs: nothing, a new worker, or a refusal."""

    NONE = "none"
    LIVE = "live"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """One ``[sessions.NAME]`` table with ``[defaults]`` filled in.

    Attributes:
        name: Matches ``[a-z0-9][a-z0-9_-]{0,62}``.
        phone: The account's number; needed for ``pairing = "code"``, otherwise a promise that is checked after pairing.
        pairing: How a new session is linked.
        proxy: Upstream proxy URL (``http``, ``socks5`` or ``socks4``), a secret because it may hold a password.
        enabled: False parks the session: the credential stays, no client runs.
        labels: Free key/value pairs for people and queries.
        renamed_from: The former name whose credential this session takes over.
        device_name: What the phone shows under linked devices.
        priority: Whose turn it is when not all can start or dial at once: the higher one's.
    """

    name: str
    phone: PhoneNumber | None = None
    pairing: Pairing = Pairing.QR
    proxy: Secret | None = None
    enabled: bool = True
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    renamed_from: str | None = None
    device_name: str = "wakit"
    priority: int = 0

    def fingerprint(self) -> str:
        """Name the part that a running client was started with: two specs that differ here need a restart.

        Example:
            >>> SessionSpec("a").fingerprint() == SessionSpec("a", labels={"team": "emea"}).fingerprint()
            True
        """
        proxy = self.proxy.reveal() if self.proxy else ""
        return sha256(f"{self.name}\x00{proxy}\x00{self.device_name}".encode()).hexdigest()[:16]

    def change_from(self, old: SessionSpec) -> Change:
        """Class the difference to an older spec of the same session."""
        if self == old:
            return Change.NONE
        return Change.LIVE if self.fingerprint() == old.fingerprint() else Change.RESTART


@dataclass(frozen=True, slots=True)
class Pacing:
    """``[pacing]``: how fast the fleet may dial and pair."""

    dials_per_second: float = 5.0
    pairings: int = 4


@dataclass(frozen=True, slots=True)
class VaultPolicy:
    """``[vault]``: how credentials are backed up. Times in seconds, sizes in bytes."""

    interval: float = 6 * 3600.0
    keep: int = 5
    max_bytes: int = 1 << 30
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """``[health]``: how long what may be silent, in seconds.

    Attributes:
        stale_after: A worker without a heartbeat; it is replaced then.
        deaf_after: A connected session's line without a byte: more than a ping's interval and its answer together.
        restart_after: A degraded session that does not recover; its client is replaced then.
    """

    stale_after: float = 90.0
    deaf_after: float = 45.0
    restart_after: float = 60.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """``[restarts]``: how many tries of a session may fail within how many seconds before it is left alone."""

    limit: int = 20
    window: float = 3600.0


@dataclass(frozen=True, slots=True)
class JournalPolicy:
    """``[journal]``: how many days of events are kept."""

    keep_days: int = 400


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``[endpoint]``: a WhatsApp server on loopback to use instead of the real one.

    Attributes:
        proxy: ``http://127.0.0.1:PORT``; any other host than a loopback one is refused when the file is read.
        ca_file: Absolute path of the CA certificate (PEM) the server's leaf is signed by.
        noise_root_key: The server's Noise root public key, 32 bytes in hex.
    """

    proxy: str
    ca_file: str
    noise_root_key: str


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """``[wakit]`` and the other fleet-wide tables.

    Attributes:
        state_dir: Absolute path.
        sessions_per_worker: A number, or ``"auto"`` (alone up to 8 paired sessions, then at most 32 together).
        retire: What leaving the file means.
        retire_guard: The share of sessions above which a mass retirement waits for confirmation.
        strategy: The namespace of credentials a checkout uses.
    """

    state_dir: str
    sessions_per_worker: int | Literal["auto"] = "auto"
    retire: RetirePolicy = RetirePolicy.ARCHIVE
    retire_guard: float = 0.5
    strategy: Literal["shared"] = "shared"
    pacing: Pacing = Pacing()
    vault: VaultPolicy = VaultPolicy()
    health: HealthPolicy = HealthPolicy()
    restarts: RestartPolicy = RestartPolicy()
    journal: JournalPolicy = JournalPolicy()
    endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class GitState:
    """Where the file stands in version control when it was read; ``None`` outside a repository.

    Attributes:
        commit: Full hash of HEAD, None before the first commit.
        branch: Branch name, None when HEAD is detached.
        dirty: True if the file differs from what HEAD holds, or is not tracked.
    """

    commit: str | None
    branch: str | None
    dirty: bool


def is_cut_off(text: str, before: str) -> bool:
    r"""Tell whether a declaration's masked text is a mere beginning of an earlier one, as after half a write.

    Example:
        >>> whole = "[sessions.a]\n# Ana, [number]\n[sessions.b]\n"
        >>> is_cut_off("[sessions.a]\n# Ana, +346", whole), is_cut_off("[sessions.b]\n", whole)
        (True, False)
    """
    *whole, last = text.rstrip().split("\n")
    lines = before.split("\n")
    if not text.strip() or len(lines) <= len(whole) or lines[: len(whole)] != whole:
        return False
    there = lines[len(whole)]
    # Half a number or key in a comment has no longer its shape, and was not masked.
    shown = _MASKED.split(there, maxsplit=1)[0]
    return there.startswith(last) or ("#" in shown and shown != there and last.startswith(shown))


@dataclass(frozen=True, slots=True)
class Declaration:
    """A whole, valid ``sessions.toml``.

    Attributes:
        path: Absolute path of the file.
        sha256: Hash of the file's bytes.
        masked_text: The file's text with numbers and proxy passwords masked, for the journal.
        fleet: Fleet-wide settings.
        sessions: By name, in the file's order.
        git: The file's place in version control, or None.
        warnings: What is accepted but worth saying, each one sentence with its place.
        sources: Where each fleet key that is not a default was set, by dotted key: ``sessions.toml:4:1``,
            ``.env:2`` or ``$WAKIT_RETIRE``. For people only, so it does not count when declarations are compared.
    """

    path: str
    sha256: str
    masked_text: str
    fleet: FleetSpec
    sessions: Mapping[str, SessionSpec]
    git: GitState | None = None
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)
