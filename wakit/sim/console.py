"""The sim's console: commands in words, for a person at a terminal or a script with one command.

``wakit sim`` runs :func:`run_console`: a sim of its own in a child process, its endpoint printed, then commands from
stdin. ``wakit sim COMMAND …`` runs :func:`run_command` against the sim that already serves the state directory. Output
goes to a callable, one line a call; phone numbers are masked in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wakit.errors import WakitError
from wakit.redact import PhoneNumber
from wakit.sim.address import admin_socket
from wakit.sim.blocking import SyncSimClient
from wakit.sim.endpoint import sim_process
from wakit.sim.requests import SimStatus
from wakit.sim.scenarios import (
    Deaf,
    Drop,
    Failure,
    HangDial,
    OnlineScenario,
    PasskeyRequired,
    PhoneWrites,
    ProxySays,
    RefuseDial,
    RefuseTls,
    Replaced,
    Scenario,
    SlowHandshake,
    StreamError,
    Target,
)

Say = Callable[[str], None]
_Action = Callable[[SyncSimClient, Sequence[str]], Iterable[str]]


class UsageError(WakitError):
    """A command that does not exist, or not with these words."""


@dataclass(frozen=True, slots=True)
class Command:
    """A word, the arguments it takes (optional ones in brackets), what it does, and how."""

    name: str
    arguments: str
    meaning: str
    action: _Action

    @property
    def usage(self) -> str:
        """The command as one types it."""
        return f"{self.name} {self.arguments}".strip()

    def accepts(self, count: int) -> bool:
        """Tell whether it can be given ``count`` arguments."""
        words = self.arguments.split()
        return sum(not word.startswith("[") for word in words) <= count <= len(words)


def run_console(
    state: Path, say: Say, lines: Iterable[str], *, port: int = 0, refs: int = 6, stay: bool = False
) -> None:
    """Run a sim in the foreground: say its endpoint, then carry out the commands of ``lines`` until ``quit``.

    Args:
        state: The sim's state directory.
        say: Takes one line of output.
        lines: Commands, as they are typed.
        port: A port of 127.0.0.1; 0 takes the last one again, or any.
        refs: How many QR codes a registering client gets.
        stay: When ``lines`` ends without ``quit``, serve on until the process ends (for a stdin that is no terminal).

    Raises:
        HeldError: Another sim runs on the state directory.
        EndpointError: The sim did not start.
    """
    with sim_process(state, port=port, refs=refs) as sim:
        endpoint = sim.endpoint()
        say(f"proxy           {endpoint.proxy}")
        say(f"ca_file         {endpoint.ca_file}")
        say(f"noise_root_key  {endpoint.noise_root_key}")
        say("")
        say("`help` lists the commands, `quit` ends.")
        for line in lines:
            words = _split(line, say)
            if words and words[0] in ("quit", "exit"):
                return
            if words:
                _carry_out(sim, words, say)
        if stay:
            for _ in sim.watch():
                pass


def run_command(state: Path, words: Sequence[str], say: Say) -> None:
    """Carry out one command against the sim that serves ``state``.

    Raises:
        UsageError: There is no such command.
        EndpointError: No sim serves the state directory.
        WakitError: The sim refuses.
    """
    for line in execute(SyncSimClient(admin_socket(state)), words):
        say(line)


def execute(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    """Carry out one command and return what it says; raises as :func:`run_command` does."""
    command = COMMANDS.get(words[0]) if words else None
    if command is None:
        raise UsageError("There is no such command", hint="`help` lists the commands")
    if not command.accepts(len(words) - 1):
        raise UsageError("This command takes other words", hint=f"usage: {command.usage}")
    try:
        return command.action(sim, words[1:])
    except ValueError as error:  # a number that is none, of a phone or otherwise
        raise UsageError("This command takes other words", why=str(error), hint=f"usage: {command.usage}") from None


def _split(line: str, say: Say) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        say("error: a quotation mark is missing")
        return []


def _carry_out(sim: SyncSimClient, words: Sequence[str], say: Say) -> None:
    try:
        for line in execute(sim, words):
            say(line)
    except WakitError as error:
        say(f"error: {error}")
        if error.hint:
            say(f"hint: {error.hint}")


def _scan(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    return [f"linked as device {sim.scan(words[0], words[1]).device}"]


def _type(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    return [f"linked as device {sim.type_code(words[0], words[1]).device}"]


def _unlink(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    return [f"unlinked {sim.unlink(words[0], int(words[1]) if len(words) > 1 else None)}"]


def _online(online: bool) -> _Action:
    def action(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
        sim.set_online(words[0], online)
        return [f"the phone is {'online' if online else 'offline'}"]

    return action


def _strike(scenario: OnlineScenario) -> _Action:
    def action(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
        target = Target(number=PhoneNumber(words[0])) if words else Target()
        return [f"{sim.strike(scenario, target)} connections"]

    return action


def _arm(build: Callable[[Sequence[str]], Scenario]) -> _Action:
    def action(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
        return [f"armed as {sim.arm(build(words))}, for the next one; `calm` takes it back"]

    return action


def _fail(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    reason = int(words[0])
    target = Target(number=PhoneNumber(words[1])) if len(words) > 1 else Target()
    ban = Failure(reason, code=101, expire=3600)  # 101: too many messages to strangers
    return [f"armed as {sim.arm(ban if reason == 402 else Failure(reason), target)}, for the next login"]  # noqa: PLR2004


def _calm(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    del words
    return [f"took {sim.disarm()} back"]


def _listen(on: bool) -> _Action:
    def action(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
        del words
        sim.listen(on)
        return ["the port is open" if on else "the port is closed"]

    return action


def _refs(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    sim.set_refs(int(words[0]))
    return [f"the next clients get {words[0]}"]


def _status(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    del words
    return describe(sim.status())


def _help(sim: SyncSimClient, words: Sequence[str]) -> Iterable[str]:
    del sim, words
    return [f"{command.usage:<26}{command.meaning}" for command in COMMANDS.values()]


def describe(status: SimStatus) -> list[str]:
    """Return a status in lines for a person."""
    said = [f"{status.proxy}  {'open' if status.listening else 'closed'}  {status.connections} connections"]
    for pending in status.pending:
        waits = f"a code of {pending.code_for}" if pending.code_for else f"a scan of one of {pending.refs} QR codes"
        said.append(f"connection {pending.connection} waits for {waits}")
    for account in status.accounts:
        said.append(f"{account.number}  phone {'online' if account.online else 'offline'}")
        said += [
            f"  device {device.device}  {device.platform:<10}{'connected' if device.connected else 'away':<11}"
            f"{device.logins} logins  {device.replaced} replaced  {device.failures} failures"
            for device in account.devices
        ]
    said += [
        f"armed {armed.id}: {armed.scenario.__struct_config__.tag}, "
        + ("until calm" if armed.left is None else f"{armed.left} times")
        for armed in status.armed
    ]
    return said


COMMANDS: Final = {
    command.name: command
    for command in (
        Command("scan", "NUMBER PAYLOAD", "the phone scans the QR code that reads PAYLOAD", _scan),
        Command("type", "NUMBER CODE", "the eight characters are typed on the phone", _type),
        Command("unlink", "NUMBER [DEVICE]", "the phone removes one device, or every one", _unlink),
        Command("offline", "NUMBER", "the phone goes offline", _online(False)),
        Command("online", "NUMBER", "the phone comes back", _online(True)),
        Command("kick", "[NUMBER]", "connections end with stream error 503", _strike(StreamError(503))),
        Command("replace", "[NUMBER]", "connections are told that they were replaced", _strike(Replaced())),
        Command("drop", "[NUMBER]", "connections end without a word", _strike(Drop())),
        Command("deaf", "[NUMBER]", "connections are not answered any more", _strike(Deaf())),
        Command("write", "[NUMBER]", "the phone sends a message, if it is online", _strike(PhoneWrites())),
        Command("fail", "REASON [NUMBER]", "the next login fails with that reason", _fail),
        Command("passkey", "", "the next pairing wants a passkey", _arm(lambda _: PasskeyRequired())),
        Command("hang", "", "the next dial is not answered", _arm(lambda _: HangDial())),
        Command("refuse", "", "the next dial is closed unanswered", _arm(lambda _: RefuseDial())),
        Command("proxy", "STATUS", "the next dial gets that HTTP status", _arm(lambda words: ProxySays(int(words[0])))),
        Command("tls", "", "the next dial's TLS is refused", _arm(lambda _: RefuseTls())),
        Command("slow", "SECONDS", "the next handshake is slow", _arm(lambda words: SlowHandshake(float(words[0])))),
        Command("calm", "", "everything armed is taken back", _calm),
        Command("down", "", "the port is closed", _listen(False)),
        Command("up", "", "the port is opened again", _listen(True)),
        Command("refs", "COUNT", "how many QR codes a client gets from now on", _refs),
        Command("status", "", "accounts, devices, what waits and what is armed", _status),
        Command("help", "", "this list", _help),
    )
}
