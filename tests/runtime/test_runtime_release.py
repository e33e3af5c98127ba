from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import wakit
from wakit.core.release import Release, difference
from wakit.runtime.release import installed_release


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
