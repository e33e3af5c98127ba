"""A vault in a state directory of its own."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from credentials import Clock

from wakit.vault import Vault
from wakit.vault.layout import Layout, open_layout
from wakit.worker.tables import make_tables


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return open_layout(tmp_path / ".wakit")


@pytest.fixture
def vault(layout: Layout) -> Vault:
    return Vault(layout, "shared", Clock())


@pytest.fixture(scope="session")
def library_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the tables of the library that is installed, made by it, once."""
    made = tmp_path_factory.mktemp("tables") / "creds.db"
    make_tables(made)
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


@pytest.fixture
def blank(library_tables: Path) -> Callable[[Path], None]:
    """What the library does to a path without a database."""

    def copy(path: Path) -> None:
        assert not path.exists(), "it is no older than the library's"
        shutil.copy(library_tables, path)

    return copy


@pytest.fixture
def store(library_tables: Path, tmp_path: Path) -> Path:
    """A whatsmeow store without a device."""
    return Path(shutil.copy(library_tables, tmp_path / "store.db"))
