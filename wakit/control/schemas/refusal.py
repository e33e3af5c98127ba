"""A refusal as it travels."""

from __future__ import annotations

from pydantic import Field

from wakit.control.schemas.model import Model


class LocationInfo(Model):
    """A place in a file, counted from 1; 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0


class ErrorInfo(Model):
    """Every refusal: what, why, how to mend, and the kind of error as in :mod:`wakit.errors`."""

    error: str
    what: str
    why: str = ""
    hint: str = ""
    location: LocationInfo | None = Field(default=None, description="Where in the file, for a DeclarationError")
    key: str = Field(default="", description="Which key, for a DeclarationError")
