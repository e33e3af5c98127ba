"""sessions.toml, the environment and git become one :class:`~wakit.core.declaration.Declaration`, or nothing does.

:func:`load` touches the world (a file, a ``.env`` beside it, the git binary); :func:`parse` is a function of bytes.
Both are total: any input gives a declaration or :class:`~wakit.declare.problems.DeclarationErrors`, which holds every
problem with its place, so that a person mends the file in one go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from wakit.core.declaration import (
    Declaration,
    Endpoint,
    FleetSpec,
    GitState,
    HealthPolicy,
    JournalPolicy,
    Pacing,
    RestartPolicy,
    VaultPolicy,
)
from wakit.declare import source
from wakit.declare.checking import Checker
from wakit.declare.environment import Variables, read_variables
from wakit.declare.gitstate import read_git_state
from wakit.declare.masking import mask_text
from wakit.declare.positions import Positions, find_positions
from wakit.declare.problems import DeclarationErrors
from wakit.declare.schema import FLEET_TABLES, FleetTables
from wakit.declare.syntax import parse_toml
from wakit.errors import DeclarationError, Location

DOTENV_NAME: Final = ".env"


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes a declaration is made of.

    Attributes:
        path: Absolute path of the file.
        display: How errors call it.
        data: The file's bytes.
        dotenv: Bytes of the ``.env`` beside it, None if there is none.
    """

    path: Path
    display: str
    data: bytes
    dotenv: bytes | None = None

    @property
    def dotenv_display(self) -> str:
        """How errors call the ``.env``."""
        return os.path.join(os.path.dirname(self.display), DOTENV_NAME)  # noqa: PTH118, PTH120 - "./x" stays "./x"


def load(path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None, git: bool = True) -> Declaration:
    r"""Read a declaration.

    Args:
        path: The file; a relative path is shown as it is in errors.
        environ: The environment that fleet keys may come from; the process's own by default.
        git: Ask git where the file stands; takes a few milliseconds.

    Returns:
        The declaration, complete and checked.

    Raises:
        DeclarationErrors: The file, its ``.env`` or the environment is wrong; ``problems`` holds everything found.

    Example:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "sessions.toml"
        >>> _ = file.write_text('[pacing]\ndials = "2/s"\n[sessions.support]\n')
        >>> declaration = load(file, environ={})
        >>> declaration.fleet.pacing.dials_per_second, list(declaration.sessions)
        (2.0, ['support'])
    """
    found = read_source(path)
    state = read_git_state(found.path) if git else None
    return parse(found, environ=os.environ if environ is None else environ, git=state)


def read_source(path: str | os.PathLike[str], *, display: str | None = None) -> Source:
    """Read the file and its ``.env``, each once; ``display`` is how errors call the file, its path by default.

    Raises:
        DeclarationErrors: One of them cannot be read.
    """
    display = os.fspath(path) if display is None else display
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the symlink the user named
    try:
        data = source.read_bytes(absolute, display)
        found = Source(absolute, display, data)
        dotenv = absolute.parent / DOTENV_NAME
        # A folder of that name is somebody's virtual environment, not ours to judge.
        present = os.path.lexists(dotenv) and not dotenv.is_dir()
        if present:
            found = Source(absolute, display, data, source.read_bytes(dotenv, found.dotenv_display))
    except DeclarationError as error:
        raise DeclarationErrors([error]) from error
    return found


def parse(found: Source, *, environ: Mapping[str, str], git: GitState | None = None) -> Declaration:
    r"""Make a declaration of bytes; reads nothing but its arguments (and whether ``ca_file`` exists).

    Raises:
        DeclarationErrors: They are none.

    Example:
        >>> bad = Source(Path("/x/sessions.toml"), "sessions.toml", b"[sessions.a]\nenabld = true\n")
        >>> try:
        ...     parse(bad, environ={})
        ... except DeclarationErrors as errors:
        ...     print(errors, "|", errors.hint)
        sessions.toml:2:1: sessions.a.enabld: unknown key | did you mean enabled?
    """
    try:
        text = source.decode(found.data, found.display).replace("\r\n", "\n")
        dotenv = None if found.dotenv is None else source.decode(found.dotenv, found.dotenv_display)
        variables = read_variables(environ, dotenv, found.dotenv_display)
        positions = find_positions(text)
        document = parse_toml(text, positions, found.display)
    except DeclarationError as error:
        raise DeclarationErrors([error]) from error
    checker = Checker(document, positions, found.display, variables)
    tables = checker.fleet()
    shared = checker.shared()
    sessions = checker.sessions(shared)
    if checker.problems:
        raise DeclarationErrors(sorted(checker.problems, key=_in_file_order))
    fleet = _fleet(tables, found.path.parent, environ)
    return Declaration(
        path=str(found.path),
        sha256=sha256(found.data).hexdigest(),
        masked_text=mask_text(positions, sessions, shared.proxy),
        fleet=fleet,
        sessions=MappingProxyType(sessions),
        git=git,
        warnings=(*checker.warnings, *_warnings(fleet, bool(sessions), checker, found.display)),
        sources=MappingProxyType(_sources(checker, variables, positions)),
    )


def _fleet(tables: FleetTables, folder: Path, environ: Mapping[str, str]) -> FleetSpec:
    endpoint = tables.endpoint
    return FleetSpec(
        state_dir=_absolute(tables.state_dir, folder, environ),
        sessions_per_worker=tables.sessions_per_worker,
        retire=tables.retire,
        retire_guard=tables.retire_guard,
        strategy=tables.strategy,
        pacing=Pacing(dials_per_second=tables.pacing.dials, pairings=tables.pacing.pairings),
        vault=VaultPolicy(**dict(tables.vault)),
        health=HealthPolicy(**dict(tables.health)),
        restarts=RestartPolicy(**dict(tables.restarts)),
        journal=JournalPolicy(**dict(tables.journal)),
        endpoint=None
        if endpoint is None
        else Endpoint(
            proxy=endpoint.proxy,
            ca_file=_absolute(endpoint.ca_file, folder, environ),
            noise_root_key=endpoint.noise_root_key,
        ),
    )


def _absolute(path: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Make a declared path absolute: ``~`` is the user's home, anything relative is relative to the file."""
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        path = home + path[1:]
    return os.path.normpath(folder / path)


# The library pings every 20 to 30 s, and waits 10 s for the answer.
_IMPATIENT: Final = (
    ("deaf_after", 40.0, "healthy lines are taken for deaf, since the library pings only every 20 to 30 s"),
    ("restart_after", 30.0, "a client is replaced before its next ping can show that it has recovered"),
)


def _warnings(fleet: FleetSpec, any_session: bool, checker: Checker, display: str) -> list[str]:
    said = []
    if not any_session:
        said.append(f"{display}: no session is declared; what runs is held until you run `wakit apply --confirm`")
    if fleet.endpoint is not None and not os.path.isfile(fleet.endpoint.ca_file):  # noqa: PTH113 - text as declared
        place = checker.location(("endpoint", "ca_file"), of_value=True)
        said.append(f"{place}: endpoint.ca_file: there is no such file yet")
    for key, least, what in _IMPATIENT:
        if getattr(fleet.health, key) < least:
            place = checker.location(("health", key), of_value=True)
            said.append(f"{place}: health.{key}: below {least:g} s {what}")
    return said


def _sources(checker: Checker, variables: Variables, positions: Positions) -> dict[str, str]:
    in_file = {path for path in positions.values if path[0] in FLEET_TABLES}
    return {".".join(path): str(checker.location(path)) for path in sorted(in_file | variables.by_key.keys())}


def _in_file_order(problem: DeclarationError) -> tuple[bool, str, int, int]:
    location: Location = problem.location
    return location.path.startswith("$"), location.path, location.line, location.column
