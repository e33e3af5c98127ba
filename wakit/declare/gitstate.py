"""Where a file stands in version control, asked of the ``git`` binary.

One ``git status`` for one path gives commit, branch and dirtiness, and respects what the repository has set up for the
file (line ends, encryption filters), which comparing bytes ourselves would not. Asking must change nothing and wait
for nobody: no locks, no prompts, no hooks, no file-system monitor, no network, and a deadline. Whatever goes wrong, the
answer is None: a declaration is valid without git.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from wakit.core.declaration import GitState

_STATUS: Final = (
    "git", "--no-pager", "--no-optional-locks", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "status.relativePaths=false",
    "status", "--porcelain=v2", "--branch", "-z", "--no-ahead-behind", "--no-renames",
    "--untracked-files=all", "--ignored=traditional", "--ignore-submodules=all", "--",
)  # fmt: skip


def read_git_state(path: Path, *, timeout: float = 2.0) -> GitState | None:
    """Ask git about a file.

    Args:
        path: The file; when it is a symlink, its target counts, because that holds the content.
        timeout: Seconds after which the answer is None.

    Returns:
        Commit, branch and whether the file differs from HEAD, or None without git, without a repository, or when git
        does not answer in time. Never raises.

    Example:
        >>> read_git_state(Path("/proc/version")) is None
        True
    """
    answer = run_git(path, _STATUS, timeout)
    return None if answer is None else _parse_status(answer)


def git_files(path: Path, *, timeout: float = 2.0) -> tuple[Path, Path] | None:
    """Return a file's git directory and common git directory (they differ in linked worktrees), or None."""
    answer = run_git(path, ("git", "rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"), timeout)
    lines = [] if answer is None else answer.splitlines()
    if len(lines) != 2:  # noqa: PLR2004 - two were asked for
        return None
    return Path(lines[0]), Path(lines[1])


def run_git(path: Path, command: tuple[str, ...], timeout: float) -> str | None:
    """Run one git command in the file's folder; commands that end in ``--`` get the file's name.

    Bytes that are no UTF-8 come back as lone surrogates, because that is how Python's paths hold them.
    """
    try:
        target = path.resolve()
        arguments = (*command, target.name) if command[-1] == "--" else command
        finished = subprocess.run(  # noqa: S603 - a fixed command, the name after --
            arguments,
            cwd=target.parent,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=True,
        )
    except (OSError, ValueError, RuntimeError, subprocess.SubprocessError):
        return None
    return finished.stdout.decode("utf-8", "surrogateescape")


def _environment() -> dict[str, str]:
    # GIT_DIR and its kin point elsewhere when wakit is started from a git hook or alias.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ASKPASS": "true",
        "SSH_ASKPASS": "true",
        "LC_ALL": "C",
    }


def _shown(name: str) -> str:
    """Return a name as text that every file and every JSON can hold: git's names are bytes of any encoding."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parse_status(answer: str) -> GitState | None:
    commit: str | None = None
    branch: str | None = None
    known = dirty = False
    for entry in answer.split("\0"):
        match entry.split(" ", 2):
            case ["#", "branch.oid", oid]:
                known = True
                commit = None if oid == "(initial)" else oid
            case ["#", "branch.head", head]:
                branch = None if head == "(detached)" else _shown(head)
            case [mark, *_] if mark in {"1", "2", "u", "?", "!"}:
                dirty = True
    return GitState(commit=commit, branch=branch, dirty=dirty) if known else None
