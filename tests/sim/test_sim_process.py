"""The sim as a process: one owner a directory, safe files, a clean end, its clients and its console."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.whatsapp import LoopbackWhatsApp, fresh_number, loopback_whatsapp

from wakit.errors import EndpointError, Exit, HeldError, NotConvergedError, StateDirectoryError, WakitError
from wakit.redact import PhoneNumber
from wakit.sim import console
from wakit.sim.client import SimClient
from wakit.sim.endpoint import running_sim, sim_process
from wakit.sim.requests import What
from wakit.sim.scenarios import Failure, HangDial, Target


@pytest.fixture
def state() -> Iterator[Path]:
    """A short path: a Unix socket's may have 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="wk", dir="/tmp"))
    yield folder / "sim"
    shutil.rmtree(folder)


def test_only_one_sim_runs_on_a_directory(whatsapp: LoopbackWhatsApp) -> None:
    with pytest.raises(HeldError) as held, sim_process(whatsapp.state):
        pass
    assert held.value.exit_code == Exit.HELD
    second = subprocess.run(
        [sys.executable, "-m", "wakit.sim", "--state", str(whatsapp.state)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 5
    assert second.stderr.startswith("error: A loopback WhatsApp already runs on this state directory: process ")
    assert "hint: " in second.stderr


def test_files_are_private_and_the_port_is_taken_again(state: Path) -> None:
    with loopback_whatsapp(state) as first:
        first.sim.set_online(fresh_number(), online=True)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
        files = {name for name, mode in modes.items() if mode == 0o600}
        folders = {name for name, mode in modes.items() if mode == 0o700}
        assert files | folders == set(modes)
        assert folders == {"sim", "accounts"}
        assert {"ca.key", "leaf.key", "noise.key", "admin.sock"} <= files
    assert not (state / "admin.sock").exists()
    with loopback_whatsapp(state) as second:
        assert second.endpoint == first.endpoint
        assert len(second.sim.status().accounts) == 1


def test_another_port_is_taken_when_the_last_one_is_not_free(state: Path) -> None:
    state.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (state / "port").write_text(str(port))
        with loopback_whatsapp(state) as running:
            assert running.endpoint.proxy != f"http://127.0.0.1:{port}"
        with pytest.raises(EndpointError, match="cannot listen"), sim_process(state, port=port):
            pass


def test_a_link_in_the_directory_s_place_is_refused(state: Path) -> None:
    state.symlink_to(tempfile.gettempdir())
    with pytest.raises(StateDirectoryError), sim_process(state):
        pass


def test_a_path_too_long_for_a_socket_has_its_socket_elsewhere(state: Path) -> None:
    long, said = state / ("x" * 100), []
    with sim_process(long) as sim:
        assert len(bytes(sim.endpoint().admin)) <= 107
        assert sim.endpoint().admin.parent.stat().st_mode & 0o777 == 0o700
        console.run_command(long, ["status"], said.append)
        folder = sim.endpoint().admin.parent
    assert "open  0 connections" in said[0]
    folder.rmdir()  # nothing is left in it


def test_a_damaged_account_is_named_by_file_not_by_number(state: Path) -> None:
    number = fresh_number()
    with loopback_whatsapp(state) as running:
        running.sim.set_online(number, online=True)
    (account,) = (state / "accounts").iterdir()
    account.write_bytes(b"{")
    with pytest.raises(WakitError, match=account.name) as damaged, sim_process(state):
        pass
    assert number[1:] not in str(damaged.value)


@pytest.mark.parametrize("how", ["terminated", "interrupted", "orphaned"])
def test_it_ends_cleanly(state: Path, how: str) -> None:
    arguments = [sys.executable, "-m", "wakit.sim", "--state", str(state), "--json", "--die-with-parent"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        assert b'"event":"ready"' in process.stdout.readline()
        match how:
            case "terminated":
                process.send_signal(signal.SIGTERM)
            case "interrupted":
                process.send_signal(signal.SIGINT)
            case _:
                process.stdin.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
    assert not (state / "admin.sock").exists()


def test_it_dies_with_a_parent_that_was_killed(state: Path) -> None:
    child = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from wakit.sim.endpoint import sim_process\n"
        "with sim_process(Path(sys.argv[1])):\n"
        "    print('ready', flush=True)\n"
        "    signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", child, str(state)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline().strip()
        pid = int((state / "sim.lock").read_text())
        sim = os.pidfd_open(pid)
        try:
            parent.kill()
            signalled = _ends(sim)
        finally:
            os.close(sim)
    assert signalled


def _ends(pidfd: int) -> bool:
    import select  # noqa: PLC0415

    return bool(select.select([pidfd], [], [], 10)[0])


async def test_the_asynchronous_client_says_the_same(state: Path) -> None:
    number = fresh_number()
    async with running_sim(state) as sim:
        assert (await sim.endpoint()).admin == state / "admin.sock"
        armed = await sim.arm(Failure(405), Target(number=PhoneNumber(number)), times=None)
        (listed,) = (await sim.status()).armed
        assert (listed.id, listed.scenario, listed.left) == (armed, Failure(405), None)
        assert await sim.disarm() == 1
        with pytest.raises(WakitError, match="before the client has said who it is"):
            await sim.arm(HangDial(), Target(number=PhoneNumber(number)))
        with pytest.raises(WakitError, match="not the QR code"):
            await sim.scan(number, "hello")
        with pytest.raises(NotConvergedError):
            await sim.wait_until(lambda status: status.connected(number) > 0, timeout=0.05)
        failed = await sim.wait_for(What.PAIRING_FAILED, number)
        assert failed in await sim.journal()
        refused = asyncio.create_task(sim.wait_for(What.REFUSED_DIAL))
        _, writer = await asyncio.open_connection("127.0.0.1", int((await sim.endpoint()).proxy.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await refused).detail == "403"
        writer.close()
        await writer.wait_closed()
    with pytest.raises(EndpointError, match="cannot be reached"):
        await SimClient(state / "admin.sock").status()


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b'{"op":"fly"}\n', b'{"op":"scan","number":"12"}\n', b"\xff\xfe\n"])
async def test_an_unreadable_request_is_answered_without_repeating_it(whatsapp: LoopbackWhatsApp, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(whatsapp.endpoint.admin)
    writer.write(line + b'{"op":"endpoint"}\n')
    assert await reader.readline() == (
        b'{"error":{"what":"The loopback WhatsApp cannot read this request","why":"","hint":""}}\n'
    )
    assert b'"ok"' in await reader.readline()
    writer.close()
    await writer.wait_closed()


def test_the_console_speaks_and_masks_numbers(state: Path) -> None:
    number, said = fresh_number(), []
    commands = [
        "help",
        f"offline {number}",
        f"scan {number} x",
        "hang",
        f"fail 402 {number}",
        "status",
        "calm",
        "dance",
    ]
    console.run_console(state, said.append, [*commands, "scan", 'type "', "quit"])
    text = "\n".join(said)
    assert number not in text
    assert f"{PhoneNumber(number)}  phone offline" in said
    assert "error: The phone linked nothing: the phone is offline" in said
    assert "armed 1: hang-dial, 1 times" in said
    assert "took 2 back" in said
    assert "error: There is no such command" in said
    assert "hint: usage: scan NUMBER PAYLOAD" in said
    assert "error: a quotation mark is missing" in said
    for command in console.COMMANDS.values():
        assert any(line.startswith(command.usage) for line in said)


def test_one_command_against_a_running_sim(whatsapp: LoopbackWhatsApp, tmp_path: Path) -> None:
    said: list[str] = []
    console.run_command(whatsapp.state, ["offline", fresh_number()], said.append)
    assert said == ["the phone is offline"]
    with pytest.raises(EndpointError, match="cannot be reached"):
        console.run_command(tmp_path, ["status"], said.append)
    with pytest.raises(console.UsageError):
        console.run_command(whatsapp.state, ["unlink", "12"], said.append)


def test_the_light_modules_do_not_load_the_client_library() -> None:
    check = (
        "import sys, wakit.sim.client, wakit.sim.endpoint, wakit.sim.console\n"
        "heavy = {'neonize', 'cryptography', 'xeddsa', 'websockets', 'google'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
