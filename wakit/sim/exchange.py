"""The exchange: everything the connections of one sim share, and what its phones and scenarios do to them.

Conversations (:mod:`wakit.sim.conversation`) report here who is present; the admin interface acts here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, assert_never

from wakit.errors import WakitError
from wakit.redact import PhoneNumber
from wakit.sim.accounts import Account, AccountBook, Device
from wakit.sim.codec import TokenTable
from wakit.sim.faults import FaultBook
from wakit.sim.journal import Journal
from wakit.sim.line import Credentials, Line
from wakit.sim.nodes import AttributeValue, Node
from wakit.sim.pairing import PairingDesk
from wakit.sim.phone import PhoneError
from wakit.sim.requests import (
    AccountStatus,
    DeviceStatus,
    PendingPairing,
    What,
)
from wakit.sim.scenarios import (
    Deaf,
    Drop,
    OnlineScenario,
    PhoneReads,
    PhoneWrites,
    Replaced,
    StreamError,
    Target,
)

REPLACED: Final = Node("stream:error", {}, (Node("conflict", {"type": "replaced"}),))
DEVICE_REMOVED: Final = Node("stream:error", {"code": "401"}, (Node("conflict", {"type": "device_removed"}),))


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """A connection that is logged in as a device."""

    account: Account
    device: Device
    line: Line

    @property
    def target(self) -> Target:
        """Who this is, in the terms scenarios are armed in."""
        return Target(number=self.account.number, device=self.device.number, dialer=self.line.caller.dialer)


class Exchange:
    """The shared state of one sim.

    Args:
        tokens: The dictionaries.
        credentials: What the server proves itself with.
        book: The accounts.
        clock: Unix seconds.
    """

    def __init__(
        self, tokens: TokenTable, credentials: Credentials, book: AccountBook, clock: Callable[[], float]
    ) -> None:
        self.tokens = tokens
        self.credentials = credentials
        self.book = book
        self.clock = clock
        self.journal = Journal(clock)
        self.faults = FaultBook()
        self.desk = PairingDesk(book, self.faults, clock)
        self._present: defaultdict[tuple[str, int], list[Presence]] = defaultdict(list)
        self._most_at_once: Counter[tuple[str, int]] = Counter()

    async def arrive(self, presence: Presence) -> None:
        """Note a login; an older connection of the same device is told that it was replaced."""
        key = (presence.account.user, presence.device.number)
        older = [each for each in self._present[key] if not each.line.ended]
        self._present[key].append(presence)
        self._most_at_once[key] = max(self._most_at_once[key], len(older) + 1)
        self._note(What.LOGIN, presence)
        for each in older:
            await self._replace(each)

    def depart(self, presence: Presence) -> None:
        """Note that a connection is gone."""
        present = self._present[presence.account.user, presence.device.number]
        if presence in present:
            present.remove(presence)

    async def strike(self, scenario: OnlineScenario, target: Target) -> int:
        """Let a scenario happen now to every live connection of the target; return to how many."""
        struck = [each for each in self._live() if target.fits(each.target)]
        for presence in struck:
            await self.inflict(scenario, presence)
        return len(struck)

    async def inflict(self, scenario: OnlineScenario, presence: Presence) -> None:
        """Let a scenario happen to one connection."""
        match scenario:
            case Drop():
                self._note(What.SCENARIO, presence, "drop")
                presence.line.drop()
            case Replaced():
                await self._replace(presence)
            case StreamError(code=code):
                self._note(What.STREAM_ERROR, presence, str(code))
                await presence.line.end(Node("stream:error", {"code": str(code)}))
            case Deaf():
                self._note(What.SCENARIO, presence, "deaf")
                presence.line.deaf = True
            case PhoneWrites():
                if presence.account.online:
                    self._note(What.SCENARIO, presence, "phone-writes")
                    await presence.line.send(self._from_phone("message", presence.account, "text", Node("unavailable")))
            case PhoneReads(kind=kind):
                if presence.account.online:
                    self._note(What.SCENARIO, presence, "phone-reads")
                    await presence.line.send(self._from_phone("receipt", presence.account, kind))
            case _:
                assert_never(scenario)

    def _from_phone(self, tag: str, account: Account, kind: str, *content: Node) -> Node:
        """What the devices of an account are told that its phone did, in the chat with itself."""
        attrs: dict[str, AttributeValue] = {
            "from": account.jid(),
            "recipient": account.jid(),
            "id": token_hex(8).upper(),
            "t": str(int(self.clock())),
            "type": kind,
        }
        return Node(tag, attrs, content)

    async def scan(self, number: PhoneNumber, text: str) -> Device:
        """Let a phone scan a QR code; raises PhoneError, noted in the journal."""
        return await self._pair(self._phone(number), text, self.desk.scan)

    async def type_code(self, number: PhoneNumber, code: str) -> Device:
        """Let a code be typed on a phone; raises PhoneError, noted in the journal."""
        return await self._pair(self._phone(number), code, self.desk.type_code)

    async def _pair(self, account: Account, text: str, act: Callable[[Account, str], Awaitable[Device]]) -> Device:
        try:
            device = await act(account, text)
        except PhoneError as error:
            self.journal.add(What.PAIRING_FAILED, number=account.number, detail=str(error))
            raise
        self.journal.add(What.PAIRED, number=account.number, device=device.number)
        return device

    async def unlink(self, number: PhoneNumber, device: int | None) -> int:
        """Remove one device (or every one) on the phone; return how many.

        Raises:
            WakitError: The phone is offline, or has no such device.
        """
        account = self._phone(number)
        chosen = [each for each in account.devices.values() if device in (None, each.number)]
        if device is not None and not chosen:
            raise WakitError("This phone has no such device", hint="`status` lists its devices")
        for each in chosen:
            await self.remove(account, each)
        return len(chosen)

    async def remove(self, account: Account, device: Device) -> None:
        """Forget a device and tell its connections."""
        self.book.unlink(account, device.number)
        self.journal.add(What.UNLINKED, number=account.number, device=device.number)
        for presence in tuple(self._present[account.user, device.number]):
            await presence.line.end(DEVICE_REMOVED)

    def set_online(self, number: PhoneNumber, online: bool) -> int:
        """Switch a phone off or on; return how many devices are linked to it (they stay connected)."""
        account = self.book.open(number)
        account.online = online
        self.book.save(account)
        return len(account.devices)

    def _phone(self, number: PhoneNumber) -> Account:
        account = self.book.open(number)
        if not account.online:
            raise PhoneError("the phone is offline")
        return account

    async def _replace(self, presence: Presence) -> None:
        self._note(What.REPLACED, presence)
        await presence.line.end(REPLACED)

    def _live(self) -> list[Presence]:
        return [each for present in self._present.values() for each in present if not each.line.ended]

    def _note(self, what: What, presence: Presence, detail: str = "") -> None:
        self.journal.add(
            what,
            number=presence.account.number,
            device=presence.device.number,
            connection=presence.line.caller.connection,
            dialer=presence.line.caller.dialer,
            detail=detail,
        )

    def accounts(self) -> tuple[AccountStatus, ...]:
        """Return every account with its devices and their counters."""
        return tuple(
            AccountStatus(
                number=account.number,
                online=account.online,
                devices=tuple(self._device_status(account, device) for device in account.devices.values()),
            )
            for account in self.book
        )

    def _device_status(self, account: Account, device: Device) -> DeviceStatus:
        number, key = account.number, (account.user, device.number)
        return DeviceStatus(
            device=device.number,
            platform=device.platform,
            linked_at=device.linked_at,
            connected=any(not each.line.ended for each in self._present[key]),
            logins=self.journal.count(number, device.number, What.LOGIN),
            replaced=self.journal.count(number, device.number, What.REPLACED),
            failures=self.journal.count(number, device.number, What.FAILURE),
            most_at_once=self._most_at_once[key],
            prekeys=len(device.prekeys),
        )

    def pending(self) -> tuple[PendingPairing, ...]:
        """Return the clients that wait to be linked."""
        return tuple(
            PendingPairing(
                connection=waiting.line.caller.connection,
                dialer=waiting.line.caller.dialer,
                platform=waiting.registration.platform,
                refs=len(waiting.refs),
                code_for=PhoneNumber(f"+{waiting.code.user}") if waiting.code else None,
            )
            for waiting in self.desk.waiting
        )
