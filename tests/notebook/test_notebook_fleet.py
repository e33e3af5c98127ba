from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from served_fleet import PAYLOAD, FakeFleet, ServedFleet, session

import wakit
from wakit.control.schemas import ActionInfo, SessionChanged, SessionGone
from wakit.errors import ControlError, NoDaemonError, NotConvergedError, UnknownSessionError
from wakit.notebook.fleet import Fleet
from wakit.notebook.log import Log
from wakit.notebook.snapshot import Snapshot


def until(fleet: Fleet, holds: Callable[[Snapshot], bool]) -> None:
    """Wait until the live connection has told it."""
    fleet._link.when(holds, 20).result()


def test_import_is_light() -> None:
    """Nothing that costs time is loaded by the import, by looking around, or by the names themselves."""
    program = (
        "import sys; bare = set(sys.modules); import wakit; dir(wakit); wakit.__version__\n"
        "heavy = {'duckdb', 'pyarrow', 'ipywidgets', 'anywidget', 'fastapi', 'pydantic', 'neonize', 'asyncio'}\n"
        "print(sorted(heavy & (set(sys.modules) - bare)), len(set(sys.modules) - bare))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    heavy, _, count = out.strip().rpartition(" ")
    assert heavy == "[]"
    assert int(count) < 60  # typing and importlib, with what they bring


def test_lazy_names_are_all_there() -> None:
    assert {"connect", "Fleet", "Session", "WakitError"} <= set(dir(wakit))
    for name in wakit.__all__:
        assert getattr(wakit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        wakit.conect  # noqa: B018


def test_is_a_mapping_of_sessions(fleet: Fleet) -> None:
    assert list(fleet) == ["sales", "support"]
    assert len(fleet) == 2
    assert fleet["sales"].state == fleet["sales"].status == "connected"
    assert "sales" in fleet
    assert "slaes" not in fleet
    assert fleet.get("slaes") is None
    assert fleet._ipython_key_completions_() == ["sales", "support"]


def test_unknown_name_says_which_one_was_meant(fleet: Fleet) -> None:
    with pytest.raises(UnknownSessionError) as caught:
        fleet["slaes"]
    assert caught.value.hint == "did you mean sales?"


def test_an_unknown_name_is_a_key_error_that_lists_what_there_is(fleet: Fleet) -> None:
    with pytest.raises(KeyError) as caught:
        fleet["qqq"]
    assert caught.value._render_traceback_() == [  # type: ignore[attr-defined]
        "error: No session is called 'qqq'",
        "hint: declared are sales, support; fleet.declare('qqq') declares one",
    ]
    with pytest.raises(KeyError, match="No session is called 3"):
        fleet[3]  # type: ignore[index]
    assert 3 not in fleet
    for strange in ("", "a/b", "..", "ä", "x" * 64):
        assert strange not in fleet


def test_a_session_is_one_object(fleet: Fleet) -> None:
    assert fleet["sales"] is fleet["sales"]


def test_what_was_retired_meanwhile_still_shows_itself(fleet: Fleet, served: ServedFleet) -> None:
    sales = fleet["sales"]
    served.do(lambda fake: (fake.sessions.pop("sales"), fake.tell(SessionGone(name="sales"))))
    until(fleet, lambda now: "sales" not in now.sessions)
    assert repr(sales) == "sales: No session is called sales"
    assert sales._repr_html_() == "<p>sales: No session is called sales</p>"
    with pytest.raises(UnknownSessionError):
        sales.state  # noqa: B018


def test_resuming_does_not_outvote_the_file(fleet: Fleet, served: ServedFleet) -> None:
    assert fleet["support"].park().resume().name == "support"
    served.do(lambda fake: fake.change("sales", "parked", enabled=False))
    with pytest.raises(ControlError) as caught:
        fleet["sales"].resume()
    assert str(caught.value) == "sales stays parked: sessions.toml says enabled = false"
    assert caught.value.hint == 'fleet.declare("sales", enabled=True)'


def test_a_log_is_lines_for_programs_and_words_for_people(fleet: Fleet) -> None:
    log = fleet["sales"].logs(lines=3)
    assert list(log) == ['{"n": 0}', '{"n": 1}', '{"n": 2}']
    assert log.entries() == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert repr(log) == "0\n1\n2"
    assert log._repr_html_().startswith('<pre aria-label="Log of sales" tabindex="0">0')
    strange = Log("sales", ['{"ts": "T", "text": "<b>", "trace": "line 1"}', "goroutine 1 [running]", "[1]"])
    assert repr(strange) == "T <b>\nline 1\ngoroutine 1 [running]\n[1]"
    assert "&lt;b&gt;" in strange._repr_html_()
    assert repr(Log("sales")) == "The log of sales is empty."


def test_no_daemon_is_told_when_attaching(folder: Path) -> None:
    with pytest.raises(NoDaemonError):
        Fleet(folder / "sessions.toml", folder)


def test_follows_what_happens(fleet: Fleet, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "reconnecting", reason="dropped"))
    until(fleet, lambda now: now.sessions["sales"].state == "reconnecting")
    assert fleet["sales"].reason == "dropped"
    served.do(lambda fake: fake.tell(SessionGone(name="support")))
    until(fleet, lambda now: "support" not in now.sessions)
    served.do(lambda fake: fake.tell(SessionChanged(session=session("new"))))
    until(fleet, lambda now: "new" in now.sessions)
    assert list(fleet) == ["sales", "new"]


def test_knows_a_session_the_stream_has_not_told_of(fleet: Fleet, served: ServedFleet) -> None:
    served.do(lambda fake: fake.sessions.update(fresh=session("fresh")))
    assert fleet["fresh"].state == "connected"


def test_outlives_the_daemon(folder: Path) -> None:
    served = ServedFleet(folder, "sales")
    with served.up():
        fleet = Fleet(folder / "sessions.toml", folder)
    with fleet:
        until(fleet, lambda now: not now.reachable)
        assert "does not answer" in repr(fleet)
        assert fleet["sales"].state == "connected"  # as last known
        with pytest.raises(NoDaemonError):
            fleet["sales"].restart()
        served.fake.sessions["sales"] = session("sales", "failed")
        with served.up():
            until(fleet, lambda now: now.reachable)
            assert fleet["sales"].state == "failed"


async def test_wait_judges_by_the_daemon_not_by_the_stream(fleet: Fleet, served: ServedFleet) -> None:
    """After a restart the stream still says "connected" for a moment: that must not count."""
    served.do(lambda fake: fake.sessions.update(sales=session("sales", "starting")))  # the stream is silent about it
    waiting = asyncio.create_task(fleet["sales"].wait(timeout=20))
    await asyncio.wrap_future(fleet._link.when(lambda _: True, 1))
    assert not waiting.done()
    served.do(lambda fake: fake.change("sales", "pairing"))
    served.do(lambda fake: fake.change("sales", "connected"))
    assert (await waiting).state == "connected"


def test_wait_blocking_and_too_late(fleet: Fleet, served: ServedFleet) -> None:
    assert fleet["sales"].wait_blocking(timeout=20).name == "sales"
    served.do(lambda fake: fake.change("sales", "declared", reason="nobody scanned", needs_person=True))
    with pytest.raises(NotConvergedError) as caught:
        fleet["sales"].wait_blocking("connected", "failed", timeout=0.05)
    assert str(caught.value) == "sales is not connected or failed after 0.05 s: it is declared, nobody scanned"
    assert ".pair()" in caught.value.hint
    with pytest.raises(ControlError, match="conected is no state"):
        fleet["sales"].wait_blocking("conected")


def test_what_it_says_as_text_and_html(fleet: Fleet, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "failed", reason="<script>alert(1)</script>"))
    until(fleet, lambda now: now.sessions["sales"].state == "failed")
    text = repr(fleet)
    assert text.startswith("Fleet of 2: 1 connected, 1 failed\n")
    assert "✕ sales failed for " in text
    bundle, _ = fleet._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}  # no kernel here, hence no widget
    assert "<script>" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "as of 20" in bundle["text/html"]
    assert repr(fleet["support"]).startswith("● support connected for ")


def test_plan_says_what_it_would_do(fleet: Fleet) -> None:
    plan = fleet.plan()
    assert not plan
    assert repr(plan) == "Nothing to do: the sessions are as declared."


def test_plan_says_what_is_held_and_what_ends_it_as_the_command_does(fleet: Fleet, served: ServedFleet) -> None:
    hint = "mend the file, or carry out what is held with `wakit apply --confirm`"

    def hold(fake: FakeFleet) -> None:
        fake.planned = [ActionInfo(action="restart", session="sales", reason="proxy", text="restart sales: proxy")]
        fake.held = {"support": "<too many>", "third": "<too many>"}
        fake.hints = {"support": hint, "third": hint}
        fake.daemon = fake.daemon.model_copy(
            update={"declaration": fake.daemon.declaration.model_copy(update={"error": "no TOML", "hint": "close it"})}
        )

    served.do(hold)
    plan = fleet.plan()
    assert repr(plan).splitlines() == [
        "~ restart sales: proxy",
        "! support is held: <too many>",
        "! third is held: <too many>",
        "! sessions.toml as it is now is not in force: no TOML",
        f"hint: {hint}",
        "hint: close it",
    ]
    html = plan._repr_html_()
    assert html.startswith('<ul aria-label="Plan"')
    assert "<li>! support is held: &lt;too many&gt;</li>" in html


def test_a_hold_is_said_with_the_session(fleet: Fleet, served: ServedFleet) -> None:
    served.do(lambda fake: fake.change("sales", "connected", reason="logged in", held="its retirement waits"))
    until(fleet, lambda now: bool(now.sessions["sales"].held))
    for shown in (repr(fleet), repr(fleet["sales"]), fleet._repr_html_()):
        assert "logged in; held: its retirement waits" in shown


def test_blocking_forms_of_the_fleets_waits(fleet: Fleet, served: ServedFleet) -> None:
    assert fleet.wait_blocking("connected", timeout=20) is fleet
    assert fleet.until_blocking(lambda now: "sales" in now.sessions, timeout=20).reachable
    served.do(lambda fake: fake.change("sales", "failed"))
    with pytest.raises(NotConvergedError, match="sales is not connected"):
        fleet.wait_blocking("connected", timeout=0.05)
    with pytest.raises(NotConvergedError, match=r"not as wanted after 0\.05 s"):
        fleet.until_blocking(lambda now: "nobody" in now.sessions, timeout=0.05)


def test_pairing_secret_is_for_the_asking_only(fleet: Fleet, served: ServedFleet) -> None:
    assert fleet["sales"].pairing() is None
    served.do(lambda fake: fake.show("sales"))
    shown = fleet["sales"].pairing()
    assert shown is not None
    assert shown.payload == PAYLOAD
    assert PAYLOAD not in repr(shown)
    with pytest.raises(UnknownSessionError):
        fleet._client.qr("nobody")


def test_pair_refuses_nonsense_before_it_shows(fleet: Fleet) -> None:
    with pytest.raises(ControlError, match="no way to pair"):
        fleet["sales"].pair("smoke")  # type: ignore[arg-type]
    with pytest.raises(ControlError, match="number") as caught:
        fleet["sales"].pair("code", phone="12345")
    assert "12345" not in str(caught.value)


def test_closed_connection_says_so(fleet: Fleet) -> None:
    fleet.close()
    with pytest.raises(NoDaemonError, match="closed"):
        fleet["sales"].wait_blocking(timeout=1)
    fleet.close()


async def test_until_waits_for_what_is_wanted_of_the_whole(fleet: Fleet, served: ServedFleet) -> None:
    waiting = asyncio.create_task(fleet.until(lambda now: now.sessions["sales"].state == "parked", timeout=20))
    await asyncio.sleep(0)
    served.do(lambda fake: fake.change("sales", "parked"))
    assert (await waiting).sessions["sales"].state == "parked"
    with pytest.raises(NotConvergedError, match=r"not as wanted after 0\.05 s") as caught:
        await fleet.until(lambda now: "nobody" in now.sessions, timeout=0.05)
    assert "Fleet of 2" in caught.value.why
