"""What is asked of the daemon, and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from wakit.control.schemas.model import Model, Request
from wakit.redact import PhoneNumber

_LARGEST = 1 << 20  # characters; a file has so many bytes at most


class PairRequest(Request):
    """``POST …/pair``: pair now, because a person asks. ``method`` and ``phone`` override the file for this once."""

    method: Literal["qr", "code"] | None = None
    phone: str | None = Field(default=None, repr=False)

    @field_validator("phone")
    @classmethod
    def _is_a_number(cls, phone: str | None) -> str | None:
        return None if phone is None else PhoneNumber(phone).reveal()


class RestartRequest(Request):
    """``POST …/restart``; ``take_over`` has the credential go on here although it was used elsewhere since."""

    take_over: bool = False


class ApplyRequest(Request):
    """``POST /v1/apply``."""

    confirm: bool = False


class PlanRequest(Request):
    """``POST /v1/plan``: a file that the daemon does not follow, and the ``.env`` beside it, if any."""

    path: str = Field(description="Absolute; relative paths in the file are relative to its folder")
    text: str = Field(repr=False, max_length=_LARGEST)
    dotenv: str | None = Field(default=None, repr=False, max_length=_LARGEST)

    @field_validator("path", "text", "dotenv")
    @classmethod
    def _is_text(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError("half a character: it is no text") from None
        return text


class SqlRequest(Request):
    """``POST /v1/sql``: one read-only SELECT; the answer is an Arrow IPC stream."""

    query: str
    params: list[Any] | None = None
    timeout: Annotated[float, Field(gt=0, le=300)] = 30.0
    max_rows: Annotated[int, Field(gt=0)] = 1_000_000


class PingInfo(Model):
    """``POST …/ping``: whether WhatsApp answered the session just now."""

    session: str
    alive: bool
    seconds: float | None = Field(default=None, description="From the question to the answer")
    why: str = Field(default="", description='Why it is not alive; "" if it is')


class LogLines(Model):
    """``GET …/logs``: the last lines of a session's log, oldest first; each is one JSON object."""

    session: str
    lines: list[str]


class BackupInfo(Model):
    """One backup of a session's credential."""

    id: str = Field(description="Name of its folder, as `restore` takes it; begins with its time (UTC)")
    created_at: datetime | None = Field(default=None, description="None if its manifest cannot be read")
    why: str = Field(default="", description="What it was taken for")
    size: int = Field(default=0, description="Bytes of the database")
    sealed: bool = Field(default=False, description="Encrypted; an identity is needed to put it back")
    problem: str = Field(default="", description='Why it is not offered; "" for one that is good as far as is known')


class BackupList(Model):
    """``GET …/backups``: newest first."""

    session: str
    backups: list[BackupInfo]


class BackupTaken(Model):
    """``POST …/backup``."""

    session: str
    new: bool = Field(description="False if nothing had changed since the newest good one, which is given then")
    backup: BackupInfo


class RestoreRequest(Request):
    """``POST …/restore``: put a backup in the place of the credential in use, which is kept as evidence."""

    backup: str | None = Field(default=None, description="Its id; the newest good one if none is named")
