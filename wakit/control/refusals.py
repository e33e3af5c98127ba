"""Errors on the wire: a WakitError becomes an ErrorInfo in the daemon and the same WakitError again in the client.

Only classes of :mod:`wakit.errors` travel; a subclass of another room goes as its nearest ancestor there, because the
client must not import that room to name it.
"""

from __future__ import annotations

from wakit import errors
from wakit.control.schemas import ErrorInfo, LocationInfo
from wakit.errors import DeclarationError, Location, WakitError


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
