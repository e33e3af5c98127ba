"""A commented sessions.toml to begin with."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from wakit.declare import source
from wakit.declare.problems import problem, unwritable
from wakit.durable import sync_folder


def write_starter(path: str | os.PathLike[str]) -> Path:
    """Write a commented file to begin with.

    Args:
        path: The new file, or the folder it shall stand in.

    Returns:
        The file's absolute path.

    Raises:
        DeclarationErrors: Something stands there already, or the file cannot be written.
    """
    file = Path(path).absolute()
    if file.is_dir():
        file /= source.FILE_NAME
    text = files("wakit.declare").joinpath("starter.toml").read_bytes()
    try:
        with file.open("xb") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        sync_folder(file.parent)
    except FileExistsError:
        raise problem(file, "the file is already there", why="it is not overwritten", hint="edit it") from None
    except OSError as error:
        raise unwritable(file, error) from error
    return file
