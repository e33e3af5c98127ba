"""The steps of a pairing: what is asked for, and what comes of it until somebody has used a code or nobody will."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from wakit.control.client import Client
from wakit.control.schemas import Hello, PairingFrame, PairingShown, SessionChanged, SessionGone, SessionInfo
from wakit.core.lifecycle import FINAL, State

Method: TypeAlias = Literal["qr", "code"]
_VERDICTS: Final = frozenset(state.value for state in FINAL)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which session, how, with which number (both override the file for this once), and how long to wait."""

    name: str
    method: Method | None
    phone: str | None = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pairing: what ``--json`` calls ``event``, with the session and the code as they are then."""

    event: Literal["qr", "code", "waiting", "connected", "expired", "failed"]
    session: SessionInfo
    shown: PairingShown | None = None


async def steps(client: Client, asked: Asked) -> AsyncGenerator[Step, None]:
    """Ask for the pairing and yield its steps; ends after ``connected``, ``expired`` or ``failed``."""
    async with aclosing(client.live(pairing=asked.name)) as frames:
        hello = await anext(frames)
        assert isinstance(hello, Hello)
        session = await client.session(asked.name)
        if session.state == State.CONNECTED:
            yield Step("connected", session)
            return
        before = (session.state, session.since)
        session = await client.pair(asked.name, method=asked.method, phone=asked.phone)
        begun = False  # to show a code; from then on, being `declared` again means that nobody used one
        told: PairingShown | None = None  # the stream repeats it with every change of the session
        yield Step("waiting", session)
        async for frame in frames:
            if isinstance(frame, PairingFrame) and frame.shown not in (None, told):
                begun, told = True, frame.shown
                yield Step(frame.shown.event, session, frame.shown)
            elif isinstance(frame, SessionChanged) and frame.session.name == asked.name:
                changed = (frame.session.state, frame.session.reason) != (session.state, session.reason)
                session = frame.session
                begun = begun or session.state == State.PAIRING
                # A verdict that stood before the request was made is not the answer to it.
                ended = _end(session, begun=begun) if (session.state, session.since) != before else None
                if ended or changed:
                    yield ended or Step("waiting", session)
                if ended:
                    return
            elif isinstance(frame, SessionGone) and frame.name == asked.name:
                gone = {"state": "retired", "status": "disconnected", "reason": "it left the file"}
                yield Step("failed", session.model_copy(update=gone))
                return


def _end(session: SessionInfo, *, begun: bool) -> Step | None:
    if session.state == State.CONNECTED:
        return Step("connected", session)
    if session.state in _VERDICTS or session.state in (State.PARKED, State.HELD):
        return Step("failed", session)
    if session.state == State.DECLARED and begun:
        return Step("expired", session)
    return None
