from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import wakit
from wakit.core.release import Release, difference
from wakit.runtime import release
from wakit.runtime.release import Installed, installed_release


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of wakit, as if it were the one that is installed."""
    package = tmp_path / "wakit"
    shutil.copytree(Path(wakit.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(wakit, "__file__", str(package / "__init__.py"))
    return package


def test_the_same_files_are_the_same_release(installed: Path) -> None:
    assert installed_release() == installed_release()
    assert installed_release().library == "0.5.2"


@pytest.mark.parametrize("change", ["written", "new", "gone"])
def test_a_changed_file_is_another_release(installed: Path, change: str) -> None:
    before = installed_release()
    file = installed / "worker" / "service.py"
    match change:
        case "written":
            file.write_text(file.read_text() + "\n")
        case "new":
            file.with_name("another.py").write_text("")
        case "gone":
            file.unlink()
    after = installed_release()
    assert after.digest != before.digest
    assert "another build of wakit" in difference(before, after)


def test_what_python_leaves_beside_the_files_does_not_count(installed: Path) -> None:
    before = installed_release()
    (installed / "__pycache__").mkdir()
    (installed / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    assert installed_release() == before


def test_the_difference_is_said_by_the_number_that_differs() -> None:
    old = Release("0.1.0", "0.5.2", "a")
    assert difference(old, Release("0.2.0", "0.6.0", "b")) == "wakit 0.2.0 is installed, 0.1.0 runs"
    assert difference(old, Release("0.1.0", "0.6.0", "b")) == "neonize 0.6.0 is installed, 0.5.2 runs"
    assert difference(old, Release("0.1.0", "", "b")) == "neonize (none) is installed, 0.5.2 runs"


def test_contents_are_read_again_only_after_a_change(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    own_files = release._own_files
    monkeypatch.setattr(release, "_own_files", lambda: read.append("") or own_files())
    looks = Installed()
    first = looks.look()
    assert first == installed_release()
    (installed / "__pycache__").mkdir()
    read.clear()
    assert looks.look() is first
    assert read == []


@pytest.mark.parametrize("change", ["as long", "new", "gone", "replaced by an old one", "another distribution"])
def test_a_look_sees_every_change(installed: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    looks = Installed()
    before = looks.look()
    file = installed / "worker" / "service.py"
    match change:
        case "as long":
            file.write_text(file.read_text().replace("heartbeat", "heartbeet"))
        case "new":
            file.with_name("another.py").write_text("")
        case "gone":
            file.unlink()
        case "replaced by an old one":
            other = file.with_name("relay.py")
            times = file.stat().st_atime_ns, file.stat().st_mtime_ns
            file.unlink()
            shutil.copy(other, file)
            os.utime(file, ns=times)
        case "another distribution":
            monkeypatch.setattr(release, "_version", lambda _name: "9.9.9")
            (installed.parent / "wakit-9.9.9.dist-info").mkdir()
    after = looks.look()
    assert after != before
    assert after == installed_release()
