"""What all records share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

API_VERSION = 1
NAME_RULE = "a name is small letters, digits, - and _, begins with a letter or digit, and has at most 63 of them"


class Model(BaseModel):
    """A record; it never changes, and takes no offence at fields of a later version."""

    # Built at first use: a command pays only for the models it needs. An input is never repeated in an error: it may be
    # a phone number.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, hide_input_in_errors=True)


class Request(Model):
    """What comes as the body of a request."""

    # FastAPI wraps a body's model in an adapter of its own, which pydantic cannot build late without a warning.
    model_config = ConfigDict(defer_build=False)
