"""What the notebook's API does to a real fleet: real clients, a real daemon, the file on the disk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import PATIENCE, Fleet
from support.whatsapp import LoopbackWhatsApp, fresh_number

import wakit
from wakit.control.schemas import EventLogged, Hello
from wakit.errors import ControlError, UnknownSessionError
from wakit.notebook.fleet import Fleet as Notebook


@pytest.fixture
def notebook(fleet: Fleet) -> Iterator[Notebook]:
    fleet.write("# our lines\n[sessions.sales]  # the desk\n\n[sessions.support]\n")
    fleet.up()
    with wakit.connect(fleet.config) as notebook:
        yield notebook


def scan(notebook: Notebook, whatsapp: LoopbackWhatsApp, name: str) -> str:
    number = fresh_number()
    notebook[name].wait_blocking("pairing", timeout=PATIENCE)
    shown = notebook[name].pairing()
    assert shown is not None
    whatsapp.sim.scan(number, str(shown.payload))
    notebook[name].wait_blocking("connected", timeout=PATIENCE)
    return number


def test_renaming_keeps_the_credential_and_shows_no_qr(
    notebook: Notebook, fleet: Fleet, whatsapp: LoopbackWhatsApp
) -> None:
    number = scan(notebook, whatsapp, "sales")
    before = fleet.config.read_text()

    said = notebook.rename("sales", "shop")
    assert said.standing == "in force"
    assert said.plan == ("~ rename shop from sales: renamed_from = 'sales'",)
    notebook["shop"].wait_blocking("connected", timeout=PATIENCE)

    account = whatsapp.sim.status().account(number)
    assert account is not None
    assert len(account.devices) == 1, "the same device, not one that was paired anew"
    shop = notebook["shop"].events().filter("kind IN ('state', 'pairing')").select("kind, state_to").fetchall()
    assert ("state", "connected") in shop
    assert not {"pairing", "paired"} & {state for _, state in shop}, "nobody was asked to scan"
    assert not list((fleet.state / "sessions" / "sales").rglob("creds.db")), "it moved"
    after = fleet.config.read_text()
    assert after == before.replace(
        "[sessions.sales]  # the desk\n", '[sessions.shop]  # the desk\nrenamed_from = "sales"\n'
    )
    with pytest.raises(UnknownSessionError):
        notebook["sales"]
    assert not notebook.plan(), "and the note in the file is no wish for ever"


def test_parking_is_an_order_or_a_line_of_the_file_and_the_file_outvotes(
    notebook: Notebook, whatsapp: LoopbackWhatsApp
) -> None:
    number = scan(notebook, whatsapp, "sales")
    sales = notebook["sales"]

    sales.park().wait_blocking("parked", timeout=PATIENCE)
    assert sales.reason == "parked by a person"
    assert whatsapp.sim.wait_until(lambda status: status.connected(number) == 0)
    sales.resume().wait_blocking("connected", timeout=PATIENCE)

    assert notebook.declare("sales", enabled=False).standing == "in force"
    sales.wait_blocking("parked", timeout=PATIENCE)
    with pytest.raises(ControlError, match="says enabled = false"):
        sales.resume()
    assert sales.state == "parked"
    notebook.declare("sales", enabled=True)
    sales.wait_blocking("connected", timeout=PATIENCE)


def test_watching_tells_what_an_edit_leads_to(notebook: Notebook) -> None:
    with notebook.watch() as frames:
        assert isinstance(next(frames), Hello)
        notebook.declare("research", labels={"team": "lab"})
        for frame in frames:
            if isinstance(frame, EventLogged) and frame.event.session == "research" and frame.event.state_to:
                assert frame.event.state_to == "starting"
                break
    lives = notebook.sql("SELECT session FROM sessions_now ORDER BY session").fetchall()
    assert ("research",) in lives
