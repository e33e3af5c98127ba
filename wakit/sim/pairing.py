"""Pairing: clients that wait to be linked, and the phones that link them.

An unpaired client is given *refs*, each of which it shows as a QR code for a while; or it asks for a code to be typed
on the phone of a number. Either way it stays a :class:`Waiting` here until a phone acts. Then the phone's part
(:mod:`wakit.sim.phone`) is carried over the client's line, the new device is written down, and only then is the client
told to come again as a device (stream error 515): it will dial at once, and must be known by then.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from wakit.sim import phone, wire
from wakit.sim.accounts import Account, AccountBook, Device, PreKey
from wakit.sim.curve import DJB_TYPE, KeyPair, agree, verify
from wakit.sim.faults import FaultBook
from wakit.sim.line import Line
from wakit.sim.nodes import SERVER, AttributeValue, Node
from wakit.sim.phone import PhoneError
from wakit.sim.scenarios import (
    Target,
)

FIRST_REF_LIFE: Final = 60.0
REF_LIFE: Final = 20.0
REF_GRACE: Final = 10.0
"""A ref lives as long as clients show it (60 s, then 20 s each), and a little longer for a scan on its way."""
_FINISH_PATIENCE: Final = 15.0
_RESTART_NEEDED = Node("stream:error", {"code": "515"})


@dataclass(slots=True, repr=False)
class CodeRequest:
    """A client's wish for a code to be typed on the phone of ``user``."""

    user: str
    ref: bytes
    wrapped_ephemeral: bytes
    bundle: asyncio.Future[bytes] | None = None
    """The client's half, once a code was typed and the client is expected to answer."""

    def give_up(self, why: str) -> None:
        """Let down the phone that waits for the client's half, if one does."""
        if self.bundle is not None and not self.bundle.done():
            self.bundle.set_exception(PhoneError(why))


@dataclass(slots=True, repr=False)
class Waiting:
    """A client that waits to be linked."""

    line: Line
    registration: wire.Registration
    refs: dict[str, float]
    """Each ref and the moment it stops being good, on the loop's clock."""
    code: CodeRequest | None = None

    @property
    def ends(self) -> float:
        """The moment the last ref stops being good."""
        return max(self.refs.values())


class PairingDesk:
    """Where clients wait and phones come.

    Args:
        book: The accounts.
        faults: The armed scenarios; here, the accounts that want a passkey.
        clock: Unix seconds, for what is signed.
    """

    def __init__(self, book: AccountBook, faults: FaultBook, clock: Callable[[], float]) -> None:
        self._book = book
        self._faults = faults
        self._clock = clock
        self._waiting: list[Waiting] = []
        self.refs_per_client = 6

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The clients that wait now, the oldest first."""
        return tuple(self._waiting)

    def admit(self, line: Line, registration: wire.Registration) -> Waiting:
        """Give a client its refs.

        Raises:
            PhoneError: Its signed prekey is not signed by its identity key.
        """
        key = registration.signed_prekey
        if not verify(registration.identity, DJB_TYPE + key.public, key.signature):
            raise PhoneError("a registration whose signed prekey does not verify")
        start = asyncio.get_running_loop().time() + FIRST_REF_LIFE + REF_GRACE
        refs = {_fresh_ref(): start + REF_LIFE * index for index in range(self.refs_per_client)}
        waiting = Waiting(line, registration, refs)
        self._waiting.append(waiting)
        return waiting

    def leave(self, waiting: Waiting) -> None:
        """Forget a client that has gone, or was linked."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if waiting.code is not None:
            waiting.code.give_up("the client went away")

    async def scan(self, account: Account, text: str) -> Device:
        """Let a phone scan a QR code; returns the device that was linked.

        Raises:
            PhoneError: The text is no QR code, its time is over, or the client does not prove itself.
        """
        code = phone.read_qr(text)
        now = asyncio.get_running_loop().time()
        waiting = next((each for each in self._waiting if each.refs.get(code.ref, 0.0) > now), None)
        if waiting is None:
            raise PhoneError("this QR code is not valid any more")
        if (code.noise_key, code.identity) != (waiting.line.client_key, waiting.registration.identity):
            raise PhoneError("this QR code names other keys than the client that shows it")
        return await self._link(account, waiting, code.secret)

    def request_code(self, waiting: Waiting, user: str, wrapped_ephemeral: bytes) -> bytes:
        """Take a client's wish for a code; return the ref that names it.

        Raises:
            PhoneError: The wrapped key has the wrong size.
        """
        if len(wrapped_ephemeral) != phone.WRAPPED_SIZE:
            raise PhoneError("a wrapped key of the wrong size")
        if waiting.code is not None:
            waiting.code.give_up("the client asked for another code")
        waiting.code = CodeRequest(user, _fresh_ref().encode(), wrapped_ephemeral)
        return waiting.code.ref

    def take_bundle(self, waiting: Waiting, ref: bytes, identity: bytes, bundle: bytes) -> None:
        """Take the client's half of a code pairing.

        Raises:
            PhoneError: It belongs to no code that was typed, or names another identity.
        """
        code = waiting.code
        if code is None or code.bundle is None or code.ref != ref or identity != waiting.registration.identity:
            raise PhoneError("a key bundle for a code that was not typed")
        if not code.bundle.done():
            code.bundle.set_result(bundle)

    async def type_code(self, account: Account, text: str) -> Device:
        """Let a code be typed on a phone; returns the device that was linked.

        Raises:
            PhoneError: No client asked for a code of this number, the code is wrong, or the client fails its proof.
        """
        code = phone.plain_code(text)
        waiting = next((each for each in reversed(self._waiting) if each.code and each.code.user == account.user), None)
        if waiting is None or waiting.code is None:
            raise PhoneError("no client waits for a code of this number")
        companion = await asyncio.to_thread(phone.unwrap_ephemeral, code, waiting.code.wrapped_ephemeral)
        ephemeral = KeyPair.generate()
        try:
            typed = phone.TypedCode(account.keys, agree(ephemeral.private, companion))
        except ValueError:
            raise PhoneError("the code is wrong") from None
        wrapped = await asyncio.to_thread(phone.wrap_ephemeral, code, ephemeral.public)
        bundle = await self._exchange(waiting, waiting.code, wrapped, account.keys.public)
        return await self._link(account, waiting, typed.open_bundle(bundle, waiting.registration.identity))

    async def _exchange(self, waiting: Waiting, code: CodeRequest, wrapped: bytes, identity: bytes) -> bytes:
        code.give_up("the code was typed again")
        code.bundle = asyncio.get_running_loop().create_future()
        await waiting.line.send(_typed_notification(code.ref, wrapped, identity, self._clock()))
        try:
            async with asyncio.timeout(_FINISH_PATIENCE):
                return await code.bundle
        except TimeoutError:
            raise PhoneError("the client did not answer the typed code") from None

    async def _link(self, account: Account, waiting: Waiting, secret: bytes) -> Device:
        who = Target(number=account.number, dialer=waiting.line.caller.dialer)
        if self._faults.meet_linking(who) is not None:
            await waiting.line.send(_passkey_request(self._clock()))
            raise PhoneError("this account wants a passkey from the client first")
        registration = waiting.registration
        number = self._book.next_device_number(account)
        now = int(self._clock())
        details = wire.device_details(raw_id=account.raw_id, timestamp=now, key_index=number)
        identity = phone.sign_companion(account.keys, registration.identity, details)
        node = _pair_success(account, number, phone.seal_identity(identity, secret), now)
        try:
            answer = await waiting.line.ask(node)
        except (TimeoutError, ConnectionError):
            raise PhoneError("the client went away while it was being linked") from None
        _check_answer(answer, identity, registration.identity)
        device = Device(
            number=number,
            noise_key=waiting.line.client_key,
            identity=registration.identity,
            registration_id=registration.registration_id,
            signed_prekey=PreKey(
                registration.signed_prekey.number,
                registration.signed_prekey.public,
                registration.signed_prekey.signature,
            ),
            platform=registration.platform,
            linked_at=now,
        )
        self._book.link(account, device)
        self.leave(waiting)
        await waiting.line.end(_RESTART_NEEDED)
        return device


def pair_device(refs: list[str]) -> Node:
    """Return the question that gives a client its refs."""
    children = tuple(Node("ref", {}, ref.encode()) for ref in refs)
    return Node("iq", {"type": "set", "xmlns": "md"}, (Node("pair-device", {}, children),))


def _pair_success(account: Account, device: int, sealed: bytes, now: int) -> Node:
    success = Node(
        "pair-success",
        {},
        (
            Node("device-identity", {}, sealed),
            Node("biz", {"name": "wakit sim"}),
            Node("device", {"jid": account.jid(device), "lid": account.hidden_jid(device)}),
            Node("platform", {"name": "android"}),
        ),
    )
    return Node("iq", {"type": "set", "xmlns": "md", "t": str(now)}, (success,))


def _typed_notification(ref: bytes, wrapped: bytes, identity: bytes, now: float) -> Node:
    content = (
        Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, wrapped),
        Node("primary_identity_pub", {}, identity),
        Node("link_code_pairing_ref", {}, ref),
    )
    attrs: dict[str, AttributeValue] = {
        "from": SERVER,
        "type": "link_code_companion_reg",
        "id": secrets.token_hex(8).upper(),
        "t": str(int(now)),
    }
    return Node("notification", attrs, (Node("link_code_companion_reg", {"stage": "primary_hello"}, content),))


def _passkey_request(now: float) -> Node:
    attrs: dict[str, AttributeValue] = {
        "from": SERVER,
        "type": "passkey_prologue_request",
        "id": secrets.token_hex(8).upper(),
        "t": str(int(now)),
    }
    options = {
        "challenge": secrets.token_urlsafe(32),
        "rpId": "web.whatsapp.com",
        "allowCredentials": [],
        "timeout": 60_000,
        "userVerification": "required",
    }
    content = Node("passkey_request_options", {}, json.dumps(options).encode())
    return Node("notification", attrs, (content,))


def _check_answer(answer: Node, sent: wire.DeviceIdentity, identity: bytes) -> None:
    if answer.text("type") == "error":
        error = answer.child("error")
        raise PhoneError(f"the client refused: {error.text('code') if error else '?'}")
    signed = answer.child("pair-device-sign", "device-identity")
    if signed is None:
        raise PhoneError("the client did not sign its identity")
    try:
        phone.check_companion_signature(sent, wire.read_identity(signed.data), identity)
    except wire.WireError as error:
        raise PhoneError(str(error)) from error


def _fresh_ref() -> str:
    return "2@" + base64.b64encode(secrets.token_bytes(96)).decode()
