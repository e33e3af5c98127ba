"""After a SIGKILL before any call that changes the disk, the stock client logs in with what was left.

Every operation on backups, every one of the vault, export, import and the way back, each killed at each point on
copies of a really paired credential. What each point left is brought back to life as the next daemon does, or the same
command again, and given to the stock client: it logs in as its device, shows no QR code, is not refused, and replaces
nobody. Points that left the same files with the same content (but for times and chance) need one such client.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from credentials import NUMBER
from left_behind import OPERATIONS, OTHER, SCENES, Originals, same
from support.killing import CALLS, kill_everywhere
from support.logins import Logins, logins
from support.whatsapp import LoopbackWhatsApp, whatsapp

__all__ = ["whatsapp"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CALLS, reason="the numbers of this machine's system calls are not known"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is such a thing: no power cut is tried here, and fsync takes its time."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="wk", dir=memory if memory.is_dir() else "/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def client(whatsapp: LoopbackWhatsApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logins]:
    with logins(whatsapp, tmp_path_factory.mktemp("client") / "log") as made:
        yield made


@pytest.fixture(scope="module")
def originals(client: Logins, tmp_path_factory: pytest.TempPathFactory) -> Originals:
    made = Originals(tmp_path_factory.mktemp("paired"))
    for user in (NUMBER, OTHER):
        (made.folder / user).mkdir(mode=0o700)
        client.pair(f"+{user}", made.folder / user / "creds.db")
    return made


@pytest.mark.parametrize(("scene", "operation"), OPERATIONS, ids=[" ".join(each) for each in OPERATIONS])
def test_the_stock_client_connects_with_what_was_left(
    scene: str, operation: str, originals: Originals, client: Logins, folder: Path
) -> None:
    template, killed = folder / "template", folder / "killed"
    points, _ = kill_everywhere(
        SCENES[scene].script, operation, SCENES[scene].prepare(originals, template, operation), killed
    )
    states = {same(point): point for point in points}
    before = client.count
    for point in states.values():
        for user, database in SCENES[scene].lives(operation, point.folder):
            client.log_in(f"+{user}", database, point.where)
    came = client.count - before
    print(f"{scene}, {operation}: {len(points)} points left {len(states)} states; {came} logins")  # shown by -rP
    assert len(points) > 5, "else nothing was tried"
    assert came >= len(states), "each was given to a client"


def test_a_login_that_is_none_is_noticed(originals: Originals, client: Logins, folder: Path) -> None:
    with pytest.raises(AssertionError, match="nothing there: qr came instead of connected"):
        client.log_in(f"+{NUMBER}", folder / "creds.db", "nothing there")
    client.end()
    (folder / "cut").mkdir()
    originals.put(NUMBER, folder / "cut")
    with closing(sqlite3.connect(folder / "cut" / "creds.db")) as connection, connection:
        connection.execute("UPDATE whatsmeow_device SET noise_key = randomblob(32)")
    with pytest.raises(AssertionError, match="other keys: logged-out came instead of connected"):
        client.log_in(f"+{NUMBER}", folder / "cut" / "creds.db", "other keys")
    client.end()
