"""What a process was started from: the versions of wakit and of the library, and the very files.

Python reads a file when it is imported, so a daemon goes on as what it was started from, and a worker that it starts
is what is installed by then. Two versions of the same number may differ (a checkout, a rebuilt wheel): the digest
tells.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """What is installed, or was when a process was started.

    Attributes:
        wakit: Version of wakit.
        library: Version of neonize, "" if it is not there.
        digest: Names the files.

    Example:
        >>> str(Release("0.2.0", "0.5.2", "9f2c"))
        'wakit 0.2.0 with neonize 0.5.2'
    """

    wakit: str
    library: str
    digest: str

    def __str__(self) -> str:
        return f"wakit {self.wakit} with neonize {self.library}" if self.library else f"wakit {self.wakit}"


UNKNOWN = Release("", "", "")
"""Of a worker that nobody knows what it was started from."""


def difference(running: Release, installed: Release) -> str:
    """Say what another release means to whoever reads it.

    Example:
        >>> difference(Release("0.1.0", "0.5.2", "a"), Release("0.2.0", "0.5.2", "b"))
        'wakit 0.2.0 is installed, 0.1.0 runs'
        >>> difference(Release("0.1.0", "0.5.2", "a"), Release("0.1.0", "0.5.2", "b"))
        'another build of wakit 0.1.0 with neonize 0.5.2 is installed than the one that runs'
    """
    if running.wakit != installed.wakit:
        return f"wakit {installed.wakit} is installed, {running.wakit} runs"
    if running.library != installed.library:
        return f"neonize {installed.library or '(none)'} is installed, {running.library} runs"
    return f"another build of {installed} is installed than the one that runs"
