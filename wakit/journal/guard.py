"""What stands between a record and the file: nothing with the shape of a secret gets in.

Free text (``reason``, ``code``, and every string in ``detail``, keys included) goes through :func:`wakit.redact.scrub`.
Where wakit itself put a secret there, that is a bug: a strict guard, as the tests use it, raises. In production the
text is masked and counted, because an event that is a little poorer is worth more than an event that is lost.

Lone surrogates become ``?`` in every text: they come from names in foreign bytes, and no UTF-8 file can hold them. So
do NULs, at which many a reader of the file would take the text to end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from wakit.core.records import JSON, DeclarationRecord, EventRecord
from wakit.redact import scrub

_MOST_KNOWN: Final = 4096
_LONGEST_KNOWN: Final = 256


@dataclass(slots=True)
class Guard:
    """Checks records on their way into the journal.

    Args:
        strict: Raise ValueError instead of masking.
    """

    strict: bool = False
    masked: int = field(default=0, init=False)
    _known_clean: set[str] = field(default_factory=set, init=False)

    def event(self, record: EventRecord) -> EventRecord:
        """Return the record as it may be kept; the same object if nothing had to be masked.

        Raises:
            ValueError: The guard is strict, and a text has the shape of a secret. The message does not repeat it.
        """
        reason = self._text(record.reason, "reason")
        code = None if record.code is None else self._text(record.code, "code")
        detail = {self._text(key, "detail"): self._json(value) for key, value in record.detail.items()}
        cleaned = replace(
            record,
            reason=reason,
            code=code,
            detail=detail,
            run_id=_storable(record.run_id),
            session=_storable_or_none(record.session),
            git_commit=_storable_or_none(record.git_commit),
            git_branch=_storable_or_none(record.git_branch),
        )
        return record if cleaned == record else cleaned

    def declaration(self, record: DeclarationRecord) -> DeclarationRecord:
        """Return the declaration with its text scrubbed, and nothing in it that cannot be stored.

        Never raises, strict or not: the text is the user's own, and a key or a password in it is nobody's bug.
        """
        return replace(
            record,
            text=scrub(_storable(record.text)),
            sha256=_storable(record.sha256),
            git_commit=_storable_or_none(record.git_commit),
            git_branch=_storable_or_none(record.git_branch),
        )

    def _text(self, text: str, where: str) -> str:
        if text in self._known_clean:  # scrubbing costs 10 µs a text, and reasons and keys are few
            return text
        storable = _storable(text)
        clean = scrub(storable)
        if clean == text:
            self._remember(text)
            return text
        if self.strict and clean != storable:
            raise ValueError(f"the event's {where} has the shape of a secret (masked: {clean!r})")
        self.masked += 1
        return clean

    def _remember(self, text: str) -> None:
        if len(self._known_clean) >= _MOST_KNOWN:
            self._known_clean.clear()
        if len(text) <= _LONGEST_KNOWN:
            self._known_clean.add(text)

    def _json(self, value: object) -> JSON:
        match value:
            case str():
                return self._text(value, "detail")
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self._text(str(key), "detail"): self._json(leaf) for key, leaf in value.items()}
            case Sequence() if not isinstance(value, (bytes, bytearray, memoryview)):
                return [self._json(leaf) for leaf in value]
            case _:
                if self.strict:
                    raise ValueError(f"the event's detail holds a {type(value).__name__}, which JSON does not know")
                self.masked += 1
                return f"[{type(value).__name__}]"


def _storable(text: str) -> str:
    encodable = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\0", "?")


def _storable_or_none(text: str | None) -> str | None:
    return None if text is None else _storable(text)
