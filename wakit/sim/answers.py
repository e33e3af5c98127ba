"""What the two clients of the admin socket share: the endpoint, the reading of answers, and the errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

from wakit.errors import EndpointError, NotConvergedError, WakitError
from wakit.redact import PhoneNumber
from wakit.sim.requests import Problem, Ready, from_line
from wakit.sim.scenarios import Target

Number = PhoneNumber | str
EVERYBODY: Final = Target()
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SimEndpoint:
    """What a client must know to dial a sim, and where the sim is commanded.

    ``proxy`` is a URL, ``ca_file`` and ``admin`` are paths, ``noise_root_key`` is 64 hex digits (a public key).
    """

    proxy: str
    ca_file: Path
    noise_root_key: str
    admin: Path

    @classmethod
    def of(cls, ready: Ready) -> Self:
        """Return the endpoint that a sim announced."""
        return cls(ready.proxy, Path(ready.ca_file), ready.noise_root_key, Path(ready.admin))


class _Answer(msgspec.Struct):
    ok: msgspec.Raw = msgspec.Raw()
    error: Problem | None = None


def read_answer(line: bytes, kind: type[_T]) -> _T:
    """Return what an answer holds; raises WakitError for a refusal, EndpointError for no answer at all."""
    if not line:
        raise EndpointError("The loopback WhatsApp went away", why="it closed its admin socket", hint="start it again")
    answer = from_line(line, _Answer)
    if answer.error is not None:
        raise WakitError(answer.error.what, why=answer.error.why, hint=answer.error.hint)
    return from_line(bytes(answer.ok), kind)


def as_number(number: Number) -> PhoneNumber:
    """Return a number as the type that hides it; raises ValueError for what is no number."""
    return number if isinstance(number, PhoneNumber) else PhoneNumber(number)


def unreachable(error: OSError) -> EndpointError:
    """Return the error of an admin socket that cannot be opened."""
    return EndpointError(
        "The loopback WhatsApp cannot be reached",
        why=error.strerror or str(error),
        hint="start it with `wakit sim`, or name its state directory",
    )


def not_converged(timeout: float) -> NotConvergedError:
    """Return the error of a wait that was in vain."""
    return NotConvergedError(f"The loopback WhatsApp did not see it within {timeout:g} s")
