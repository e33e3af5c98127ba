from __future__ import annotations

import asyncio
import doctest
import functools
import json
import logging
import socket
import string
from collections.abc import MutableMapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote

import pytest
import segno
from fake_fleet import BACKUP, PAYLOAD, FakeFleet, session
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from wakit import errors
from wakit.control import address, calls, finding, refusals
from wakit.control.client import Client, SyncClient
from wakit.control.schemas import ActionInfo, OutageInfo, live
from wakit.control.server import create_app, outbox, serve_unix
from wakit.core.breaker import Trouble
from wakit.core.declaration import SESSION_NAME
from wakit.errors import (
    ControlError,
    DeclarationError,
    HeldError,
    Location,
    NoDaemonError,
    QueryError,
    UnknownSessionError,
    WakitError,
)

HERE = Path(__file__).parent


async def raw(folder: Path, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Speak HTTP by hand, so that what is tested is the wire and not our own client."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_unix_connection(str(folder / "control.sock"))
        try:
            writer.write(request)
            answer = await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


async def get(folder: Path, path: str) -> tuple[int, dict[str, str], bytes]:
    return await raw(folder, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


async def post(folder: Path, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return await raw(folder, head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.mark.parametrize("module", [address, refusals, finding, outbox, live])
async def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


async def test_status_is_the_documented_shape(client: Client, folder: Path) -> None:
    status, _, body = await get(folder, "/v1/sessions")
    told = json.loads(body)
    assert status == 200
    assert set(told) == {"daemon", "sessions"}
    assert {"name", "state", "status", "since", "reason", "worker_pid", "attempt"} <= set(told["sessions"][0])
    assert told["sessions"][0]["since"] == "2026-01-02T03:04:05Z"
    assert [s.name for s in (await client.status()).sessions] == ["sales", "support"]


async def test_one_session_and_an_unknown_one(client: Client, folder: Path) -> None:
    assert (await client.session("sales")).state == "connected"
    with pytest.raises(UnknownSessionError, match="ventas") as caught:
        await client.session("ventas")
    assert caught.value.hint == "`wakit status` lists them"
    assert (await get(folder, "/v1/sessions/ventas"))[0] == 404


async def test_a_qr_comes_as_record_and_as_pictures_and_is_not_stored(
    client: Client, fleet: FakeFleet, folder: Path
) -> None:
    fleet.show("support")
    assert (await client.qr("support")).payload == PAYLOAD
    assert (await client.qr("support", "png")).startswith(b"\x89PNG\r\n")
    assert b"<svg" in await client.qr("support", "svg")
    for form in ("json", "svg", "png"):
        _, headers, _ = await get(folder, f"/v1/sessions/support/qr?format={form}")
        assert headers["cache-control"] == "no-store"


async def test_the_picture_is_the_whole_url_at_level_l_with_a_border_of_four(client: Client, fleet: FakeFleet) -> None:
    fleet.show("support")
    expected = segno.make(PAYLOAD, error="l", boost_error=False, micro=False)
    png = await client.qr("support", "png")
    width = int.from_bytes(png[16:20])
    assert width == (expected.symbol_size(border=0)[0] + 8) * 8


async def test_no_qr_is_said_in_a_sentence(client: Client, fleet: FakeFleet, folder: Path) -> None:
    with pytest.raises(ControlError, match="support has nothing to scan or type now: it is declared"):
        await client.qr("support")
    assert (await get(folder, "/v1/sessions/support/qr"))[0] == 404
    with pytest.raises(UnknownSessionError):
        await client.qr("ventas")
    fleet.show("support", payload=None, code="ABCD-1234")
    assert (await client.qr("support")).code == "ABCD-1234"
    with pytest.raises(ControlError, match="shows no QR now"):
        await client.qr("support", "png")


async def test_orders_reach_the_fleet(client: Client, fleet: FakeFleet) -> None:
    fleet.planned = [ActionInfo(action="park", session="sales", reason="r", text="park sales: r")]
    await client.restart("sales")
    await client.park("sales")
    await client.resume("sales")
    await client.pair("sales", method="code", phone="+34 600 000 001")
    assert (await client.backup("sales")).new
    await client.restore("sales", BACKUP.id)
    await client.restore("sales")
    assert (await client.plan()).actions == fleet.planned
    await client.apply(confirm=True)
    assert (await client.shutdown()).pid == 4242
    names = [order[0] for order in fleet.orders]
    assert names == ["restart", "park", "resume", "pair", "backup", "restore", "restore", "apply", "shutdown"]
    assert fleet.orders[3][1][1].phone == "+34600000001"
    assert [order[1] for order in fleet.orders[5:7]] == [("sales", BACKUP.id), ("sales", None)]
    assert fleet.orders[7][1] is True
    assert fleet.stopped.is_set()
    fleet.kept = [BACKUP]
    assert (await client.backups("sales")).backups == [BACKUP]
    for order in (
        client.restart,
        client.park,
        client.resume,
        client.pair,
        client.backup,
        client.restore,
        client.backups,
    ):
        with pytest.raises(UnknownSessionError):
            await order("ventas")


async def test_a_pair_request_may_have_no_body(client: Client, fleet: FakeFleet, folder: Path) -> None:
    assert (await post(folder, "/v1/sessions/sales/pair"))[0] == 200
    assert fleet.orders[0][1][1].method is None
    assert (await post(folder, "/v1/apply"))[0] == 200
    assert fleet.orders[1] == ("apply", False)


async def test_a_wrong_number_is_refused_and_never_repeated(client: Client, fleet: FakeFleet, folder: Path) -> None:
    status, _, body = await post(folder, "/v1/sessions/sales/pair", b'{"phone": "34655512345"}')
    assert status == 422
    assert b"34655512345" not in body
    assert b"phone: a phone number is a + and 8 to 15 digits" in body
    with pytest.raises(ControlError, match="a phone number is") as caught:
        await client.pair("sales", phone="34655512345")
    assert "34655512345" not in repr(caught.value)
    assert fleet.orders == []


async def test_sql_answers_a_table(client: Client, fleet: FakeFleet, folder: Path) -> None:
    fleet.log(session="sales", state_to="connected")
    table = await client.sql("SELECT * FROM events WHERE seq > ?", [0], timeout=5, max_rows=10)
    assert table["session"].to_pylist() == ["sales"]
    assert fleet.orders[0][1] == ("SELECT * FROM events WHERE seq > ?", [0], 5.0, 10)
    status, headers, _ = await post(folder, "/v1/sql", b'{"query": "select * from events"}')
    assert (status, headers["content-type"]) == (200, "application/vnd.apache.arrow.stream")


async def test_the_journal_tells_where_it_stands_and_what_is_new(
    client: Client, fleet: FakeFleet, folder: Path
) -> None:
    for state in ("starting", "connected"):
        fleet.log(session="sales", state_to=state, detail={"tries": 2})
    told = await client.journal(1)
    assert (told.seq, told.rev, told.pulses) == (2, 3, {})
    assert told.events == fleet.events[1:]
    assert (await client.journal()).events == fleet.events
    status, _, body = await get(folder, "/v1/journal?since=1")
    assert (status, set(json.loads(body))) == (200, {"opening", "seq", "rev", "pulses", "events"})
    assert (await get(folder, "/v1/journal?since=-1"))[0] == 422


async def test_sql_refuses_in_sentences(client: Client) -> None:
    with pytest.raises(QueryError, match="only SELECT is allowed"):
        await client.sql("DROP TABLE x")
    for wrong in ({"timeout": 0}, {"timeout": 1e9}, {"max_rows": 0}, {"params": [object()]}):
        with pytest.raises(QueryError, match="cannot be sent"):
            await client.sql("SELECT 1", **wrong)


async def test_logs(client: Client) -> None:
    assert await client.logs("sales", 2) == ['{"n": 0}', '{"n": 1}']
    with pytest.raises(UnknownSessionError):
        await client.logs("ventas")


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (HeldError("It is held", why="by 12", hint="wait"), 409),
        (ControlError("No", why="because", hint="do"), 409),
        (errors.JournalError("The journal is full"), 503),
        (errors.WorkerError("No worker"), 503),
        (errors.StateDirectoryError("Read-only"), 503),
        (errors.CredentialError("Damaged"), 409),
        (errors.EndpointError("Not loopback"), 409),
        (errors.QueryError("Wrong"), 400),
        (errors.NotConvergedError("Late"), 504),
        (errors.MissingExtraError("Missing"), 501),
        (DeclarationError("Wrong type", location=Location("sessions.toml", 3, 9), key="phone", hint="quote it"), 409),
    ],
)
async def test_an_error_of_the_fleet_is_raised_again_as_it_was(
    client: Client, fleet: FakeFleet, folder: Path, refusal: WakitError, status: int
) -> None:
    fleet.refusal = refusal
    with pytest.raises(WakitError) as caught:
        await client.session("sales")
    assert type(caught.value) is type(refusal)
    assert (str(caught.value), caught.value.hint) == (str(refusal), refusal.hint)
    assert (await get(folder, "/v1/sessions/sales"))[0] == status


def test_a_subclass_of_another_room_travels_as_its_ancestor() -> None:
    class SeveralError(DeclarationError):
        pass

    sent = refusals.to_info(SeveralError("Two", location=Location("f", 1)))
    assert sent.error == "DeclarationError"
    for unknown in ("NewerError", "dataclass", "Exit", "__name__", "Location"):
        assert type(refusals.from_info(sent.model_copy(update={"error": unknown}))) is ControlError


async def test_a_mistake_of_ours_shows_nothing_and_is_logged_scrubbed(
    client: Client, fleet: FakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.refusal = ValueError("the number +34600000001")
    with caplog.at_level(logging.ERROR), pytest.raises(ControlError, match="made a mistake") as caught:
        await client.session("sales")
    assert "34600000001" not in str(caught.value) + caplog.text
    assert "in session" in caplog.text
    fleet.refusal = None
    assert (await client.session("sales")).name == "sales"


async def test_health_readiness_and_metrics(client: Client, fleet: FakeFleet, folder: Path) -> None:
    assert (await get(folder, "/healthz"))[0] == 200
    assert (await client.ready()).ready
    fleet.daemon = fleet.daemon.model_copy(update={"stuck_queries": 1})
    told = await client.ready()
    assert (told.ready, told.why) == (True, "queries that cannot be stopped: 1"), "sessions do not need them"
    assert b"\nwakit_journal_stuck_queries 1\n" in (await get(folder, "/metrics"))[2]
    fleet.daemon = fleet.daemon.model_copy(update={"journal_ok": False})
    assert (await get(folder, "/readyz"))[0] == 503
    assert (await client.ready()).why == "the journal cannot be written"
    fleet.log()
    status, headers, page = await get(folder, "/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = page.decode().splitlines()
    assert {'wakit_sessions{state="connected"} 1', 'wakit_sessions{state="declared"} 1'} <= set(lines)
    assert {"wakit_events_total 1", "wakit_journal_queue 2", "wakit_journal_ok 0"} <= set(lines)
    assert b"sales" not in page
    for line in lines:
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("trouble", [None, *Trouble])
async def test_metrics_say_what_keeps_all_away(fleet: FakeFleet, folder: Path, trouble: Trouble | None) -> None:
    since = fleet.daemon.started_at
    outage = trouble and OutageInfo(trouble=trouble.value, since=since, reason="the network is lost", sessions=2)
    fleet.daemon = fleet.daemon.model_copy(update={"outage": outage})
    lines = (await get(folder, "/metrics"))[2].decode().splitlines()
    told = {each: f'wakit_outage{{trouble="{each}"}} {int(each is trouble)}' for each in Trouble}
    assert [line for line in lines if line.startswith("wakit_outage")] == list(told.values())


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/sessions", "/docs", "/v1/sessions/sales/none"])
async def test_an_unknown_path_is_refused_in_our_words(client: Client, folder: Path, path: str) -> None:
    status, _, body = await get(folder, path)
    assert status == 404
    assert json.loads(body)["error"] == "ControlError"
    assert (await post(folder, "/v1/journal"))[0] == 405


@settings(deadline=None)
@given(name=st.text(min_size=1, max_size=80))
def test_any_name_is_answered_never_with_a_mistake(name: str) -> None:
    """Against the application itself, without a socket: it is the routing and the checking that are tried."""
    status, body = through("GET", "/v1/sessions/" + quote(name, safe="", errors="surrogatepass"))
    if name == "sales":
        assert status == 200
    else:
        assert status == (404 if SESSION_NAME.fullmatch(name) or "/" in name else 422), body
        assert json.loads(body)["what"]


@settings(deadline=None)
@given(
    path=st.sampled_from(["/v1/sql", "/v1/apply", "/v1/sessions/sales/pair"]),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=12),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["query", "params", "timeout", "max_rows", "method", "phone"]), inner)
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_body_is_answered_never_with_a_mistake(path: str, body: bytes) -> None:
    status, answered = through("POST", path, body)
    assert status in (200, 400, 422), (status, answered)


@pytest.mark.parametrize("name", ["../x", "sales/logs", "", "Sales", "a b", "a\0", "x" * 64, "?", "%41"])
async def test_a_name_that_cannot_be_one_never_leaves_the_client(client: Client, name: str) -> None:
    with pytest.raises(UnknownSessionError, match="a name is small letters"):
        await client.session(name)


async def test_the_openapi_document_is_what_it_was(client: Client, folder: Path) -> None:
    """A change of the API changes tests/control/openapi.json too, and is seen in the diff."""
    _, _, body = await get(folder, "/v1/openapi.json")
    document = json.loads(body)
    snapshot = HERE / "openapi.json"
    routes = {
        path: {verb: sorted(code for code in operation["responses"]) for verb, operation in operations.items()}
        for path, operations in document["paths"].items()
    }
    fields = {
        name: sorted(schema.get("properties", ()))
        for name, schema in document["components"]["schemas"].items()
        if not name.startswith("HTTPValidation") and name != "ValidationError"
    }
    told = json.dumps({"paths": routes, "schemas": fields}, indent=1, sort_keys=True) + "\n"
    assert told == snapshot.read_text()


def test_every_route_is_documented() -> None:
    text = (HERE.parents[1] / "docs" / "control-api.md").read_text()

    async def routes() -> list[str]:
        return list(create_app(FakeFleet()).openapi()["paths"])

    for path in asyncio.run(routes()):
        assert f"`{path}`" in text or f" {path}`" in text, path


async def test_the_blocking_client_has_the_same_methods_and_answers(
    client: Client, fleet: FakeFleet, folder: Path
) -> None:
    public = {n for n in vars(Client) if not n.startswith("_")}
    assert public == {n for n in vars(SyncClient) if not n.startswith("_")}
    blocking = SyncClient(folder)
    fleet.show("support")
    fleet.log()
    for method, *args in (
        ("status",), ("session", "sales"), ("qr", "support"), ("qr", "support", "png"), ("plan",), ("apply",),
        ("pair", "sales"), ("restart", "sales"), ("park", "sales"), ("resume", "sales"), ("logs", "sales"),
        ("sql", "SELECT seq FROM events"), ("ready",), ("shutdown",),
    ):  # fmt: skip
        theirs = await asyncio.to_thread(getattr(blocking, method), *args)
        assert theirs == await getattr(client, method)(*args), method
    with pytest.raises(UnknownSessionError):
        await asyncio.to_thread(blocking.session, "ventas")


async def test_nobody_serves(folder: Path) -> None:
    for missing in (folder, folder / "nowhere"):
        with pytest.raises(NoDaemonError, match="No daemon runs: nothing listens") as caught:
            await Client(missing).status()
        assert "wakit up" in caught.value.hint
        with pytest.raises(NoDaemonError):
            SyncClient(missing).status()
        with pytest.raises(NoDaemonError):
            await anext(Client(missing).live())
        with pytest.raises(NoDaemonError):
            next(SyncClient(missing).live())


@pytest.mark.parametrize(
    ("answered", "expected", "sentence"),
    [
        (b"", NoDaemonError, "went away"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", NoDaemonError, "went away"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ControlError, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ControlError, "not understood"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", ControlError, "status 500"),
    ],
)
async def test_something_else_answers(folder: Path, answered: bytes, expected: type[WakitError], sentence: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answered)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_unix_server(answer, folder / "control.sock"):
        with pytest.raises(expected, match=sentence):
            await Client(folder).status()
        with pytest.raises(expected, match=sentence):
            await asyncio.to_thread(SyncClient(folder).status)


async def test_a_daemon_that_hangs_is_given_up(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folder / "control.sock"))
        deaf.listen()
        call = calls.Call("GET", "/v1/sessions", bytes, seconds=0.05)
        with pytest.raises(ControlError, match="did not answer GET /v1/sessions in time"):
            await Client(folder)._answer(call)
        with pytest.raises(ControlError, match="did not answer GET /v1/sessions in time"):
            SyncClient(folder)._answer(call)


async def test_a_running_request_does_not_hold_up_the_end(fleet: FakeFleet, folder: Path) -> None:
    asked = asyncio.Event()

    async def never(*_: object, **__: object) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    fleet.sql = never  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        async with serve_unix(create_app(fleet), folder / "control.sock"):
            waiting = asyncio.create_task(Client(folder).sql("SELECT * FROM events"))
            await asked.wait()
        with pytest.raises(ControlError):
            await waiting


@functools.cache
def application() -> FastAPI:
    return create_app(FakeFleet(session("sales")))


def through(method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Put one request through the application, as a server would."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path, errors="surrogatepass"), "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    asyncio.run(application()(scope, receive, send))  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(m["body"] for m in sent[1:])


async def test_the_python_of_the_documentation_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (HERE.parents[1] / "docs" / "control-api.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    fleet = FakeFleet(session("sales"))
    fleet.log()
    names: dict[str, Any] = {}
    monkeypatch.chdir(folder)
    async with asyncio.timeout(20), serve_unix(create_app(fleet), folder / ".wakit" / "control.sock"):
        await asyncio.to_thread(exec, code, names)
        following = asyncio.create_task(names["follow"]())
        await fleet.readers_are(1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await fleet.readers_are(0)
    assert capsys.readouterr().out.startswith("connected\n")
