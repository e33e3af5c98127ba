"""The one tree of errors people meet.

Every error says what happened, why, and how to mend it; the command line prints the first two after ``error:`` and
the last after ``hint:``. None of the texts may hold a secret: numbers, codes and keys are redacting types
(:mod:`wakit.redact`) and stay masked when they are formatted into a sentence.

::

    WakitError
    ├── DeclarationError        sessions.toml cannot be read as a declaration (file:line:column)
    ├── StateDirectoryError     the state directory is unsafe, read-only, or not ours
    ├── HeldError               another process holds what is needed (a daemon, a credential)
    ├── CredentialError         a credential is missing, damaged, or not the one expected
    │   └── GivenAwayError      a credential was given to another place and is not started here
    ├── CredentialElsewhereError  it was used elsewhere since this copy of it was made; a person has to decide
    ├── CredentialUnreadableError  the system does not let a credential be read now; nothing is known about it
    ├── BackupError             a backup could not be written, or cannot be used (wakit.vault.disk)
    │   └── NoSpaceError        the disk has no room; it says how much is missing
    ├── SealError               something could not be encrypted, or no key opens it (wakit.vault.sealing)
    ├── BundleError             a bundle cannot be read or written
    ├── EndpointError           an [endpoint] that is not loopback, or cannot be used here
    ├── WorkerError             a worker could not be started or broke its contract
    ├── JournalError            the journal cannot be opened or written
    │   └── QueryError          a query was refused, cut off, or is wrong
    ├── ControlError            the daemon said no, or could not be reached
    │   ├── NoDaemonError       nothing listens for this state directory
    │   └── UnknownSessionError the declaration has no session of that name
    ├── NotConvergedError       a wait ended before the sessions were where they should be
    └── MissingExtraError       an optional library is not installed
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Self


class Exit(IntEnum):
    """Exit codes of the command line; documented in docs/cli.md."""

    OK = 0
    ERROR = 1
    CHANGES = 2  # `wakit plan` only: the plan is not empty
    TIMEOUT = 3
    NO_DAEMON = 4
    HELD = 5
    USAGE = 64
    INTERRUPTED = 130


class WakitError(Exception):
    """Base of every error wakit raises on purpose.

    Args:
        what: One sentence: what could not be done.
        why: The cause, if it is known, in words a person understands.
        hint: The next step that mends it.

    Example:
        >>> error = WakitError("The socket is gone", why="the daemon stopped", hint="run `wakit up`")
        >>> str(error)
        'The socket is gone: the daemon stopped'
    """

    exit_code: ClassVar[Exit] = Exit.ERROR
    retryable: ClassVar[bool] = False

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    def _render_traceback_(self) -> list[str]:
        """Show two lines in a notebook instead of a traceback; IPython looks for this name on exceptions."""
        return [f"error: {self}", *([f"hint: {self.hint}"] if self.hint else [])]


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text file; line and column count from 1, as editors do.

    Example:
        >>> str(Location("sessions.toml", 3, 9))
        'sessions.toml:3:9'
    """

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.path, *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(parts)


class DeclarationError(WakitError):
    """sessions.toml (or a setting from the environment) is not a declaration.

    ``location`` and ``key`` say where; the last good declaration stays in force.
    """

    def __init__(self, what: str, *, location: Location, key: str = "", why: str = "", hint: str = "") -> None:
        super().__init__(what, why=why, hint=hint)
        self.location = location
        self.key = key

    def __str__(self) -> str:
        at = f"{self.location}: " + (f"{self.key}: " if self.key else "")
        return at + super().__str__()


class StateDirectoryError(WakitError):
    """The state directory cannot be used safely."""


class HeldError(WakitError):
    """Somebody else holds what is needed; ``why`` names the holder."""

    exit_code = Exit.HELD


class CredentialError(WakitError):
    """A credential is missing, damaged, or belongs to another account."""


class GivenAwayError(CredentialError):
    """A credential was given to another place; started here, too, two clients would use one device."""


class CredentialElsewhereError(WakitError):
    """A credential went on in another place since this copy of it was made; ``why`` names that place.

    Not a :class:`CredentialError`, because there is nothing to repair: the copy is sound, and its keys are over. A
    backup would be older still.
    """


class CredentialUnreadableError(WakitError):
    """A credential could not be read just now: a full disk, a lock, a missing permission.

    Not a :class:`CredentialError`, because it says nothing about the credential: neither that it is damaged nor that
    there is none. Whoever meets it leaves everything as it is and looks again later.
    """

    retryable = True

    @classmethod
    def of(cls, path: object, error: OSError) -> Self:
        """Return the error for a file that the system would not give."""
        return cls(
            f"{path} cannot be read now",
            why=error.strerror or type(error).__name__,
            hint="mend the disk or the permissions; it is looked at again by itself",
        )


class BundleError(WakitError):
    """A bundle of credentials cannot be read as one, or cannot be written."""


class EndpointError(WakitError):
    """The declared endpoint is not a loopback one, or this platform cannot use one."""


class WorkerError(WakitError):
    """A worker could not be started, or broke its contract."""

    retryable = True


class JournalError(WakitError):
    """The journal cannot be opened or written."""


class QueryError(JournalError):
    """A query was refused, cut off, or is not valid SQL."""


class ControlError(WakitError):
    """The daemon refused a request, or answered something else than expected."""


class NoDaemonError(ControlError):
    """No daemon serves this state directory."""

    exit_code = Exit.NO_DAEMON
    retryable = True


class UnknownSessionError(ControlError):
    """No session of that name is declared."""


class NotConvergedError(WakitError):
    """A wait ended before every session was where it should be; ``why`` lists who is not, and why."""

    exit_code = Exit.TIMEOUT


class MissingExtraError(WakitError):
    """An optional library is needed; ``hint`` is the command that installs it."""
