"""Nobody else may read or replace what lies in a state directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wakit.errors import StateDirectoryError
from wakit.vault.layout import open_layout
from wakit.vault.privacy import exposures, mend


@pytest.fixture
def root(tmp_path: Path) -> Path:
    layout = open_layout(tmp_path / ".wakit")
    folder = layout.sessions / "a" / "shared"
    folder.mkdir(parents=True, mode=0o700)
    (layout.sessions / "a").chmod(0o700)
    for name in ("creds.db", "session.json"):
        (folder / name).touch(mode=0o600)
    return layout.root


def test_a_private_one_is_private(root: Path) -> None:
    assert list(exposures(root)) == []
    assert mend(root) == []


def test_looser_modes_are_mended_and_said(root: Path) -> None:
    database = root / "sessions/a/shared/creds.db"
    database.chmod(0o644)
    (root / "sessions/a").chmod(0o755)
    said = mend(root)
    assert len(said) == 2
    assert f"{database} was open to others (mode 644)" in said
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "sessions/a").stat().st_mode) == 0o700
    assert mend(root) == []


def test_links_pipes_and_what_is_somebody_elses_are_found_and_left(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "secret").touch(mode=0o644)
    (root / "sessions/b").symlink_to(outside)
    (root / "sessions/a/shared/session.json").unlink()
    (root / "sessions/a/shared/session.json").symlink_to("/etc/hostname")
    os.mkfifo(root / "sessions/a/shared/lock", 0o600)
    assert sorted(each.kind for each in exposures(root)) == ["link", "link", "special"]
    assert mend(root) == []
    assert stat.S_IMODE((outside / "secret").stat().st_mode) == 0o644, "nothing outside is touched"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_foreign_owner_is_found(root: Path) -> None:
    os.chown(root / "sessions/a/shared/creds.db", 12345, 12345)
    (found,) = exposures(root)
    assert (found.kind, found.path.name) == ("owner", "creds.db")


def test_a_place_where_anybody_may_replace_it_is_refused(tmp_path: Path) -> None:
    parent = tmp_path / "open"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(StateDirectoryError, match="without the sticky bit") as caught:
        open_layout(parent / ".wakit")
    assert "chmod o-w" in caught.value.hint
    parent.chmod(0o1777)
    open_layout(parent / ".wakit")
