"""What the command line says of an upgrade, and of a daemon that ends."""

from __future__ import annotations

from typing import Any

import pytest
from cli_support import Served

from wakit.cli.run import run
from wakit.control.schemas import StatusInfo, UpgradeInfo
from wakit.errors import ControlError


def test_down_says_what_is_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wakit.cli.ending._PATIENCE", 0.0)
    served.do(lambda f: f.change_daemon(pid=1, ending="the last backups"))
    assert run(["down", "--timeout", "0.4"]) == 3
    assert capsys.readouterr().out == "It waits for the last backups ...\n"


def upgrade(**more: Any) -> UpgradeInfo:
    return UpgradeInfo(
        installed="wakit 0.2.0 with neonize 0.5.2", daemon="wakit 0.2.0 is installed, 0.1.0 runs", **more
    )


@pytest.mark.parametrize("words", [["up"], ["up", "-d"]])
def test_up_has_older_workers_replaced_and_says_how_far_it_is(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr("wakit.cli.upgrading._ASK_AGAIN", 0.0)
    served.fleet.upgrades = [upgrade(workers=2 - n, replaced=n, under_way=n < 2) for n in (0, 0, 1, 2)]
    assert run(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == [f"Replacing workers by wakit 0.2.0 with neonize 0.5.2: {n} of 2" for n in (0, 1)]
    assert shown[2] == "Every worker runs wakit 0.2.0 with neonize 0.5.2."
    assert "`wakit down`, then `wakit up -d` renews it" in shown[3]
    assert ("replace", None) in served.fleet.orders
    assert run(["status"]) == 0
    assert "every worker runs the installed one" in capsys.readouterr().out


def test_the_workers_to_replace_are_as_many_as_in_the_beginning(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that has been replaced and is still on probation is neither done nor to go."""
    monkeypatch.setattr("wakit.cli.upgrading._ASK_AGAIN", 0.0)
    far = [(0, 3), (0, 3), (0, 2), (1, 1), (2, 0), (3, 0)]
    served.fleet.upgrades = [upgrade(replaced=done, workers=left, under_way=done < 3) for done, left in far]
    assert run(["up", "-d"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:3] == [f"Replacing workers by wakit 0.2.0 with neonize 0.5.2: {n} of 3" for n in (0, 1, 2)]
    assert shown[3] == "Every worker runs wakit 0.2.0 with neonize 0.5.2."


def test_up_does_not_wait_for_who_stands_before_a_code(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.upgrades = [upgrade(workers=1, under_way=True, waiting=["support"])]
    assert run(["up", "-d"]) == 0
    assert "Replaced as soon as it is paired: support" in capsys.readouterr().out


def test_up_says_why_not_everybody_was_replaced(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.fleet.upgrades = [upgrade(workers=2, problem="sales did not arrive: it was refused")]
    assert run(["up", "-d"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "error: Not every worker was replaced by wakit 0.2.0 with neonize 0.5.2: sales did not arrive"
    )
    assert "hint: the other workers run on as they were" in said
    assert run(["status"]) == 0
    assert "was broken off: sales did not arrive" in capsys.readouterr().out


def test_a_daemon_that_cannot_replace_workers_is_named(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda f: f.change_daemon(version="0.0.9"))
    monkey = ControlError("There is no such route", why="POST /v1/replace")

    async def refuse() -> None:
        raise monkey

    served.fleet.replace = refuse  # type: ignore[method-assign,assignment]
    assert run(["up", "-d"]) == 1
    said = capsys.readouterr().err
    assert "the daemon is of version 0.0.9, which cannot" in said
    assert "hint: run `wakit down`, then `wakit up -d`" in said


def test_an_ending_daemon_refuses_orders(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    served.do(lambda f: f.change_daemon(ending="2 workers to end"))
    assert run(["restart", "sales"]) == 1
    assert "No order is taken any more: the daemon ends; it waits for 2 workers to end" in capsys.readouterr().err
    assert served.fleet.orders == []
    assert run(["status"]) == 0
    assert "it ends, and waits for 2 workers to end" in capsys.readouterr().out


def test_down_names_nothing_that_a_daemon_does_not_tell(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wakit.cli.ending._PATIENCE", 0.0)
    served.do(lambda f: f.change_daemon(pid=1))
    told = iter([served.fleet.status()])  # the answer to the order itself

    def refuse() -> StatusInfo:
        for status in told:
            return status
        raise ControlError("It stands still")

    served.fleet.status = refuse  # type: ignore[method-assign]
    assert run(["down", "--timeout", "0.4"]) == 3
    assert capsys.readouterr().out == ""
