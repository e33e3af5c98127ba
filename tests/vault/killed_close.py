"""Who opens a credential's database and closes it in order, in a process to be killed anywhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support.killing import main


def close(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "creds.db")) as connection:
        connection.execute("SELECT count(*) FROM whatsmeow_device").fetchone()


def write(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "creds.db")) as connection, connection:
        connection.execute("CREATE TABLE whatsmeow_more (x)")


OPERATIONS = {each.__name__: each for each in (close, write)}

if __name__ == "__main__":
    main(OPERATIONS)
