"""Real workers with the stock library against the loopback WhatsApp: what is told, and what is left behind."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from crew import Crew, fresh_number
from filelock import FileLock, Timeout
from proxies import closed_port, serving, socks5_proxy

from wakit.core.declaration import Endpoint, Pairing
from wakit.errors import EndpointError
from wakit.sim.client import SimClient
from wakit.sim.requests import What
from wakit.sim.scenarios import (
    Deaf,
    Drop,
    Failure,
    HangDial,
    PasskeyRequired,
    ProxySays,
    RefuseDial,
    RefuseTls,
    StreamError,
    Target,
)
from wakit.sim.scenarios import (
    Replaced as Replace,
)
from wakit.whatsapp.port import (
    AccountHeld,
    AccountHold,
    Banned,
    ClientEnded,
    CodeShown,
    Connected,
    ConnectionLost,
    CredentialBad,
    DialFailed,
    DialFailure,
    LoggedOut,
    Outdated,
    Paired,
    PairingExpired,
    PasskeyAsked,
    QrShown,
    Refused,
    Replaced,
    SessionReport,
    SessionStart,
    WentDeaf,
    WorkerExited,
)
from wakit.worker.bounds import Limits
from wakit.worker.custody import take
from wakit.worker.forkserver import WORKER_NAME


@pytest.fixture
async def paired(crew: Crew, sim: SimClient, request: pytest.FixtureRequest) -> dict[str, str]:
    """Sessions that were paired before; named by the test's parameter, else one called ``sales``."""
    names = getattr(request, "param", ("sales",))
    numbers = {name: fresh_number() for name in names}
    await crew.pair(sim, numbers)
    return {name: number.reveal() for name, number in numbers.items()}


def is_qr(report: object) -> bool:
    return isinstance(report, SessionReport) and isinstance(report.event, QrShown)


# --- pairing and restoring


async def test_qr_pairing_and_restore_without_a_qr(crew: Crew, sim: SimClient):
    number = fresh_number()
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    shown = await crew.expect(QrShown)
    payload = shown.payload.reveal()
    assert payload.startswith("https://wa.me/settings/linked_devices#")
    await sim.scan(number, payload)
    assert (await crew.expect(Paired)).account.reveal() == number.digits
    assert (await crew.expect(Connected)).account.reveal() == number.digits
    await crew.host.stop("w1", grace=2)
    assert (await crew.expect(WorkerExited)).asked

    await crew.launch("w2", crew.order("sales"))
    assert (await crew.expect(Connected)).account.reveal() == number.digits
    assert not any(isinstance(event, QrShown) for event in crew.told("sales")[3:])

    said = "\n".join(line for _, line in crew.lines)
    assert number.digits not in said
    assert payload.split(",")[1] not in said


async def test_code_pairing(crew: Crew, sim: SimClient):
    number = fresh_number()
    await crew.launch("w1", crew.order("sales", Pairing.CODE, phone=number))
    shown = await crew.expect(CodeShown)
    code = shown.code.reveal()
    await sim.type_code(number, code)
    assert (await crew.expect(Paired)).account.reveal() == number.digits
    await crew.expect(Connected)
    assert [type(event) for event in crew.told("sales")] == [CodeShown, Paired, Connected]
    said = "\n".join(line for _, line in crew.lines)
    assert code not in said
    assert code.replace("-", "") not in said
    assert number.digits not in said


async def test_a_passkey_is_reported_and_no_more_codes_are_shown(crew: Crew, sim: SimClient):
    number = fresh_number()
    await sim.arm(PasskeyRequired(), Target(number=number))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    shown = await crew.expect(QrShown)
    scanning = asyncio.create_task(sim.scan(number, shown.payload.reveal()))
    await crew.expect(PasskeyAsked)
    await crew.host.kill("w1", why="the test is over")
    await asyncio.gather(scanning, return_exceptions=True)
    assert [type(event) for event in crew.told("sales")] == [QrShown, PasskeyAsked]


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_codes_that_nobody_scans_expire(crew: Crew):
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    await crew.until(lambda: PairingExpired() in crew.told("sales"), patience=200)
    assert [type(event) for event in crew.told("sales")] == [QrShown] * 6 + [PairingExpired]


async def test_a_restore_never_pairs(crew: Crew, sim: SimClient):
    before = (await sim.status()).totals.get("paired", 0)
    await crew.launch("w1", crew.order("sales"))
    bad = await crew.expect(CredentialBad)
    assert "pair anew" in bad.why
    await sim.wait_until(lambda status: not any(each.dialer == "sales" for each in status.pending))
    assert [type(event) for event in crew.told("sales")] == [CredentialBad]
    assert (await sim.status()).totals.get("paired", 0) == before


@pytest.mark.parametrize(
    "damage", [b"this is no database at all, by any means" * 200, b"SQLite format 3\x00" + bytes(84)]
)
async def test_a_damaged_credential_is_told_and_harms_no_other(crew: Crew, damage: bytes):
    broken = crew.order("broken")
    (crew.folder / "broken" / "creds.db").write_bytes(damage)
    await crew.launch("w1", broken, crew.order("fresh", Pairing.QR))
    bad = await crew.expect(CredentialBad, "broken")
    assert "credential" in bad.why or "pair anew" in bad.why
    if not any(isinstance(event, QrShown) for event in crew.told("fresh")):
        await crew.expect(QrShown, "fresh")


async def test_a_credential_has_one_client(crew: Crew, paired: dict[str, str]):
    first = await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await crew.launch("w2", crew.order("sales"))
    bad = await crew.expect(ClientEnded)  # no verdict: the holder will end, and then it is tried again
    assert f"process {first} on" in bad.why
    assert "w1" in crew.host.workers()


async def test_an_account_that_was_linked_just_now_is_held_from_then_on(crew: Crew, sim: SimClient, tmp_path: Path):
    lock, number = tmp_path / "account.lock", fresh_number()
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    await sim.scan(number, (await crew.expect(QrShown)).payload.reveal())
    await crew.expect(Connected)
    await crew.host.hold_account("w1", "sales", AccountHold(lock=str(lock)))
    await asyncio.to_thread(_until_held, lock)
    assert await crew.host.stop_session("w1", "sales", 10)
    with FileLock(lock).acquire(timeout=0):
        pass
    assert not any(isinstance(event, AccountHeld) for event in crew.told("sales"))


def _until_held(lock: Path) -> None:
    """Return once another process has the lock; the worker answers nothing when all is well."""
    for _ in range(2000):
        try:
            FileLock(lock, mode=0o600).acquire(timeout=0).lock.release()
        except Timeout:
            return
        time.sleep(0.01)  # without the lock: whoever looks must not be in the worker's way
    raise AssertionError("the account was not held")


async def test_an_account_that_is_linked_twice_is_used_once(crew: Crew, sim: SimClient, tmp_path: Path):
    account, number = AccountHold(lock=str(tmp_path / "account.lock")), fresh_number()
    first = crew.order("first")
    with closing_custody(SessionStart(name="other", directory=first.directory, epoch=1, account=account)):
        await crew.launch("w1", crew.order("sales", Pairing.QR))
        await sim.scan(number, (await crew.expect(QrShown)).payload.reveal())
        await crew.expect(Connected)
        await crew.host.hold_account("w1", "sales", account)
        held = await crew.expect(AccountHeld)
        assert f"process {os.getpid()} on" in held.why
        await sim.wait_until(lambda status: status.connected(number.reveal()) == 0)


@contextmanager
def closing_custody(start: SessionStart) -> Iterator[None]:
    custody = take(start)
    try:
        yield
    finally:
        custody.release()


# --- what WhatsApp does to a session


async def test_a_dropped_connection_comes_back(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.strike(Drop(), Target(dialer="sales"))
    await crew.expect(ConnectionLost)
    await crew.expect(Connected)


async def test_a_stream_error_503_comes_back_and_says_so(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.strike(StreamError(503), Target(dialer="sales"))
    lost = await crew.expect(ConnectionLost)
    assert lost.code == "503"
    await crew.expect(Connected)


async def test_replaced_is_final(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.strike(Replace(), Target(dialer="sales"))
    await crew.expect(Replaced)
    await sim.wait_until(lambda status: status.connected(paired["sales"]) == 0)
    assert isinstance(crew.told("sales")[-1], Replaced)


async def test_an_unlinked_device_is_logged_out(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.unlink(paired["sales"])
    assert (await crew.expect(LoggedOut)).code == "device_removed"


@pytest.mark.long
async def test_a_server_that_falls_silent_is_noticed(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.strike(Deaf(), Target(dialer="sales"))
    await crew.until(lambda: any(isinstance(event, WentDeaf) for event in crew.told("sales")), patience=60)


REASONS = {
    "r401": (Failure(401), LoggedOut(code="401", on_connect=True)),
    "r402": (Failure(402, code=102, expire=3600), Banned(code="102", seconds=3600.0)),
    "r402x": (Failure(402, code=199, expire=60), Banned(code="199", seconds=60.0)),
    "r403": (Failure(403), LoggedOut(code="403", on_connect=True)),
    "r405": (Failure(405), Outdated()),
    "r406": (Failure(406), LoggedOut(code="406", on_connect=True)),
    "r400": (Failure(400), "400"),
    "r409": (Failure(409), "409"),
    "r415": (Failure(415), "415"),
    "r418": (Failure(418), "418"),
    "r501": (Failure(501), "501"),
}
RETRIED = {"r500": "500", "r503": "503"}


@pytest.mark.parametrize("paired", [(*REASONS, *RETRIED)], indirect=True)
async def test_every_refusal_at_login(crew: Crew, sim: SimClient, paired: dict[str, str]):
    for name, (failure, _) in REASONS.items():
        await sim.arm(failure, Target(dialer=name))
    for name, code in RETRIED.items():
        await sim.arm(Failure(int(code)), Target(dialer=name))
    before = len(crew.reports)
    await crew.launch("w1", *(crew.order(name) for name in paired))
    for name in RETRIED:
        crew.rewind(before)
        await crew.expect(Connected, name)
    for name in REASONS:
        crew.rewind(before)
        verdict = await crew.expect(object, name)
        expected = REASONS[name][1]
        assert (verdict.code if isinstance(verdict, Refused) else verdict) == expected
    for name, code in RETRIED.items():
        lost = [event for event in crew.told(name) if isinstance(event, ConnectionLost)]
        assert [event.code for event in lost] == [code]
    fresh = dict.fromkeys(REASONS, 0)
    for report in crew.reports[before:]:
        if getattr(report, "session", None) in fresh:
            fresh[report.session] += 1  # type: ignore[union-attr]
    assert set(fresh.values()) == {1}, "one verdict each, and nothing after it"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure(405), Outdated),
        (Failure(402, code=101, expire=60), Banned),
        (Failure(409), Refused),
        (Failure(503), ClientEnded),
    ],
)
async def test_refusals_while_pairing(crew: Crew, sim: SimClient, failure: Failure, kind: type):
    await sim.arm(failure, Target(dialer="sales"))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    await crew.expect(kind)
    assert [type(event) for event in crew.told("sales")] == [kind]


# --- dials


@pytest.mark.parametrize(
    ("scenario", "cause"),
    [
        (RefuseDial(), DialFailure.CLOSED),
        (ProxySays(502), DialFailure.REFUSED),
        (RefuseTls(), DialFailure.TLS),
    ],
)
async def test_a_first_dial_that_fails(crew: Crew, sim: SimClient, scenario, cause: DialFailure):
    await sim.arm(scenario, Target(dialer="sales"))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    ended = await crew.expect(ClientEnded)
    assert ended.cause is cause
    assert ended.why


async def test_a_hanging_dial_does_not_hold_up_the_end(crew: Crew, sim: SimClient):
    since = (await sim.status()).seq
    armed = await sim.arm(HangDial(), Target(dialer="sales"))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    await sim.wait_for(What.REFUSED_DIAL, since=since)
    async with asyncio.timeout(5):
        await crew.host.stop("w1", grace=0.5)
    await sim.disarm(armed)
    assert (await crew.expect(WorkerExited)).asked


@pytest.mark.long
async def test_a_hanging_dial_ends_by_its_deadline(crew: Crew, sim: SimClient):
    armed = await sim.arm(HangDial(), Target(dialer="sales"))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    assert (await crew.expect(DialFailed)).cause is DialFailure.TIMEOUT
    assert (await crew.expect(ClientEnded)).cause is DialFailure.TIMEOUT
    await sim.disarm(armed)


async def test_without_an_endpoint_an_unreachable_proxy_is_named(tmp_path: Path):
    crew = Crew(tmp_path, None)
    proxy = f"socks5://someone:swordfish@127.0.0.1:{closed_port()}"
    await crew.launch("w1", crew.order("sales", Pairing.QR, proxy=proxy))
    failed = await crew.expect(DialFailed)
    assert failed.cause is DialFailure.PROXY_UNREACHABLE
    assert "connection refused" in failed.detail
    assert (await crew.expect(ClientEnded)).why == failed.detail
    await crew.host.close()
    assert "swordfish" not in str(crew.lines)


async def test_a_loopback_proxy_carries_the_session(crew: Crew, endpoint: Endpoint):
    asked: list[str] = []
    async with serving(socks5_proxy(int(endpoint.proxy.rpartition(":")[2]), asked)) as port:
        await crew.launch("w1", crew.order("sales", Pairing.QR, proxy=f"socks5://127.0.0.1:{port}"))
        await crew.expect(QrShown)
        await crew.host.close()
    assert asked == [endpoint.proxy.removeprefix("http://")]


async def test_every_dial_is_paced_redials_included(sim: SimClient, tmp_path: Path, endpoint: Endpoint):
    asked: list[str] = []

    async def permit(session: str) -> None:
        asked.append(session)

    crew = Crew(tmp_path, endpoint, permit=permit)
    await crew.pair(sim, {"sales": fresh_number()})
    assert asked == ["sales", "sales"]  # to pair, and to log in after it
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await sim.strike(Drop(), Target(dialer="sales"))
    await crew.expect(Connected)
    assert asked == ["sales"] * 4
    await crew.host.close()


async def test_a_cut_session_stays_off_until_it_may(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    await crew.host.cut("w1", "sales")
    await crew.expect(ConnectionLost)  # and nothing of the dials that are refused: it is wakit that keeps it off
    assert (await sim.status()).connected(paired["sales"]) == 0
    await crew.host.uncut("w1", "sales")
    await crew.expect(Connected)


# --- commands


@pytest.mark.parametrize("paired", [("sales", "support")], indirect=True)
async def test_logout_and_stop_of_one_session_leave_the_other(crew: Crew, sim: SimClient, paired: dict[str, str]):
    await crew.launch("w1", crew.order("sales"), crew.order("support"))
    await crew.expect(Connected)
    await crew.expect(Connected)
    assert await crew.host.logout("w1", "sales", 10)
    account = (await sim.status()).account(paired["sales"])
    assert account is None or account.devices == ()
    assert (await sim.status()).connected(paired["support"]) == 1
    assert await crew.host.stop_session("w1", "support", 10)
    await sim.wait_until(lambda status: status.connected(paired["support"]) == 0)
    assert "w1" in crew.host.workers()
    # It left for good and took its credential along: another worker can run it, and the two do not meet.
    await crew.launch("w2", crew.order("support"))
    await crew.expect(Connected)
    account = (await sim.status()).account(paired["support"])
    assert account is not None
    assert [device.replaced for device in account.devices] == [0]


# --- the end of workers and parents


async def test_a_killed_worker_is_explained_and_replaced(crew: Crew, paired: dict[str, str]):
    pid = await crew.launch("w1", crew.order("sales"))
    await crew.expect(Connected)
    os.kill(pid, signal.SIGKILL)
    exited = await crew.expect(WorkerExited)
    assert (exited.asked, exited.exit_code, exited.pid) == (False, -signal.SIGKILL, pid)
    assert "SIGKILL" in exited.cause
    await crew.launch("w2", crew.order("sales"))
    await crew.expect(Connected)


@pytest.mark.long
async def test_a_stopped_worker_is_found_and_killed(tmp_path: Path, endpoint: Endpoint):
    crew = Crew(tmp_path, endpoint, limits=Limits(silent_after=6))
    pid = await crew.launch("w1", crew.order("sales", Pairing.QR))
    os.kill(pid, signal.SIGSTOP)
    assert "silent" in (await crew.expect(WorkerExited)).cause
    assert not psutil.pid_exists(pid)
    await crew.host.close()


PARENT = """
import asyncio, sys
from wakit.whatsapp.port import SessionStart, WorkerLaunch
from wakit.core.declaration import Endpoint, Pairing
from wakit.worker.host import WorkerHost
async def permit(session): pass
async def main():
    host = WorkerHost(on_report=lambda r: None, permit=permit, on_log=lambda s, l: None)
    start = SessionStart(name="sales", directory=sys.argv[1], epoch=1, pairing=Pairing.QR)
    order = WorkerLaunch(worker_id="w", sessions=(start,), endpoint=Endpoint(*sys.argv[2:5]))
    print(await host.launch(order), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_a_worker_dies_with_its_parent(tmp_path: Path, endpoint: Endpoint):
    arguments = [str(tmp_path), endpoint.proxy, endpoint.ca_file, endpoint.noise_root_key]
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            parent.wait()
            gone, _, _ = select.select([worker], [], [], 5)
            assert gone, "the worker outlived its parent by five seconds"
        finally:
            os.close(worker)


async def test_an_endpoint_that_is_not_loopback_starts_nothing(tmp_path: Path, endpoint: Endpoint):
    crew = Crew(tmp_path, Endpoint("http://192.0.2.1:8443", endpoint.ca_file, endpoint.noise_root_key))
    with pytest.raises(EndpointError, match="loopback"):
        await crew.launch("w1", crew.order("sales", Pairing.QR))
    assert crew.reports == []
    assert crew.host.workers() == {}
    await crew.host.close()


async def test_workers_that_ended_leave_nothing_open(tmp_path: Path, endpoint: Endpoint):
    crew = Crew(tmp_path, Endpoint("http://192.0.2.1:8443", endpoint.ca_file, endpoint.noise_root_key))

    async def fail_once() -> int:
        with pytest.raises(EndpointError):
            await crew.launch("w1", crew.order("sales", Pairing.QR))
        return psutil.Process().num_fds()

    before = await fail_once()
    assert [await fail_once() for _ in range(3)] == [before] * 3
    assert [child for child in psutil.Process().children() if child.name() == WORKER_NAME] == []
    await crew.host.close()
    assert [child for child in psutil.Process().children() if "wakit.worker" in child.cmdline()] == []


async def test_a_server_with_another_noise_key_is_found_out(tmp_path: Path, endpoint: Endpoint):
    crew = Crew(tmp_path, Endpoint(endpoint.proxy, endpoint.ca_file, "00" * 31 + "09"))
    await crew.launch("w1", crew.order("sales", Pairing.QR))
    assert (await crew.expect(ClientEnded)).cause is DialFailure.TLS
    await crew.host.close()


# --- many


async def test_a_hundred_sessions_start_in_one_worker(crew: Crew):
    names = [f"s{number}" for number in range(100)]
    await crew.launch("w1", *(crew.order(name, Pairing.QR) for name in names))
    await crew.until(lambda: {each.session for each in crew.reports if is_qr(each)} == set(names))
    assert crew.exits() == []
