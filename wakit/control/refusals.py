"""Errors on the wire: a WakitError becomes an ErrorInfo in the daemon and the same WakitError again in the client.

Only classes of :mod:`wakit.errors` travel; a subclass of another room goes as its nearest ancestor there, because the
client must not import that room to name it. A mistake of ours is no WakitError and does not travel at all;
:func:`trace` writes it down without what it knew.
"""

from __future__ import annotations

import traceback

from wakit import errors
from wakit.control.schemas import ErrorInfo, LocationInfo
from wakit.errors import DeclarationError, Location, WakitError
from wakit.redact import scrub


def to_info(error: WakitError) -> ErrorInfo:
    """Describe an error for the wire.

    Example:
        >>> to_info(errors.UnknownSessionError("No session is called ventas")).error
        'UnknownSessionError'
    """
    kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
    if isinstance(error, DeclarationError):
        at = LocationInfo(path=error.location.path, line=error.location.line, column=error.location.column)
        return ErrorInfo(error=kind, what=error.what, why=error.why, hint=error.hint, location=at, key=error.key)
    return ErrorInfo(error=kind, what=error.what, why=error.why, hint=error.hint)


def from_info(info: ErrorInfo) -> WakitError:
    """Make the error again; a kind this version does not know is a ControlError.

    Example:
        >>> from_info(ErrorInfo(error="HeldError", what="It is held", why="by 12"))
        HeldError('It is held', 'by 12', '')
    """
    if info.error == "DeclarationError":
        at = info.location or LocationInfo(path="sessions.toml")
        where = Location(at.path, at.line, at.column)
        return DeclarationError(info.what, location=where, key=info.key, why=info.why, hint=info.hint)
    kind = getattr(errors, info.error, None)
    if not (isinstance(kind, type) and issubclass(kind, WakitError)):
        kind = errors.ControlError
    return kind(info.what, why=info.why, hint=info.hint)


def trace(error: BaseException) -> str:
    """Write a traceback down for a log: places and kinds as they are, the exceptions' own texts scrubbed.

    Scrubbing the whole would mask the files' paths, and then it is of no use to anybody.
    """
    told = []
    seen: BaseException | None = error
    while seen is not None:
        places = traceback.extract_tb(seen.__traceback__)
        told.append(f"{type(seen).__name__}: {scrub(str(seen))}")
        told.extend(f"  {place.filename}:{place.lineno} in {place.name}" for place in places)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(told)
