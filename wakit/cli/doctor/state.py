"""What ``doctor`` says of the file and of the folders in which wakit keeps things."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wakit.cli.doctor.check import Check
from wakit.core.declaration import Declaration
from wakit.errors import DeclarationError
from wakit.vault.accounts_folder import usual_folder
from wakit.vault.layout import NETWORK_FILE_SYSTEMS, file_system, refuse_too_long
from wakit.vault.privacy import exposures


def check_file(config: Path) -> tuple[Declaration | None, list[Check]]:
    """Read the declaration."""
    from wakit.declare import load  # noqa: PLC0415 - the parser, when it is its turn

    try:
        declaration = load(config)
    except DeclarationError as error:
        problems = getattr(error, "problems", (error,))
        return None, [Check("file", "fail", str(problem), problem.hint) for problem in problems]
    count = len(declaration.sessions)
    said = f"{config}: {count} session{'' if count == 1 else 's'}"
    return declaration, [
        Check("file", "ok", said),
        *(Check("file", "warn", warning, "see docs/sessions-toml.md") for warning in declaration.warnings),
    ]


def check_state_dir(state_dir: Path) -> Check:
    """Look at the state directory's owner, permissions and file system."""
    name = "state"
    refuse_too_long(state_dir)
    try:
        found = state_dir.lstat()
    except FileNotFoundError:
        above = next(folder for folder in state_dir.parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return Check(name, "fail", f"{state_dir} cannot be made", f"make {above} writable, or set state_dir")
        return Check(name, "ok", f"{state_dir} will be made by the first `wakit up`")
    if stat.S_ISLNK(found.st_mode):
        return Check(name, "fail", f"{state_dir} is a symbolic link", "put the real folder in its place")
    if not stat.S_ISDIR(found.st_mode):
        return Check(name, "fail", f"{state_dir} is not a folder", "move the file away")
    if found.st_uid != os.geteuid():
        return Check(name, "fail", f"{state_dir} belongs to user {found.st_uid}", "run wakit as its owner")
    if os.statvfs(state_dir).f_flag & os.ST_RDONLY or not found.st_mode & stat.S_IWUSR:
        return Check(name, "fail", f"{state_dir} is read-only", "make it writable, or set state_dir")
    kind = file_system(state_dir)
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(name, "fail", f"{state_dir} is on a network file system ({kind})", "set state_dir to a local disk")
    if stat.S_IMODE(found.st_mode) & 0o077:
        said = f"{state_dir} is open to others (mode {stat.S_IMODE(found.st_mode):o})"
        return Check(name, "warn", said, f"`chmod 700 {state_dir}`; the next `wakit up` does it as well")
    return Check(name, "ok", f"{state_dir} is private, on {kind or 'a local file system'}")


def check_privacy(state_dir: Path) -> Check:
    """Look for files below the state directory that others could read or replace."""
    found = list(exposures(state_dir))
    if not found:
        return Check("privacy", "ok", "nobody else can read or replace what is in it")
    first = next((each for each in found if each.kind != "mode"), found[0])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if first.kind == "mode":
        return Check("privacy", "warn", first.said + more, "the next `wakit up` mends it")
    return Check("privacy", "fail", first.said + more, "put your own plain file in its place; it is refused as it is")


def check_accounts() -> Check:
    """Look at the folder in which the accounts of this machine are noted, for all fleets of this user."""
    name, folder = "accounts", usual_folder()
    for part in (folder.parent, folder):
        if not os.path.lexists(part):
            continue
        found = part.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return Check(
                name, "fail", f"{part} is a link, no folder, or not yours", "put a folder of yours in its place"
            )
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        hint = f"make {above} writable, or set XDG_STATE_HOME; until then a copied credential may not be recognised"
        return Check(name, "warn", f"{folder} cannot be used", hint)
    return Check(name, "ok", f"noted in {folder}")
