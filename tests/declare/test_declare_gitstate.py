"""Commit, branch and dirtiness, asked of real repositories; and None whenever there is nothing to ask."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wakit.core.declaration import GitState
from wakit.declare.gitstate import git_files, read_git_state


def git(folder: Path, *command: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", *identity, *command], cwd=folder, check=True, capture_output=True, text=True)
    return run.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    file = tmp_path / "sessions.toml"
    file.write_text("[sessions.a]\n")
    return file


def commit(file: Path) -> str:
    git(file.parent, "add", "-f", file.name)
    git(file.parent, "commit", "-q", "-m", "x")
    return git(file.parent, "rev-parse", "HEAD")


def test_from_untracked_to_detached(file: Path) -> None:
    assert read_git_state(file) == GitState(commit=None, branch="main", dirty=True)
    head = commit(file)
    assert read_git_state(file) == GitState(commit=head, branch="main", dirty=False)
    file.write_text("[sessions.b]\n")
    assert read_git_state(file) == GitState(commit=head, branch="main", dirty=True)
    git(file.parent, "add", file.name)
    assert read_git_state(file) == GitState(commit=head, branch="main", dirty=True)
    git(file.parent, "reset", "-q", "--hard")
    git(file.parent, "checkout", "-q", "--detach")
    assert read_git_state(file) == GitState(commit=head, branch=None, dirty=False)


def test_a_branch_whose_name_is_no_utf8_is_told_as_text(file: Path) -> None:
    head = commit(file)
    name = os.fsdecode(b"caf\xe9")
    git(file.parent, "checkout", "-q", "-b", name)
    state = read_git_state(file)
    assert state == GitState(commit=head, branch="caf\N{REPLACEMENT CHARACTER}", dirty=False)
    assert state.branch is not None
    assert state.branch.encode()


def test_a_folder_whose_name_is_no_utf8_is_found(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    assert git_files(folder / "sessions.toml") == (folder / ".git", folder / ".git")


def test_only_this_file_counts(file: Path) -> None:
    head = commit(file)
    (file.parent / "other").write_text("x")
    assert read_git_state(file) == GitState(commit=head, branch="main", dirty=False)


def test_an_ignored_file_is_dirty(file: Path) -> None:
    (file.parent / ".gitignore").write_text("sessions.toml\n")
    assert read_git_state(file) == GitState(commit=None, branch="main", dirty=True)


def test_names_are_not_patterns(file: Path) -> None:
    commit(file)
    odd = file.parent / "*.toml"
    odd.write_text("[sessions.a]\n")
    file.write_text("changed")
    assert commit(odd)
    state = read_git_state(odd)
    assert state is not None
    assert not state.dirty


def test_a_link_counts_as_its_target(file: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    head = commit(file)
    link = tmp_path_factory.mktemp("elsewhere") / "sessions.toml"
    link.symlink_to(file)
    assert read_git_state(link) == GitState(commit=head, branch="main", dirty=False)


def test_asking_changes_nothing_and_runs_nothing(file: Path) -> None:
    commit(file)
    marker = file.parent / "ran"
    hook = file.parent / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    git(file.parent, "config", "core.fsmonitor", str(hook))
    index = file.parent / ".git" / "index"
    os.utime(file)  # the index is stale now, and an asking git would refresh it
    before = index.stat().st_mtime_ns
    assert read_git_state(file) is not None
    assert index.stat().st_mtime_ns == before
    assert not marker.exists()


def test_variables_of_a_hook_do_not_mislead(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = commit(file)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert read_git_state(file) == GitState(commit=head, branch="main", dirty=False)


def test_a_linked_worktree_has_its_own_directory(file: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    commit(file)
    tree = tmp_path_factory.mktemp("trees") / "side"
    git(file.parent, "worktree", "add", "-q", "-b", "side", str(tree))
    assert git_files(tree / file.name) == (
        file.parent / ".git" / "worktrees" / "side",
        file.parent / ".git",
    )


def test_no_repository(tmp_path: Path) -> None:
    assert read_git_state(tmp_path / "sessions.toml") is None
    assert read_git_state(tmp_path / "no" / "folder") is None
    assert git_files(tmp_path) is None


def test_no_git_and_a_git_that_hangs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert read_git_state(file) is None
    slow = programs / "git"
    slow.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    slow.chmod(0o755)
    assert read_git_state(file, timeout=0.2) is None
