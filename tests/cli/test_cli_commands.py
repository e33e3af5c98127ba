from __future__ import annotations

import doctest
import io
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import cli_support as support
import pytest
import segno
from cli_support import Served
from fake_fleet import PAYLOAD, T0, session
from rich.console import Console

from wakit.cli import logbook, render, words
from wakit.cli.app import whole
from wakit.cli.doctor import examining, machine
from wakit.cli.pairing_steps import Step
from wakit.cli.render_pairing import Terminal, qr_lines
from wakit.cli.run import run
from wakit.control.schemas import ActionInfo, OutageInfo, PairingFrame, PairingShown, SessionInfo, StatusInfo
from wakit.errors import ControlError, Exit, HeldError
from wakit.runtime import locate

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.mark.parametrize("module", [words, logbook])
def test_the_examples_in_the_docstrings_run(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


# -- help and documentation ------------------------------------------------------------------------------------------


def every_command() -> Iterator[tuple[str, Any]]:
    group = whole()
    yield "wakit", group
    yield from group.commands.items()


@pytest.mark.parametrize(("name", "command"), list(every_command()), ids=lambda value: str(value)[:12])
def test_every_command_and_option_has_help_and_is_documented(name: str, command: Any) -> None:
    text = DOCS.read_text()
    assert command.help, name
    assert name == "wakit" or f"`wakit {name}" in text
    for parameter in command.params:
        if parameter.name == "help":
            continue
        assert parameter.help, (name, parameter.name)
        for option in parameter.opts:
            if option.startswith("--"):
                assert f"`{option}" in text or f" {option}`" in text or f"{option} " in text, (name, option)


def test_every_exit_code_is_documented() -> None:
    text = DOCS.read_text()
    for code in [*Exit, 70]:
        assert re.search(rf"^\| `?{int(code)}`? ", text, re.MULTILINE), code


def test_help_names_every_exit_code_that_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    rows = re.findall(r"^\| ([0-9, ]+) \|", DOCS.read_text(), re.MULTILINE)
    for code in {code for row in rows for code in row.split(", ")}:
        assert re.search(rf"\b{code}\b", shown.partition("Exit codes")[2]), code
    assert "wakit init" in shown
    assert "docs/cli.md" in shown


@pytest.mark.parametrize("line", [["--help"], ["-h"], []])
def test_help_names_every_command(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 0
    shown = capsys.readouterr().out
    names = [
        "init",
        "plan",
        "up",
        "down",
        "apply",
        "status",
        "pair",
        "events",
        "restart",
        "park",
        "resume",
        "export",
        "import",
        "logs",
        "doctor",
        "sim",
    ]
    for name in names:
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name
    assert "..." not in shown.replace("ARGS]...", "")


# -- usage and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "status --nonsense",
        "pair",
        "up --timeout soon",
        "up --timeout 5",
        "up -d --timeout 60",
        "events --limit 0",
        "sim --port 99999",
        "restart",
        "-c x",
    ],
)
def test_wrong_usage_is_64_with_a_hint(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 64
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "hint: see `wakit" in told.err
    assert told.out == ""


def test_no_daemon_is_4_in_text_and_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["status"], ["apply"], ["restart", "sales"], ["pair", "sales"], ["park", "sales"]):
        assert run(line) == 4, line
        told = capsys.readouterr()
        assert told.err.startswith("error: No daemon runs: ")
        assert "hint: start one with `wakit up -d`" in told.err
        assert told.out == ""
    assert run(["status", "--json"]) == 4
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["error"] == "NoDaemonError"
    # Not an option of the command: a word that belongs to another one.
    assert run(["sim", "--", "status", "--json"]) == 1
    assert run(["pair", "sales", "--phone", "--json"]) == 4
    assert capsys.readouterr().out == ""


def test_every_problem_of_a_file_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sessions.toml").write_text('[sessions.sales]\npairng = "qr"\nenabled = 3\n')
    assert run(["plan"]) == 1
    told = capsys.readouterr().err
    assert told.count("error: ") == 2
    assert "sessions.toml:2:" in told
    assert "pairing" in told


def test_no_file_is_an_error_with_a_hint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sessions.toml").unlink()
    assert run(["-c", "nowhere.toml", "plan"]) == 1
    assert "nowhere.toml" in capsys.readouterr().err
    assert run(["plan", "-c", "nowhere.toml"]) == 1


def test_a_mistake_of_ours_is_70_and_leaves_a_scrubbed_trace(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("the number +34600000001")

    monkeypatch.setattr("wakit.cli.orders.show_status", broken)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert run(["status"]) == 70
    told = capsys.readouterr().err
    assert "Traceback" not in told
    trace = Path(re.search(r"details are in (\S+)", told)[1]).read_text()  # type: ignore[index]
    assert "34600000001" not in trace + told
    assert "in broken" in trace


def test_ctrl_c_is_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wakit.cli.orders.show_status", interrupted)
    assert run(["status"]) == 130


def test_a_reader_that_has_gone_is_no_error(served: Served, folder: Path) -> None:
    served.do(lambda fleet: [fleet.log(session="sales", reason="x" * 500) for _ in range(2000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "wakit", "events", "--json", "-n", "2000"],
        cwd=folder, env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert said == b""
    assert process.returncode == 141


# -- asking and ordering ---------------------------------------------------------------------------------------------


def test_status_json_is_the_documented_shape(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["daemon", "sessions"]
    assert {"name", "state", "status", "since", "reason", "worker_pid", "attempt"} <= set(told["sessions"][0])
    StatusInfo.model_validate(told)


def test_status_tells_everything_a_person_needs(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    soon = datetime.now(UTC).replace(year=2999)
    served.do(lambda f: f.change("sales", "reconnecting", reason="name look-up failed", attempt=3, next_try_at=soon))
    served.do(
        lambda f: f.change_daemon(
            declaration=f.daemon.declaration.model_copy(update={"error": "sessions.toml:3:9: no", "hint": "mend it"})
        )
    )
    assert run(["status"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^NAME +STATE +SINCE +SEEN +WORKER +TRY +REASON", shown, re.MULTILINE)
    assert re.search(r"^sales +○ reconnecting +.* 3, next in \d+ d.* name look-up failed", shown, re.MULTILINE)
    assert "rev 3 @ c0ffeec0ff" in shown
    assert "the file as it is now is not in force: sessions.toml:3:9: no" in shown
    assert "hint: mend it" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) < 200
    assert not re.search(r" $", shown, re.MULTILINE)


def test_orders_reach_the_daemon(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["restart", "sales", "support"]) == 0
    assert run(["park", "sales"]) == 0
    assert run(["resume", "sales", "--json"]) == 0
    assert served.fleet.orders == [("restart", "sales"), ("restart", "support"), ("park", "sales"), ("resume", "sales")]
    told = capsys.readouterr().out
    assert "support is being restarted (still declared)\n" in told
    assert "sales is being parked (still connected)\n" in told
    SessionInfo.model_validate_json(told.splitlines()[-1])


def test_a_plan_says_what_waits_for_whom(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.waiting = {"sales": "waits for a person"}
    assert run(["plan"]) == 0
    assert capsys.readouterr().out == ". sales: waits for a person\nNothing to do.\n"
    served.fleet.held = {"sales": "it would be retired", "support": "it would be retired"}
    assert run(["plan"]) == 0
    assert capsys.readouterr().out.endswith("Nothing else to do; 2 actions wait for you.\n")


def test_an_order_says_what_it_waits_for(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.waiting = {"sales": "WhatsApp refuses this version of the client", "support": "next try in 9 s"}
    served.do(lambda fleet: fleet.change("sales", "parked"))
    assert run(["resume", "sales"]) == 0
    assert capsys.readouterr().out == (
        "sales is being resumed (still parked); WhatsApp refuses this version of the client\n"
    )
    assert run(["restart", "sales", "support"]) == 0
    assert "support is being restarted (still declared); next try in 9 s\n" in capsys.readouterr().out
    assert run(["park", "sales"]) == 0
    assert "refuses" not in capsys.readouterr().out


def test_one_that_is_refused_keeps_nobody_else_s_order_back(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["park", "nope", "sales", "support"]) == 1
    assert served.fleet.orders == [("park", "sales"), ("park", "support")]
    out, err = capsys.readouterr()
    assert out == "sales is being parked (still connected)\nsupport is being parked (still declared)\n"
    assert err.startswith("error: No session is called nope")
    assert err.count("hint: ") == 1
    assert run(["restart", "sales", "nope", "--json"]) == 1
    done, refused = map(json.loads, capsys.readouterr().out.splitlines())
    assert done["name"] == "sales"
    assert (refused["session"], refused["error"]["error"]) == ("nope", "UnknownSessionError")


def test_the_exit_code_of_several_orders_is_that_of_the_gravest_refusal(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    park = served.fleet.park

    async def refuse(name: str) -> SessionInfo:
        if name == "sales":
            raise HeldError("sales is held", why="by 12", hint="wait")
        return await park(name)

    served.fleet.park = refuse  # type: ignore[method-assign]
    assert run(["park", "sales", "nope", "support"]) == 5
    out, err = capsys.readouterr()
    assert out == "support is being parked (still declared)\n"
    assert "error: sales is held: by 12\nhint: wait\n" in err


def test_what_is_refused_whoever_it_is_about_is_said_once(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda f: f.change_daemon(ending="2 workers to end"))
    assert run(["restart", "sales", "support"]) == 1
    assert capsys.readouterr().err.count("error: ") == 1


def test_what_the_file_parks_is_not_said_to_be_resumed(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda fleet: fleet.change("sales", "parked", enabled=False))
    assert run(["resume", "sales"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: sales stays parked: sessions.toml says enabled = false" in err
    assert "hint: take `enabled = false` out of [sessions.sales]" in err
    assert run(["restart", "ventas"]) == 1
    assert "No session is called ventas" in capsys.readouterr().err


def test_a_refusal_of_the_daemon_has_its_own_exit_code(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.refusal = HeldError("It is held", why="by 12", hint="wait")
    assert run(["status"]) == 5
    assert capsys.readouterr().err == "error: It is held: by 12\nhint: wait\n"


def test_plan_asks_the_daemon_and_its_exit_code_tells(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan"]) == 0
    assert "Nothing to do." in capsys.readouterr().out
    action = ActionInfo(action="retire", session="old", reason="it left the file", text="retire old: it left the file")
    served.fleet.planned = [action]
    served.fleet.held = dict.fromkeys(("x", "y"), "too many at once") | {"z": "one account has one session"}
    served.fleet.hints = dict.fromkeys(("x", "y"), "`wakit apply --confirm`") | {"z": "take z out of the file"}
    assert run(["plan"]) == 2
    shown = capsys.readouterr().out
    assert "- retire old: it left the file" in shown
    assert "! x is held: too many at once" in shown
    assert shown.endswith("\nhint: `wakit apply --confirm`\nhint: take z out of the file\n")
    assert run(["plan", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["actions"][0]["action"] == "retire"
    served.do(
        lambda f: f.change_daemon(declaration=f.daemon.declaration.model_copy(update={"error": "sessions.toml:3: no"}))
    )
    assert run(["plan"]) == 1
    assert run(["apply", "--confirm"]) == 0
    assert served.fleet.orders == [("apply", True)]


def test_holds_alone_are_no_change(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.held = {"x": "too many at once", "y": "too many at once"}
    served.fleet.planned = [
        ActionInfo(action="hold", session=n, reason="too many", text=f"hold {n}: too many") for n in "xy"
    ]
    assert run(["plan"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("too many") == 2
    assert "Nothing else to do; 2 actions wait for you." in shown


def test_plan_works_without_a_daemon(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan"]) == 2
    shown = capsys.readouterr().out
    assert "+ create sales" in shown
    assert "+ create support" in shown
    assert not (folder / ".wakit").exists()


def test_down_without_a_daemon_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down"]) == 0
    assert "nothing to end" in capsys.readouterr().out


def test_down_says_when_the_daemon_does_not_end(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda f: f.change_daemon(pid=1))
    assert run(["down", "--timeout", "0.1"]) == 3
    assert "still runs" in capsys.readouterr().err
    assert served.fleet.stopped.is_set()


@pytest.mark.parametrize(
    ("words", "about"),
    [(["--timeout", "3"], "--wait"), (["--sim-phones", "manual"], "--sim")],
    ids=["timeout", "phones"],
)
def test_up_refuses_an_option_that_would_mean_nothing(
    words: list[str], about: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "-c", str(folder / "sessions.toml"), *words]) == 64
    told = capsys.readouterr().err
    assert f"{words[0]}: " in told
    assert f"{about}" in told


def test_init_writes_a_file_that_loads_and_never_overwrites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "-c", "new.toml"]) == 0
    assert locate(folder / "new.toml").config.name == "new.toml"
    before = (folder / "new.toml").read_text()
    assert run(["init", "-c", "new.toml"]) == 1
    assert (folder / "new.toml").read_text() == before
    assert run(["init"]) == 1
    assert (folder / "sessions.toml").read_text() == support.FILE
    assert run(["init", "-c", "missing/new.toml"]) == 1
    assert "error: " in capsys.readouterr().err


# -- events and logs -------------------------------------------------------------------------------------------------


def test_events_as_lines_and_as_json(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(
        lambda f: f.log(session="sales", state_from="paired", state_to="connected", reason="logged in", code="ok")
    )
    assert run(["events"]) == 0
    assert "2026-01-02 03:04:05  sales            paired → connected         logged in [ok]" in capsys.readouterr().out
    assert run(["events", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["seq"], told["ts"], told["kind"]) == (1, "2026-01-02T03:04:05Z", "state")


def test_what_an_event_does_not_say_is_null(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda f: f.log(session="sales", reason=""))
    assert run(["events", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reason"], told["detail"]) == (None, None)


def test_events_ask_for_what_was_asked(served: Served) -> None:
    assert run(["events", "sales", "--since", "1h", "-n", "7"]) == 0
    query, params, *_ = served.fleet.orders[0][1]
    assert "LIMIT 7" in query
    assert params[0] == "sales"
    assert abs((datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(params[1])).total_seconds() - 3600) < 60
    assert run(["events", "--since", "yesterday-ish"]) == 1


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1y", "999999w", "9999999s", "2026-13-01"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    if text == "999999w":
        with pytest.raises(ControlError):
            words.since(text, T0)
        return
    with pytest.raises(ControlError, match="--since is not understood"):
        words.since(text, T0)


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert words.since("2026-01-01T12:00", T0) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert words.since("2026-01-01T12:00+02:00", T0) == datetime(2026, 1, 1, 10, tzinfo=UTC)


def test_following_goes_on_until_ctrl_c(served: Served, folder: Path) -> None:
    served.do(lambda f: f.log(session="sales", reason="old"))
    with subprocess.Popen(
        [sys.executable, "-m", "wakit", "events", "sales", "-f", "--json"],
        cwd=folder, env=support.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["reason"] == "old"
        served.wait_for_readers(1)
        served.do(lambda f: f.log(session="support", reason="another's"))
        served.do(lambda f: f.log(session="sales", reason="new"))
        assert json.loads(process.stdout.readline())["reason"] == "new"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == ""


def test_logs_are_readable_with_and_without_a_daemon(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = folder / ".wakit" / "logs"
    logs.mkdir(parents=True)
    (logs / "sales.log").write_text('{"ts": "T1", "line": "one"}\n{"ts": "T2", "line": "two"}\nnot json\n')
    assert run(["logs", "sales", "-n", "2"]) == 0
    assert capsys.readouterr().out == "T2 two\nnot json\n"
    assert run(["logs", "sales", "--json"]) == 0
    assert capsys.readouterr().out.startswith('{"ts": "T1"')
    for name in ("ventas", "../sessions", ""):
        assert run(["logs", name]) == 1
        assert "there are: sales" in capsys.readouterr().err
    assert run(["logs", "sale"]) == 1
    assert "did you mean sales?" in capsys.readouterr().err
    for name in ("_daemon", "_workers"):
        (logs / f"{name}.log").write_text('{"ts": "T1", "level": "error", "line": "one", "trace": "  x.py:1 in f"}\n')
        assert run(["logs", name]) == 0
        assert capsys.readouterr().out == "T1 error one\n  x.py:1 in f\n"
    for number in range(500):
        (logs / f"session-{number}.log").touch()
    assert run(["logs", "quite-another"]) == 1
    assert len(capsys.readouterr().err) < 300


def test_a_log_is_followed_over_its_rotation(folder: Path) -> None:
    logs = folder / ".wakit" / "logs"
    logs.mkdir(parents=True)
    log = logs / "sales.log"
    log.write_text("one\n")
    with subprocess.Popen(
        [sys.executable, "-m", "wakit", "logs", "sales", "-f"],
        cwd=folder, env=support.environment(), stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "one\n"
        with log.open("a") as file:
            file.write("two\nthr")
            file.flush()
            assert process.stdout.readline() == "two\n"
            file.write("ee\n")
        assert process.stdout.readline() == "three\n"
        log.rename(logs / "sales.log.1")
        log.write_text("four\n")
        assert process.stdout.readline() == "four\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


# -- pairing ---------------------------------------------------------------------------------------------------------


def pair_while(served: Served, words_: list[str], *acts: Any) -> int:
    """Run ``wakit pair`` while things happen to the fleet, once the request has come in."""

    def on_pair(*_: object) -> None:
        for act in acts:
            act(served.fleet)

    served.fleet.on_pair = on_pair
    return run(words_)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_pair_shows_every_qr_and_ends_when_connected(served: Served, folder: Path) -> None:
    with pairing_process(folder) as process:
        assert process.next()["event"] == "waiting"
        served.do(lambda f: f.change("support", "pairing", reason="shows a QR"))
        assert process.next()["state"] == "pairing"
        for payload in (PAYLOAD, PAYLOAD + "2"):
            served.do(lambda f, payload=payload: f.show("support", payload=payload))
            told = process.next()
            assert (told["event"], told["payload"]) == ("qr", payload)
            assert set(told) == {"event", "session", "payload", "expires_at"}
            assert told["expires_at"].endswith("Z")
        served.do(lambda f: f.unshow("support"))
        served.do(lambda f: f.change("support", "paired", since=datetime.now(UTC)))
        assert process.next()["state"] == "paired"
        served.do(lambda f: f.change("support", "connected", since=datetime.now(UTC), reason="logged in"))
        assert process.next()["event"] == "connected"
        assert process.ended() == 0


def test_pair_that_nobody_scans_is_3(served: Served, folder: Path) -> None:
    with pairing_process(folder) as process:
        process.next()
        served.do(lambda f: f.show("support"))
        assert process.next()["event"] == "qr"
        served.do(lambda f: f.change("support", "declared", since=datetime.now(UTC), reason="nobody scanned"))
        assert process.next() | {"at": ""} == {
            "event": "expired", "session": "support", "state": "declared", "reason": "nobody scanned", "at": "",
        }  # fmt: skip
        assert process.ended() == 3


def test_a_code_is_told_once_however_often_the_session_changes_meanwhile(served: Served, folder: Path) -> None:
    with pairing_process(folder) as process:
        process.next()
        served.do(lambda f: f.show("support", payload=None, code="ABCD-1234"))
        assert process.next()["event"] == "code"
        served.do(lambda f: f.tell(PairingFrame(session="support", shown=f.shown["support"])))
        served.do(lambda f: f.change("support", "connected", since=datetime.now(UTC), reason="logged in"))
        assert process.next()["event"] == "connected"


class PairingProcess:
    """``wakit pair support --json`` as a process, read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ended(self) -> int:
        return self._process.wait(20)


@contextmanager
def pairing_process(folder: Path) -> Iterator[PairingProcess]:
    with subprocess.Popen(
        [sys.executable, "-m", "wakit", "pair", "support", "--json"],
        cwd=folder, env=support.environment(), stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield PairingProcess(process)
        finally:
            process.kill()


def test_pair_by_code(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    code = pair_while(
        served, ["pair", "support", "--json", "--code", "--phone", "+34 600 000 001"],
        lambda f: f.show("support", payload=None, code="ABCD-1234"),
        lambda f: f.change("support", "connected", since=datetime.now(UTC)),
    )  # fmt: skip
    told = lines(capsys)
    assert code == 0
    assert next(line for line in told if line["event"] == "code")["code"] == "ABCD-1234"
    request = served.fleet.orders[0][1][1]
    assert (request.method, request.phone) == ("code", "+34600000001")


def test_a_number_is_read_from_stdin_or_asked_for_and_is_never_an_argument(
    served: Served, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served.do(lambda f: f.change("sales", "declared"))
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "+34 600 000 002"

    monkeypatch.setattr("getpass.getpass", typed)
    monkeypatch.setattr("sys.stdin", io.StringIO("+34600000003\n"))
    connect = lambda f: f.change("sales", "connected", since=datetime.now(UTC))  # noqa: E731
    assert pair_while(served, ["pair", "sales", "--code", "--phone", "-"], connect) == 0
    served.do(lambda f: f.change("sales", "declared"))
    assert run(["pair", "sales", "--code", "--phone", "-"]) == 1  # stdin has ended
    assert "no number was given" in capsys.readouterr().err
    assert pair_while(served, ["pair", "sales", "--code"], connect) == 0  # no terminal: the daemon says what it needs
    monkeypatch.setattr("wakit.cli.asking._on_terminal", lambda: True)
    served.do(lambda f: f.change("sales", "declared"))
    assert pair_while(served, ["pair", "sales", "--code"], connect) == 0
    served.do(lambda f: f.change("support", "declared"))
    # The file has this one's, and the daemon knows no ventas: nobody is asked.
    assert pair_while(served, ["pair", "support", "--code"], lambda f: f.change("support", "connected")) == 0
    assert run(["pair", "ventas", "--code"]) == 1
    assert [order[1][1].phone for order in served.fleet.orders] == ["+34600000003", None, "+34600000002", None]
    assert len(asked) == 1


def test_pair_when_connected_already_asks_for_nothing(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pair", "sales", "--json"]) == 0
    assert [line["event"] for line in lines(capsys)] == ["connected"]
    assert served.fleet.orders == []
    assert run(["pair", "sales"]) == 0
    assert "sales is connected" in capsys.readouterr().out


def test_pair_when_it_is_being_paired_shows_the_current_code(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.do(lambda f: f.change("support", "pairing"))
    served.do(lambda f: f.show("support"))
    code = pair_while(served, ["pair", "support", "--json"], lambda f: f.change("support", "connected"))
    assert code == 0
    assert [line["event"] for line in lines(capsys)][-1] == "connected"


@pytest.mark.parametrize("state", ["logged_out", "banned", "passkey_required", "failed", "conflict", "outdated"])
def test_a_verdict_ends_it_and_an_old_one_does_not(
    served: Served, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    served.do(lambda f: f.change("support", state, reason="an old verdict"))
    code = pair_while(
        served, ["pair", "support", "--json"],
        lambda f: f.change("support", state, reason="an old verdict"),
        lambda f: f.change("support", state, since=datetime.now(UTC), reason="a new verdict"),
    )  # fmt: skip
    assert code == 1
    assert lines(capsys)[-1] | {"at": ""} == {
        "event": "failed", "session": "support", "state": state, "reason": "a new verdict", "at": "",
    }  # fmt: skip


def test_pair_gives_up_after_its_timeout(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pair", "support", "--timeout", "1.5"]) == 3
    assert "support is not connected after 1.5 s: it is declared" in capsys.readouterr().err


def test_pair_of_an_unknown_session_and_with_a_wrong_number(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pair", "ventas"]) == 1
    assert run(["pair", "support", "--code", "--phone", "34655512345"]) == 1
    told = capsys.readouterr().err
    assert "No session is called ventas" in told
    assert "34655512345" not in told


def test_the_qr_on_the_terminal_is_the_qr() -> None:
    matrix = [list(row) for row in segno.make(PAYLOAD, error="l", boost_error=False).matrix_iter(border=4)]
    halves = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    drawn: list[list[int]] = []
    for line in qr_lines(PAYLOAD):
        pairs = [halves[char] for char in line]
        drawn += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    assert [[bool(m) for m in row] for row in drawn[: len(matrix)]] == [[bool(m) for m in row] for row in matrix]
    assert not any(map(any, drawn[len(matrix) :]))
    swapped = str.maketrans("█▀▄ ", " ▄▀█")
    assert [line.translate(swapped) for line in qr_lines(PAYLOAD)][:-1] == qr_lines(PAYLOAD, inverted=True)[:-1]


def shown_on(console: Console, *steps: Step) -> str:
    with console.capture() as captured, Terminal(console) as screen:
        for step in steps:
            screen.show(step)
    return captured.get()


def test_a_terminal_shows_code_and_qr_and_what_became_of_it() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=61)
    told = session("sales", "pairing")
    qr = Step("qr", told, PairingShown(session="sales", event="qr", payload=PAYLOAD, expires_at=soon))
    code = Step("code", told, PairingShown(session="sales", event="code", code="ABCD-2345", expires_at=soon))
    wide = Console(width=120, height=60, force_terminal=True, color_system="truecolor", highlight=False)
    on_terminal = shown_on(wide, qr, Step("connected", session("sales", reason="logged in")))
    assert "scan" in on_terminal
    assert "\x1b[38;2;0;0;0;48;2;255;255;255m" in on_terminal
    assert "1 min left" in on_terminal
    assert "sales is connected: logged in" in on_terminal
    narrow = Console(width=50, height=20, force_terminal=True, color_system=None, highlight=False)
    assert "too narrow" in shown_on(narrow, qr)
    pipe = Console(width=4000, force_terminal=False, color_system=None, highlight=False)
    assert "ABCD-2345" in shown_on(pipe, code)
    assert all(line in shown_on(pipe, qr) for line in qr_lines(PAYLOAD, inverted=True)[:-1])
    assert "Once more: `wakit pair sales`" in shown_on(pipe, Step("expired", session("sales", "declared")))


# -- doctor and sim --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "check_library", lambda: iter(()))
    monkeypatch.setattr(machine, "_resolves", lambda _: False)


def examined(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = run(["doctor", "--json", *more])
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    return code, {check["name"]: check for check in told["checks"]}


def test_doctor_on_a_healthy_project(folder: Path, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys)
    assert code == 0
    assert set(found) == {
        "python", "file", "state", "privacy", "accounts", "disk", "socket", "daemon", "journal", "credential",
        "endpoint",
    }  # fmt: skip
    assert found["accounts"]["verdict"] == "ok"
    assert found["endpoint"]["verdict"] == "warn"
    assert not (folder / ".wakit").exists()
    assert run(["doctor"]) == 0
    assert re.search(r"^ok    file +.*2 sessions$", capsys.readouterr().out, re.MULTILINE)


def test_doctor_finds_what_is_wrong(folder: Path, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".wakit").mkdir(mode=0o755)
    (folder / ".wakit" / "journal.duckdb").write_bytes(b"no database")
    (folder / "sessions.toml").write_text(support.FILE + 'colour = "red"\n')
    code, found = examined(capsys)
    assert code == 1
    assert {name for name, check in found.items() if check["verdict"] == "fail"} == {"file", "journal"}
    assert found["state"]["verdict"] == "warn"
    assert all(check["hint"] for check in found.values() if check["verdict"] != "ok")


def test_doctor_looks_at_the_accounts_of_the_machine(
    folder: Path, no_library: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state_home = folder / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home))
    found = examined(capsys)[1]["accounts"]
    assert (found["verdict"], found["said"]) == ("ok", f"noted in {state_home}/wakit/accounts")
    assert not state_home.exists()
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert examined(capsys)[1]["accounts"]["verdict"] == "warn"
    state_home.mkdir()
    (state_home / "wakit").symlink_to(folder)
    assert examined(capsys)[1]["accounts"]["verdict"] == "fail"


def test_doctor_looks_at_the_endpoint(folder: Path, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        endpoint = (
            f'[endpoint]\nproxy = "http://127.0.0.1:{port}"\nca_file = "ca.pem"\nnoise_root_key = "{"ab" * 32}"\n'
        )
        (folder / "sessions.toml").write_text(support.FILE + endpoint)
        assert "does not exist" in examined(capsys)[1]["endpoint"]["said"]
        (folder / "ca.pem").touch()
        assert examined(capsys)[1]["endpoint"]["verdict"] == "ok"
    assert "does not answer" in examined(capsys)[1]["endpoint"]["said"]


def test_doctor_asks_the_daemon(served: Served, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = examined(capsys)
    assert found["daemon"]["said"].startswith("pid 4242")
    served.do(lambda f: f.change_daemon(stuck_queries=1))
    code, found = examined(capsys)
    assert (code, found["daemon"]["verdict"], found["journal"]["verdict"]) == (0, "ok", "warn")
    assert "told to stop and still run: 1" in found["journal"]["said"]
    assert run(["status"]) == 0
    assert "queries on the journal that were told to stop and still run: 1" in capsys.readouterr().out
    served.do(lambda f: f.change_daemon(journal_ok=False))
    code, found = examined(capsys)
    assert (code, found["daemon"]["verdict"]) == (1, "fail")


def test_an_outage_of_the_whole_fleet_is_told(
    served: Served, no_library: None, capsys: pytest.CaptureFixture[str]
) -> None:
    due = datetime.now(UTC) + timedelta(minutes=30)
    outage = OutageInfo(
        trouble="outdated", since=due, reason="WhatsApp refuses this version", sessions=1, next_probe_at=due
    )
    served.do(lambda f: f.change_daemon(outage=outage))
    assert run(["status"]) == 0
    assert "WhatsApp refuses this version; the next try is in" in capsys.readouterr().out
    code, found = examined(capsys)
    assert (code, found["daemon"]["verdict"]) == (0, "warn")
    assert "upgrade wakit" in found["daemon"]["hint"]
    served.do(lambda f: f.change_daemon(outage=outage.model_copy(update={"probing": "sales"})))
    assert run(["status"]) == 0
    assert "WhatsApp refuses this version; sales is trying" in capsys.readouterr().out


def test_status_says_when_whatsapp_was_last_heard(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    seen_at = datetime.now(UTC) - timedelta(minutes=5, seconds=20)
    served.do(lambda f: f.change("sales", "reconnecting", stale=True, last_seen_at=seen_at))
    assert run(["status"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^sales +○ reconnecting \(stale\) +.* 5 min  ", shown, re.MULTILINE), shown


def test_doctor_has_sessions_ask(served: Served, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert "sessions" not in examined(capsys)[1]
    _, found = examined(capsys, "--ask")
    assert found["sessions"]["verdict"] == "ok"
    assert "WhatsApp answered 1 of 1 connected sessions, the slowest in 20 ms" in found["sessions"]["said"]


def test_doctor_does_not_import_a_library_without_its_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("pylibmagic", ""),
        ("magic", "class Magic: pass"),
        ("neonize", f"open({str(tmp_path / 'imported')!r}, 'w')"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(
        machine, "_LIBRARY", machine._LIBRARY.replace('importlib.metadata.version("pylibmagic")', '"1"')
    )
    *_, last = machine.check_library()
    assert (last.name, last.verdict, last.said) == ("neonize", "fail", "neonize has no binary here")
    assert "neonize==0.5.2" in last.hint
    assert not (tmp_path / "imported").exists()


def test_doctor_without_a_file(folder: Path, no_library: None, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined(capsys, "-c", "nowhere.toml")
    assert code == 1
    assert found["file"]["verdict"] == "fail"


def test_sim_lists_its_commands_and_refuses_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sim", "help"]) == 0
    shown = capsys.readouterr().out
    for command in ("scan NUMBER PAYLOAD", "type NUMBER CODE", "unlink NUMBER", "kick"):
        assert command in shown
    assert run(["sim", "nonsense"]) == 1
    assert run(["sim", "status"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


# -- a process of its own --------------------------------------------------------------------------------------------


def test_the_command_line_loads_only_what_a_command_needs(served: Served, folder: Path) -> None:
    script = (
        "import sys; sys.argv[1:] = {words!r}.split(); from wakit.cli.run import run; code = run();"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    never = {"neonize", "fastapi", "uvicorn", "duckdb", "pyarrow", "websockets", "anywidget", "IPython"}
    for line, more in (
        ("--help", {"rich", "pydantic", "wakit.runtime"}),
        ("status --json", {"rich", "wakit.cli.commands.credentials"}),
        ("status", set()),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script.format(words=line)],
            cwd=folder, env=support.environment(), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        loaded = set(done.stderr.split())
        assert not loaded & (never | more), (line, loaded & (never | more))


def test_a_narrow_or_colourless_world_still_reads() -> None:
    told = StatusInfo.model_validate(
        {"daemon": {
            "pid": 1, "run_id": "r", "version": "0", "started_at": T0, "state_dir": "/s", "socket": "/s/c",
            "declaration": {"path": "/sessions.toml", "warnings": ["w"]}, "journal_ok": False,
        }, "sessions": []}
    )  # fmt: skip
    console = Console(width=40, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(render.status(told, T0, unicode=False))
    assert "No sessions are declared." in captured.get()
    assert "the journal cannot be written" in captured.get().replace("\n", " ")
    assert render.sign(session("a", "failed"), unicode=False).plain == "x failed"
    for state in ("parked", "held", "connected", "declared", "reconnecting"):
        assert state in render.sign(session("a", state)).plain


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="POSIX")
def test_python_dash_m_works(folder: Path) -> None:
    done = support.command(folder, "--version")
    assert done.stdout.startswith("wakit ")
    assert done.returncode == 0
