"""What is said on one line, from the client's first words to the end.

A client that registers waits to be linked; a client that logs in is checked, takes the place of an older connection of
the same device, and is then answered until one side ends it. Armed scenarios are met at their stages on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from wakit.redact import PhoneNumber
from wakit.sim import stanzas, wire
from wakit.sim.accounts import Account
from wakit.sim.exchange import Exchange, Presence
from wakit.sim.line import Caller, Line, ProtocolBreach, answer_call
from wakit.sim.nodes import SERVER, AttributeValue, Node
from wakit.sim.pairing import Waiting, pair_device
from wakit.sim.phone import PhoneError
from wakit.sim.requests import (
    What,
)
from wakit.sim.scenarios import (
    Failure,
    Target,
)
from wakit.sim.websocket import WebSocket

_UNKNOWN_DEVICE: Final = Failure(reason=401)
_NOT_WELL_FORMED: Final = Node("stream:error", {}, (Node("xml-not-well-formed"),))
_BAD_REQUEST: Final = Node("error", {"code": "400", "text": "bad-request"})


async def converse(exchange: Exchange, websocket: WebSocket, caller: Caller) -> None:
    """Serve one client from its accepted WebSocket to the end; returns when the connection is over."""
    slow = exchange.faults.meet_handshake(Target(dialer=caller.dialer))
    try:
        line, payload = await answer_call(
            websocket, exchange.credentials, exchange.tokens, caller, delay=slow.scenario.seconds if slow else 0.0
        )
    except ProtocolBreach as breach:
        _note(exchange, What.BROKE_PROTOCOL, caller, detail=str(breach))
        return
    try:
        match payload:
            case wire.Registration():
                await _Registering(exchange, line).run(payload)
            case wire.Login():
                await _LoggedIn(exchange, line).run(payload)
    except ProtocolBreach as breach:
        _note(exchange, What.BROKE_PROTOCOL, caller, detail=str(breach))
        await line.end(_NOT_WELL_FORMED)
        await line.drain()


class _Registering:
    """A client that is not linked to an account yet."""

    def __init__(self, exchange: Exchange, line: Line) -> None:
        self._exchange = exchange
        self._line = line

    async def run(self, registration: wire.Registration) -> None:
        exchange, line = self._exchange, self._line
        who = Target(dialer=line.caller.dialer)
        failure = exchange.faults.meet_login(who)
        if failure is not None:
            await _fail(exchange, line, failure.scenario, who)
            return
        try:
            waiting = exchange.desk.admit(line, registration)
        except PhoneError as error:
            raise ProtocolBreach(str(error)) from error
        _note(exchange, What.PAIRING, line.caller)
        asking = asyncio.create_task(self._give_refs(waiting))
        try:
            await self._listen(waiting)
        finally:
            asking.cancel()
            exchange.desk.leave(waiting)

    async def _give_refs(self, waiting: Waiting) -> None:
        """Give the refs, and end the line when the last one's time is over: nobody came."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError, ConnectionError):  # unacknowledged refs may still be shown
            await self._line.ask(pair_device(list(waiting.refs)))
        await asyncio.sleep(waiting.ends - loop.time())
        self._line.hang_up()

    async def _listen(self, waiting: Waiting) -> None:
        async for node in self._line.nodes():
            if node.tag == "iq":
                await self._line.send(self._answer(node, waiting))

    def _answer(self, iq: Node, waiting: Waiting) -> Node:
        request = iq.child("link_code_companion_reg")
        if request is None:
            return stanzas.reply(iq)
        try:
            return stanzas.reply(iq, self._link_by_code(request, waiting))
        except PhoneError:
            return stanzas.reply(iq, (_BAD_REQUEST,), kind="error")

    def _link_by_code(self, request: Node, waiting: Waiting) -> tuple[Node, ...]:
        desk = self._exchange.desk
        match request.text("stage"):
            case "companion_hello":
                number = _number_of(request)
                wrapped = _data(request, "link_code_pairing_wrapped_companion_ephemeral_pub")
                ref = desk.request_code(waiting, number.digits, wrapped)
                _note(self._exchange, What.CODE_REQUEST, self._line.caller, number=number)
                return (Node("link_code_companion_reg", {}, (Node("link_code_pairing_ref", {}, ref),)),)
            case "companion_finish":
                desk.take_bundle(
                    waiting,
                    _data(request, "link_code_pairing_ref"),
                    _data(request, "companion_identity_public"),
                    _data(request, "link_code_pairing_wrapped_key_bundle"),
                )
                return ()
            case "get_country_code":
                return (Node("link_code_companion_reg", {}, (Node("country_code", {"iso": "ES"}),)),)
            case _:
                raise PhoneError("an unknown stage of linking by code")


class _LoggedIn:
    """A client that says it is a device of an account."""

    def __init__(self, exchange: Exchange, line: Line) -> None:
        self._exchange = exchange
        self._line = line

    async def run(self, login: wire.Login) -> None:
        exchange, line = self._exchange, self._line
        account = exchange.book.find(login.user)
        device = account.devices.get(login.device) if account else None
        number = account.number if account else None
        who = Target(number=number, device=login.device, dialer=line.caller.dialer)
        failure = exchange.faults.meet_login(who)
        if failure is not None:
            await _fail(exchange, line, failure.scenario, who)
        elif account is None or device is None or device.noise_key != line.client_key:
            await _fail(exchange, line, _UNKNOWN_DEVICE, who)
        else:
            presence = Presence(account, device, line)
            try:
                await exchange.arrive(presence)
                await self._serve(presence, passive=login.passive)
            finally:
                exchange.depart(presence)

    async def _serve(self, presence: Presence, *, passive: bool) -> None:
        line = self._line
        await line.send(_success(presence, self._now))
        if not passive:
            await self._push_missed()
        async for node in line.nodes():
            match node.tag:
                case "iq":
                    await self._answer(node, presence)
                case "message" | "receipt":
                    if node.tag == "message":
                        _note(self._exchange, What.MESSAGE, line.caller, number=presence.account.number)
                    await line.send(stanzas.acknowledge(node, self._now))
                case "xmlstreamend":
                    line.hang_up()
                case _:
                    pass  # presence, chat states, acks and telemetry want no answer

    async def _answer(self, iq: Node, presence: Presence) -> None:
        line, exchange = self._line, self._exchange
        if iq.child("remove-companion-device") is not None:
            await line.send(stanzas.reply(iq))
            await exchange.remove(presence.account, presence.device)
            return
        asker = stanzas.Asker(presence.account, presence.device, exchange.book)
        await line.send(stanzas.answer(iq, asker))
        if iq.child("active") is not None and iq.text("xmlns") == "passive":
            caller = line.caller
            _note(exchange, What.ACTIVE, caller, number=presence.account.number, device=presence.device.number)
            await self._push_missed()
            # Only now is the client through with its login, so what is armed for a connected client happens here.
            met = exchange.faults.meet_online(presence.target)
            if met is not None:
                await exchange.inflict(met.scenario, presence)

    async def _push_missed(self) -> None:
        """Tell what happened while the client was away: nothing."""
        nothing: dict[str, AttributeValue] = dict.fromkeys(
            ("count", "message", "receipt", "notification", "appdata"), "0"
        )
        await self._line.send(Node("ib", {"from": SERVER}, (Node("offline_preview", nothing),)))
        await self._line.send(Node("ib", {"from": SERVER}, (Node("offline", {"count": "0"}),)))

    @property
    def _now(self) -> int:
        return int(self._exchange.clock())


async def _fail(exchange: Exchange, line: Line, failure: Failure, who: Target) -> None:
    _note(exchange, What.FAILURE, line.caller, number=who.number, device=who.device, detail=str(failure.reason))
    attrs: dict[str, AttributeValue] = {"reason": str(failure.reason)}
    if failure.code:
        attrs["code"] = str(failure.code)
    if failure.expire:
        attrs["expire"] = str(failure.expire)
    if failure.message:
        attrs["message"] = failure.message
    await line.end(Node("failure", attrs))
    await line.drain()


def _note(
    exchange: Exchange,
    what: What,
    caller: Caller,
    *,
    number: PhoneNumber | None = None,
    device: int | None = None,
    detail: str = "",
) -> None:
    exchange.journal.add(
        what, number=number, device=device, connection=caller.connection, dialer=caller.dialer, detail=detail
    )


def _success(presence: Presence, now: int) -> Node:
    account: Account = presence.account
    attrs: dict[str, AttributeValue] = {
        "t": str(now),
        "lid": account.hidden_jid(presence.device.number),
        "location": "loopback",
        "props": "0",
        "abprops": "0",
        "creation": str(presence.device.linked_at),
    }
    return Node("success", attrs)


def _number_of(request: Node) -> PhoneNumber:
    jid = request.jid("jid")
    try:
        return PhoneNumber(f"+{jid.user if jid else ''}")
    except ValueError:
        raise PhoneError("a code for what is no phone number") from None


def _data(node: Node, tag: str) -> bytes:
    child = node.child(tag)
    return child.data if child else b""
