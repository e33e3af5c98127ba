"""The Python side of the widgets; the test's loop stands for the kernel's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
import segno
from served_fleet import PAYLOAD, ServedFleet, session

from wakit.control.schemas import EventInfo, EventLogged, PairingShown, SessionInfo
from wakit.errors import JournalError
from wakit.notebook.fleet import Fleet
from wakit.notebook.snapshot import Snapshot
from wakit.notebook.widgets.board import Board, difference, everything
from wakit.notebook.widgets.pairing import Pairing, Phase, Progress, phase_of
from wakit.notebook.widgets.qr import modules

PHONE = "+34600000001"


class Browser:
    """Hears what a widget sends, and says what a view would."""

    def __init__(self, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.widget = widget
        self.heard: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        monkeypatch.setattr(widget, "send", self._hear)

    def _hear(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.heard.append(json.loads(json.dumps(content)))  # it must be JSON
        self._news.set()

    def say(self, **content: Any) -> None:
        self.widget._handle_custom_msg(content, [])

    async def hears(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                if found := [message for message in self.heard if wanted(message)]:
                    return found[-1]
                self._news.clear()
                await self._news.wait()

    async def shows(self, phase: str) -> dict[str, Any]:
        return await self.hears(lambda message: self.heard[-1] is message and message["phase"] == phase)


@pytest.fixture
async def board(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    widget = Board(fleet._link, fleet._begin_pairing, loop=asyncio.get_running_loop())
    browser = Browser(widget, monkeypatch)
    await browser.hears(lambda message: bool(message.get("past")))  # the journal was asked, and nothing more is to come
    browser.heard.clear()
    yield browser
    widget.close()


@pytest.fixture
async def pairing(fleet: Fleet, served: ServedFleet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    served.do(lambda fake: fake.change("sales", "declared"))
    fleet._link.when(lambda now: now.sessions["sales"].state == "declared", 10).result()
    widget = Pairing("sales", fleet._link, loop=asyncio.get_running_loop())
    await asyncio.to_thread(served.readers, 2)
    yield Browser(widget, monkeypatch)
    widget.close()
    await asyncio.to_thread(served.readers, 1)


async def test_board_opens_with_the_table_and_answers_a_view(board: Browser) -> None:
    opening = board.widget.opening
    assert [row["name"] for row in opening["rows"]] == ["sales", "support"]
    assert opening["fleet"]["reachable"]
    board.say(type="hello")
    (answer,) = board.heard
    assert answer["type"] == "all"
    assert answer["rows"] == opening["rows"]


async def test_board_sends_only_what_changed(board: Browser, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "reconnecting", reason="dropped", attempt=2))
    message = await board.hears(lambda message: message["type"] == "changes" and bool(message["rows"]))
    (row,) = message["rows"]
    assert (row["name"], row["state"], row["status"], row["attempt"]) == ("sales", "reconnecting", "disconnected", 2)
    assert message["fleet"] is None
    assert message["gone"] == []
    assert [row["state"] for row in board.widget.opening["rows"]] == ["connected", "connected"]  # written once only


async def test_a_burst_is_a_few_messages(board: Browser, served: ServedFleet) -> None:
    """Ten thousand events, each in the journal and each another state: what a browser gets is what is left of them."""
    states = ("reconnecting", "connected")

    def burst(fake: Any) -> None:
        for n in range(10_000):
            fake.change("sales", states[n % 2], attempt=n)
            fake.log(session="sales", state_from=states[1 - n % 2], state_to=states[n % 2])
        fake.change("sales", "connected", reason="the last one")

    loop = asyncio.get_running_loop()
    begun = loop.time()
    await loop.run_in_executor(None, lambda: served.do(burst))
    await board.hears(lambda message: any(row["reason"] == "the last one" for row in message.get("rows", ())))
    assert len(board.heard) <= 5 + 4 * (loop.time() - begun)  # four a second however long a slow machine takes for it


async def test_a_cell_that_computes_loses_nothing_and_costs_one_message(
    board: Browser, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it does, its loop stands still; so does this one here, for as long as the link needs to hear all of it."""
    served.do(lambda fake: fake.change("sales", "reconnecting", attempt=0))
    await board.hears(lambda message: any(row["attempt"] == 0 for row in message.get("rows", ())))
    board.heard.clear()
    link, events = board.widget._link, []
    happened = link.past.happened
    monkeypatch.setattr(link.past, "happened", lambda event: (events.append(event.seq), happened(event)))

    def meanwhile(fake: Any) -> None:
        for n in range(1, 501):
            fake.log(session="sales", state_to="reconnecting", detail={"attempt": n})
            fake.change("sales", "reconnecting", attempt=n)
            fake.change("support", "failed" if n % 2 else "connected", reason=str(n))

    served.do(meanwhile)
    # The loop stands still; a state is told at its latest, and may come before the events that led to it.
    link.when(lambda now: now.sessions["support"].reason == "500" and now.newest_event == 500, 20).result()
    assert events == list(range(1, 501)), "an event was lost"
    assert board.heard == []
    await board.hears(lambda message: True)
    (message,) = board.heard
    assert {row["name"]: (row["attempt"], row["reason"]) for row in message["rows"]} == {
        "sales": (500, ""),
        "support": (0, "500"),
    }


async def test_the_last_hour_is_asked_for_once_and_then_followed(
    fleet: Fleet, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    lost = int((now - timedelta(minutes=20)).timestamp() * 1000)
    first, second = (
        {"seq": n + 1, "at": lost + n * 60_000, "session": "sales", "was": was, "state": state, "run_id": "run-1"}
        for n, (was, state) in enumerate([("connected", "reconnecting"), ("reconnecting", "connected")])
    )
    served.fake.recent = [first, second]
    boards = [
        Browser(Board(fleet._link, fleet._begin_pairing, loop=asyncio.get_running_loop()), monkeypatch) for _ in "12"
    ]
    for board in boards:
        told = await board.hears(lambda message: "sales" in message.get("past", {}))
        hour = told["past"]["sales"]
        assert (hour["kind"], hour["whole"]) == ("connected", True)
        assert sum(down for _, _, down, _ in hour["minutes"]) == 60_000
        board.heard.clear()
    event = EventInfo(seq=3, ts=now, kind="state", session="sales", state_from="connected", state_to="failed")
    served.do(lambda fake: fake.tell(EventLogged(event=event)))
    for board in boards:
        told = await board.hears(lambda message: "sales" in message.get("past", {}))
        hour = told["past"]["sales"]
        assert (hour["kind"], hour["whole"]) == ("failed", False)
        assert len(hour["minutes"]) <= 21  # not the forty minutes before the last change
        board.say(type="hello")
        told = await board.hears(lambda message: message["type"] == "all")
        assert told["past"]["sales"]["whole"]
        assert told["past"]["sales"]["minutes"][-1][1] == "failed"
        assert (
            "past" not in board.widget.get_state()["opening"] or board.widget.opening["past"] == {}
        )  # saved: none of it
        board.widget.close()
    assert served.fake.recalled == 1


async def test_a_board_without_a_journal_still_knows_since_when(
    fleet: Fleet, served: ServedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: Any, **__: Any) -> bytes:
        raise JournalError("The journal cannot be read now")

    monkeypatch.setattr(served.fake, "sql", refuses)
    board = Browser(Board(fleet._link, fleet._begin_pairing, loop=asyncio.get_running_loop()), monkeypatch)
    told = await board.hears(lambda message: "sales" in message.get("past", {}))
    assert told["past"]["sales"]["kind"] == "connected"
    board.widget.close()


async def test_board_says_when_the_daemon_is_gone(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedFleet(folder, "sales")
    with served.up():
        fleet = Fleet(folder / "sessions.toml", folder)
        board = Browser(Board(fleet._link, fleet._begin_pairing, loop=asyncio.get_running_loop()), monkeypatch)
    with fleet:
        gone = await board.hears(lambda m: bool(m["fleet"]) and not m["fleet"]["reachable"])
        assert gone["rows"] == []  # the table stays as it was last known
        with served.up():
            await board.hears(lambda m: bool(m["fleet"]) and m["fleet"]["reachable"])
        board.widget.close()


@pytest.mark.parametrize("verb", ["restart", "park", "resume"])
async def test_row_buttons(board: Browser, served: ServedFleet, verb: str) -> None:
    board.say(type=verb, session="sales", id="1")
    answer = await board.hears(lambda message: message.get("id") == "1")
    assert answer["error"] is None
    assert (verb, "sales") in served.fake.orders
    board.say(type=verb, session="nobody", id="2")
    answer = await board.hears(lambda message: message.get("id") == "2")
    assert "No session is called nobody" in answer["error"]
    board.say(type="pair", session="sales", id="3")
    answer = await board.hears(lambda message: message.get("id") == "3")
    assert answer["widget"].startswith("anywidget:")


@pytest.mark.parametrize(
    "nonsense", [{}, {"type": 7}, {"type": "restart", "session": ["x"], "id": "1"}, {"type": "quit"}]
)
async def test_board_ignores_what_it_does_not_know(
    board: Browser, served: ServedFleet, nonsense: dict[str, Any]
) -> None:
    board.say(**nonsense)
    assert board.heard == []
    assert served.fake.orders == []


def snapshot(*sessions: SessionInfo) -> Snapshot:
    return Snapshot(MappingProxyType({s.name: s for s in sessions}), reachable=True)


def test_difference_tells_order_and_departures() -> None:
    a, b, c = session("a"), session("b"), session("c")
    old = snapshot(a, b)
    assert difference(old, old, 0) is None
    assert difference(old, snapshot(a, session("b")), 0) is None  # equal is equal
    gone = difference(old, snapshot(b), 0)
    assert gone is not None
    assert (gone["gone"], gone["order"]) == (["a"], None)
    added = difference(old, snapshot(a, b, c), 0)
    assert added is not None
    assert ([row["name"] for row in added["rows"]], added["order"]) == (["c"], None)
    moved = difference(old, snapshot(c, b, a), 0)
    assert moved is not None
    assert moved["order"] == ["c", "b", "a"]


def test_board_of_500_is_cheap_to_compare() -> None:
    """A step costs the size of the change: equal objects are not looked into (a counted comparison would be)."""
    compared = 0

    class Counted(SessionInfo):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = None  # type: ignore[assignment]

    fleet = [Counted(**session(f"s{n}").model_dump()) for n in range(500)]
    changed = [*fleet[:499], fleet[499].model_copy(update={"state": "failed"})]
    message = difference(snapshot(*fleet), snapshot(*changed), 0)
    assert message is not None
    assert len(message["rows"]) == 1
    assert compared == 1
    assert len(everything(snapshot(*fleet), 0)["rows"]) == 500


# Pairing


def info(state: str, **more: Any) -> SessionInfo:
    return session("sales", state, **{"paired": False, **more})


def shown(event: str) -> PairingShown:
    return PairingShown(session="sales", event=event, expires_at=datetime.now(UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "progress", "phase"),
    [
        (info("declared"), Progress.IDLE, Phase.CHOOSE),
        (info("declared"), Progress.ASKED, Phase.WAITING),
        (info("declared", needs_person=True), Progress.ASKED, Phase.WAITING),  # it was so before we asked
        (info("declared", needs_person=True), Progress.SHOWN, Phase.EXPIRED),
        (info("declared"), Progress.UNDER_WAY, Phase.WAITING),  # waits for its turn
        (info("starting"), Progress.UNDER_WAY, Phase.WAITING),
        (info("pairing"), Progress.IDLE, Phase.CHOOSE),
        (info("paired", paired=True), Progress.SHOWN, Phase.LINKED),
        (info("starting", paired=True), Progress.SHOWN, Phase.LINKED),
        (info("starting", paired=True), Progress.UNDER_WAY, Phase.WAITING),  # linked before, being linked anew
        (info("reconnecting"), Progress.UNDER_WAY, Phase.WAITING),
        (info("reconnecting", paired=True), Progress.IDLE, Phase.CHOOSE),
        (info("connected", paired=True), Progress.IDLE, Phase.CONNECTED),
        (info("connected", paired=True), Progress.ASKED, Phase.WAITING),
        (info("degraded", paired=True), Progress.SHOWN, Phase.CONNECTED),
        (info("passkey_required"), Progress.SHOWN, Phase.PASSKEY),
        (info("passkey_required"), Progress.ASKED, Phase.WAITING),
        (info("logged_out"), Progress.IDLE, Phase.CHOOSE),
        (info("failed"), Progress.SHOWN, Phase.FAILED),
        (info("banned"), Progress.UNDER_WAY, Phase.FAILED),
        (info("parked", paired=True), Progress.IDLE, Phase.CHOOSE),
        (None, Progress.SHOWN, Phase.UNKNOWN),
    ],
)
def test_phase(now: SessionInfo | None, progress: Progress, phase: Phase) -> None:
    assert phase_of(now, None, progress, reachable=True) is phase
    assert phase_of(now, None, progress, reachable=False) is Phase.GONE


def test_phase_shows_what_is_there_to_be_shown() -> None:
    assert phase_of(info("pairing"), shown("qr"), Progress.SHOWN, reachable=True) is Phase.QR
    assert phase_of(info("pairing"), shown("code"), Progress.SHOWN, reachable=True) is Phase.CODE


async def test_pairing_by_qr_until_connected(pairing: Browser, served: ServedFleet) -> None:
    pairing.say(type="hello")
    await pairing.shows("choose")
    served.fake.on_pair = lambda name, _: served.fake.change(name, "starting")
    pairing.say(type="pair", method="qr", phone=None)
    await pairing.shows("waiting")
    await asyncio.wrap_future(pairing.widget._link.session_when("sales", lambda now: now.state == "starting", 10))
    served.do(lambda fake: fake.change("sales", "pairing"))
    served.do(lambda fake: fake.show("sales", seconds=60))
    view = await pairing.shows("qr")
    assert view["rows"] == modules(PAYLOAD)
    assert 55_000 < view["left"] <= 60_000
    served.do(lambda fake: fake.show("sales", payload=PAYLOAD + "2", seconds=20))
    renewed = await pairing.hears(lambda m: m["phase"] == "qr" and m["serial"] > view["serial"])
    assert renewed["rows"] != view["rows"]
    served.do(lambda fake: (fake.unshow("sales"), fake.change("sales", "paired", paired=True)))
    await pairing.shows("linked")
    served.do(lambda fake: fake.change("sales", "connected", paired=True))
    await pairing.shows("connected")
    ((order, (name, request)),) = served.fake.orders
    assert (order, name, request.method) == ("pair", "sales", "qr")


async def test_pairing_by_code_with_a_number_typed_in(pairing: Browser, served: ServedFleet) -> None:
    codes = iter(["ABCD-2345", "EFGH-6789"])
    served.fake.on_pair = lambda name, _: (
        served.fake.change(name, "pairing"),
        served.fake.show(name, payload=None, code=next(codes), seconds=150),
    )
    pairing.say(type="pair", method="code", phone="+34 600-000-001")
    view = await pairing.hears(lambda m: m.get("code") == "ABCD-2345")
    assert view["phase"] == "code"
    assert "rows" not in view
    pairing.say(type="pair", method="code", phone=None)  # "New code": the number is not asked for twice
    await pairing.hears(lambda m: m.get("code") == "EFGH-6789")
    assert [(request.method, request.phone) for _, (_, request) in served.fake.orders] == [("code", PHONE)] * 2


async def test_codes_that_run_out_are_told_and_can_be_renewed(pairing: Browser, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "pairing"))
    served.do(lambda fake: fake.show("sales"))
    await pairing.shows("qr")
    served.do(
        lambda fake: (
            fake.unshow("sales"),
            fake.change("sales", "declared", needs_person=True, reason="nobody scanned"),
        )
    )
    view = await pairing.shows("expired")
    assert view["reason"] == "nobody scanned"
    assert view["method"] == "qr"


async def test_an_expired_secret_is_not_sent(pairing: Browser, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "pairing"))
    served.do(lambda fake: fake.show("sales", seconds=-1))
    served.do(lambda fake: fake.show("sales", seconds=60))
    await pairing.shows("qr")
    assert [m["left"] > 0 for m in pairing.heard if "left" in m] == [True]


async def test_wrong_number_and_refusal_are_told(pairing: Browser, served: ServedFleet) -> None:
    pairing.say(type="pair", method="code", phone="0049")
    view = await pairing.hears(lambda m: bool(m["error"]))
    assert "number" in view["error"]
    assert "0049" not in view["error"]
    assert view["phase"] == "choose"
    assert served.fake.orders == []
    served.do(lambda fake: fake.sessions.pop("sales"))
    pairing.say(type="pair", method="qr", phone=None)
    view = await pairing.hears(lambda m: "No session is called" in m["error"])


@pytest.mark.parametrize("nonsense", [{}, {"type": "pair"}, {"type": "pair", "method": "smoke"}, {"type": 1}])
async def test_pairing_ignores_what_it_does_not_know(
    pairing: Browser, served: ServedFleet, nonsense: dict[str, Any]
) -> None:
    pairing.say(**nonsense)
    assert pairing.heard == []
    assert served.fake.orders == []


async def test_no_secret_in_what_ipywidgets_saves_or_anyone_prints(pairing: Browser, served: ServedFleet) -> None:
    pairing.say(type="pair", method="code", phone=PHONE)
    served.do(lambda fake: fake.change("sales", "pairing"))
    served.do(lambda fake: fake.show("sales", payload=None, code="ABCD-2345"))
    await pairing.shows("code")
    served.do(lambda fake: fake.show("sales"))
    await pairing.shows("qr")
    saved = json.dumps(pairing.widget.get_state(), default=repr)
    printed = repr(pairing.widget) + repr(pairing.widget.__dict__)
    for secret in (PAYLOAD, "ABCD-2345", PHONE, PHONE[1:], *modules(PAYLOAD)[3:6]):
        assert secret not in saved
        assert secret not in printed
    state = {key for key in pairing.widget.keys if not key.startswith("_")}
    assert state == {"session", "layout", "tabbable", "tooltip"}


async def test_closed_widget_holds_nothing(pairing: Browser, served: ServedFleet) -> None:
    served.do(lambda fake: fake.show("sales"))
    await pairing.shows("qr")
    pairing.widget.close()
    assert pairing.widget._shown is None
    await asyncio.to_thread(served.readers, 1)


def test_qr_is_the_whole_payload_at_level_l() -> None:
    rows = modules(PAYLOAD)
    symbol = segno.make(PAYLOAD, error="l", boost_error=False)
    assert symbol.error == "L"
    assert len(rows) == symbol.symbol_size(border=0)[0]
    assert {*"".join(rows)} == {"0", "1"}
